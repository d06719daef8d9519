// Sets of models: planned, and run on the devices that they share.
#include <nanobind/stl/pair.h>

#include "array_pipeline.h"
#include "interruptible.h"
#include "module.h"
#include "segue/error.h"
#include "segue/report.h"
#include "segue/set_run.h"
#include "segue/toolchain.h"

namespace segue::python {
namespace {

using SharedSet = std::shared_ptr<const SetPlan>;

// The parameters of segue.plan_set, one element for each model.
struct Demand {
  SharedModel model;
  std::string source;
  std::optional<double> rate_per_s;
  std::optional<double> max_latency_ms;
  double weight = 1;
};

SharedSet plan(const std::vector<Demand>& demands, const std::string& device, double headroom) {
  const auto pools = open_devices(device, 0);
  if (pools.size() != 1)
    throw Error(ErrorCode::kInvalidArgument, "device: a set is planned for one kind of device");
  SetRequest request{.pool = pools[0], .headroom = headroom};
  std::vector<const Graph*> graphs;
  for (const Demand& of : demands) {
    ModelDemand& demand = request.demands.emplace_back();
    demand.name = of.model->model.name();
    demand.source = of.source;
    demand.rate_per_s = of.rate_per_s;
    demand.weight = of.weight;
    if (of.max_latency_ms) demand.max_latency = nanoseconds_of(*of.max_latency_ms / 1e3);
    graphs.push_back(&of.model->graph);
  }
  SetPlan plan = plan_set(graphs, request);
  for (std::size_t m = 0; m < demands.size(); ++m)
    identify_model(plan.models[m].plan, demands[m].model->model);
  return std::make_shared<const SetPlan>(std::move(plan));
}

void bind_planning(nb::module_& module) {
  nb::class_<Demand>(module, "SetDemand")
      .def(
          "__init__",
          [](Demand* self, const SharedModel& model, const std::string& source,
             std::optional<double> rate_per_s, std::optional<double> max_latency_ms,
             double weight) {
            new (self) Demand{model, source, rate_per_s, max_latency_ms, weight};
          },
          "model"_a, "source"_a, "rate_per_s"_a.none(), "max_latency_ms"_a.none(), "weight"_a);
  nb::class_<SetPlan>(module, "SetPlan", "Which models share which TPUs, and what they reach.")
      .def_prop_ro("device",
                   [](const SetPlan& self) { return to_string(std::span(&self.device, 1)); })
      .def_prop_ro("model_names",
                   [](const SetPlan& self) {
                     std::vector<std::string> names;
                     for (const SetModel& model : self.models) names.push_back(model.demand.name);
                     return names;
                   })
      .def_prop_ro("sources",
                   [](const SetPlan& self) {
                     std::vector<std::string> sources;
                     for (const SetModel& model : self.models)
                       sources.push_back(model.demand.source);
                     return sources;
                   })
      .def_prop_ro(
          "rates_per_s",
          [](const SetPlan& self) {
            std::vector<double> rates;
            for (const SetModel& model : self.models) rates.push_back(model.rate_per_s);
            return rates;
          },
          "Of each model: the demanded rate or, without one, the rate that is reached.")
      .def_prop_ro(
          "tpus",
          [](const SetPlan& self) {
            std::vector<std::vector<std::vector<std::uint32_t>>> tpus;
            for (const SetModel& model : self.models) tpus.push_back(model.tpus);
            return tpus;
          },
          "Of each model: the numbers of the TPUs of each stage.")
      .def_prop_ro("device_count", [](const SetPlan& self) { return self.tpus.size(); })
      .def(
          "to_json", [](const SetPlan& self) { return to_json(self); }, "The text of set.json.")
      .def("__str__", [](const SetPlan& self) { return set_text(self); });
  module.def("plan_set", interruptible(&plan), "demands"_a, "device"_a, "headroom"_a);
  module.def(
      "read_set",
      [](const std::filesystem::path& path) {
        return std::make_shared<const SetPlan>(read_set(path));
      },
      "path"_a, nb::call_guard<nb::gil_scoped_release>(), "Reads a set.json.");
}

std::vector<std::shared_ptr<const Model>> models_of(const std::vector<SharedModel>& given) {
  std::vector<std::shared_ptr<const Model>> models;
  for (const SharedModel& model : given) models.emplace_back(model, &model->model);
  return models;
}

std::vector<std::unique_ptr<ArrayPipeline>> open(
    const SharedSet& set, const std::vector<SharedModel>& given,
    const std::optional<std::filesystem::path>& folder,
    const std::vector<std::pair<std::string, SharedBackend>>& backends, SetRunOptions options,
    const std::optional<Callback>& on_loss) {
  const nb::gil_scoped_release released;
  const auto models = models_of(given);
  auto run_models =
      folder ? read_compiled_set(*set, models, *folder) : set_run_models(*set, models);
  // A new plan of a compiled set would need the compiler. Without models there is none.
  if (folder) {
    for (SetRunModel& model : run_models) model.model.reset();
  }
  std::vector<PipelineDevice> devices;
  for (const auto& [name, backend] : backends) devices.push_back({name, backend});
  SetRun run(*set, std::move(run_models), std::move(devices), std::move(options));
  std::vector<std::unique_ptr<ArrayPipeline>> pipelines;
  for (std::size_t m = 0; m < run.size(); ++m)
    pipelines.push_back(std::make_unique<ArrayPipeline>(run.pipeline(m), on_loss));
  return pipelines;
}

void bind_running(nb::module_& module) {
  module.def(
      "open_set",
      [](const SharedSet& set, const std::vector<SharedModel>& models,
         const std::optional<std::filesystem::path>& folder,
         const std::vector<std::pair<std::string, SharedBackend>>& devices,
         std::optional<double> time_scale, std::uint32_t queue_capacity,
         std::uint32_t result_capacity, double watchdog_s, std::optional<nb::callable> on_loss) {
        SetRunOptions options{.time_scale = time_scale};
        options.pipeline.queue_capacity = queue_capacity;
        options.pipeline.result_capacity = result_capacity;
        options.pipeline.watchdog = nanoseconds_of(watchdog_s);
        std::optional<Callback> callback;
        if (on_loss) options.on_loss = callback.emplace(*on_loss);
        return open(set, models, folder, devices, std::move(options), callback);
      },
      "plan"_a, "models"_a, "folder"_a.none(), "devices"_a, "time_scale"_a.none(),
      "queue_capacity"_a, "result_capacity"_a, "watchdog_s"_a, "on_loss"_a.none());
}

}  // namespace

void bind_sets(nb::module_& module) {
  bind_planning(module);
  bind_running(module);
}

}  // namespace segue::python
