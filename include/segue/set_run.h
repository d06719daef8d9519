/// Runs a set of models (plan_set.h) on the devices that they share, in one process.
///
/// Each model has its own pipeline (pipeline.h). A device belongs to no pipeline: it serves the
/// inferences of its models one at a time, in order of arrival.
///
/// Example:
///
///     const segue::SetPlan plan = segue::read_set("set.json");
///     std::vector<std::shared_ptr<const segue::Model>> models;
///     for (const segue::SetModel& model : plan.models)
///       models.push_back(std::make_shared<const segue::Model>(
///           segue::read_model(model.demand.source)));
///     const std::shared_ptr<const segue::Backend> cpu = segue::make_cpu_backend({});
///     segue::SetRun run(plan, segue::set_run_models(plan, models), {{"a", cpu}, {"b", cpu}}, {});
///     segue::Pipeline& detector = run.pipeline(0);
///
/// Rates. A set meets its demands as long as no model gets more inputs than SetModel::rate_per_s;
/// the pipelines do not enforce it.
///
/// Failures. When a device is lost, each model on it gets the first of these that applies:
///
///  1. a device that no model uses;
///  2. nothing, if it has a demanded rate and all demanded rates are still met: the other devices
///     of the stage run on, or the model is planned for its remaining devices;
///  3. the best of: nothing, a place on a device beside its models (swapped), or a device that is
///     taken from a model that has it alone. The best one meets the largest share of the demanded
///     rates, then leaves most to models without a rate, then has the largest slack. Limits of
///     latency are not considered.
///
/// Inputs in flight run again on another device. No result is lost, duplicated or reordered.
///
/// Thread-safety: a SetRun and its pipelines may be used from any number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "segue/model.h"
#include "segue/pipeline.h"
#include "segue/plan_set.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

/// A model of a set with what its devices open.
struct SetRunModel {
  // The whole model, for new plans after a loss. Null: there are none.
  std::shared_ptr<const Model> model = {};
  PipelineLayout layout = {};  // the stages of SetModel::plan
  // What single TPUs open in place of the layout's segment: files that were compiled together with
  // other models.
  std::map<std::uint32_t, PipelineSegment> files = {};
};

/// Extracts the stages of all models of a set in memory. Throws as pipeline_layout, and
/// Error(kInvalidArgument) if the number of models is not that of the plan.
[[nodiscard]] std::vector<SetRunModel> set_run_models(
    const SetPlan& plan, std::span<const std::shared_ptr<const Model>> models);

/// Settings of a SetRun.
struct SetRunOptions {
  /// Of each pipeline. Its on_loss, replan and borrow are not used.
  PipelineOptions pipeline = {};
  /// If set, an inference takes the time of the plan, multiplied by this factor, on devices that
  /// compute on the CPU; a model that is swapped in also takes the time to send its parameters. As
  /// make_simulated_backend.
  std::optional<double> time_scale = std::nullopt;
  /// Called after each loss, one call at a time for each model, in a thread of its pipeline.
  std::function<void(const std::string& model, const DeviceLoss& loss)> on_loss = {};
  /// Makes the segments of a new plan, or nothing if there are no new plans. Not set:
  /// pipeline_layout. May take minutes, as other models go on meanwhile. May be called for several
  /// models at a time.
  std::function<std::optional<PipelineLayout>(const Model& model, const Plan& plan)> cut = {};
};

/// What a device of a set has done.
struct SharedDeviceStatistics {
  std::string name;
  std::vector<std::string> models = {};  // that use it now
  std::uint64_t inferences = 0;
  std::uint64_t changes = 0;  // inferences of another model than the one before
  Nanoseconds busy{0};
  double utilisation = 0;  // busy / time from the first inference of the set to the last one
  std::string lost = {};   // why it was lost; empty: it was not
};

/// The pipelines of a set.
class SetRun {
 public:
  /// Opens all models. `devices` are the TPUs of the plan, in order; further ones are used when
  /// others are lost. Throws Error(kInvalidArgument) if there are too few devices, or models that
  /// are not those of the plan, and as Pipeline.
  SetRun(const SetPlan& plan, std::vector<SetRunModel> models, std::vector<PipelineDevice> devices,
         SetRunOptions options);
  ~SetRun();
  SetRun(const SetRun&) = delete;
  SetRun& operator=(const SetRun&) = delete;

  [[nodiscard]] std::size_t size() const { return pipelines_.size(); }
  /// The pipeline of a model, by its position in the plan. It may outlive the SetRun.
  [[nodiscard]] const std::shared_ptr<Pipeline>& pipeline(std::size_t model) const {
    return pipelines_.at(model);
  }
  [[nodiscard]] std::vector<SharedDeviceStatistics> devices() const;

 private:
  std::shared_ptr<class Lender> lender_;
  std::vector<std::shared_ptr<Pipeline>> pipelines_;
};

}  // namespace segue
