#include "segue/set_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/set/lender.h"
#include "runtime/time_scale.h"
#include "segue/error.h"
#include "segue/units.h"

namespace segue {
namespace {

void check_count(const SetPlan& plan, std::size_t models) {
  if (models == plan.models.size()) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{} given, but the set has {}", format_count(models, "model"),
                          plan.models.size()));
}

std::size_t devices_needed(const SetPlan& plan) {
  std::size_t needed = 0;
  for (std::size_t t = 0; t < plan.tpus.size(); ++t)
    if (!plan.tpus[t].residents.empty()) needed = t + 1;
  return needed;
}

void check_run(const SetPlan& plan, const std::vector<SetRunModel>& models,
               std::span<const PipelineDevice> devices) {
  check_count(plan, models.size());
  for (std::size_t m = 0; m < models.size(); ++m) {
    const SetModel& planned = plan.models[m];
    if (models[m].layout.segments.size() != planned.plan.stages.size())
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{}: {} given, but the plan has {}", planned.demand.name,
                              format_count(models[m].layout.segments.size(), "segment"),
                              format_count(planned.plan.stages.size(), "stage")));
    if (models[m].model != nullptr) check_plan_matches(planned.plan, *models[m].model);
  }
  if (std::ranges::any_of(devices, [](const PipelineDevice& of) { return of.backend == nullptr; }))
    throw Error(ErrorCode::kInvalidArgument, "a device of the set has no backend");
  if (devices.size() < devices_needed(plan))
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the set uses {}, but {} given",
                            format_count(devices_needed(plan), "device"), devices.size()));
}

}  // namespace

std::vector<SetRunModel> set_run_models(const SetPlan& plan,
                                        std::span<const std::shared_ptr<const Model>> models) {
  check_count(plan, models.size());
  std::vector<SetRunModel> result;
  for (std::size_t m = 0; m < models.size(); ++m)
    result.push_back({models[m], pipeline_layout(*models[m], plan.models[m].plan)});
  return result;
}

SetRun::SetRun(const SetPlan& plan, std::vector<SetRunModel> models,
               std::vector<PipelineDevice> devices, SetRunOptions options) {
  check_run(plan, models, devices);
  if (options.time_scale) check_time_scale(*options.time_scale);
  lender_ =
      std::make_shared<Lender>(plan, std::move(models), std::move(devices), std::move(options));
  for (std::uint32_t m = 0; m < plan.models.size(); ++m)
    pipelines_.push_back(std::make_shared<Pipeline>(lender_->layout(m), lender_->devices_of(m),
                                                    lender_->options_of(m)));
}

SetRun::~SetRun() = default;

std::vector<SharedDeviceStatistics> SetRun::devices() const { return lender_->statistics(); }

}  // namespace segue
