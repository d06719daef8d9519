// Binds pipelines: arrays are not copied, and waiting threads do not hold the interpreter's lock.
#include "segue/pipeline.h"

#include <algorithm>

#include "array_pipeline.h"
#include "callback.h"
#include "module.h"
#include "segue/error.h"
#include "segue/planner.h"
#include "segue/report.h"
#include "segue/verify.h"
#include "session.h"

namespace segue::python {
namespace {

// Settings that all kinds of sources have.
struct OpenOptions {
  std::uint32_t queue_capacity = 2;
  std::uint32_t result_capacity = 2;
  double watchdog_s = 30;
  std::size_t trace_capacity = 0;
  std::optional<nb::callable> on_loss;
  std::vector<std::string> device_names;  // of the backends; empty: "device 0", "device 1", ...
};

// The settings as C++ uses them, without the interpreter's lock.
struct Opening {
  PipelineOptions options;
  std::optional<Callback> on_loss;
  std::vector<std::string> device_names;
};

// The caller must hold the interpreter's lock.
Opening opening_of(const OpenOptions& given) {
  Opening opening{{}, std::nullopt, given.device_names};
  PipelineOptions& options = opening.options;
  options.queue_capacity = given.queue_capacity;
  options.result_capacity = given.result_capacity;
  if (!(given.watchdog_s >= 0)) {
    throw Error(ErrorCode::kInvalidArgument, "watchdog_s must be seconds, or 0 for none, not " +
                                                 std::to_string(given.watchdog_s));
  }
  options.watchdog = nanoseconds_of(given.watchdog_s);
  options.trace_capacity = given.trace_capacity;
  if (given.on_loss) options.on_loss = opening.on_loss.emplace(*given.on_loss);
  return opening;
}

// Returns whether the backends are Edge TPUs, which take compiled segments.
bool want_compiled(const std::vector<SharedBackend>& backends) {
  if (backends.empty() || std::ranges::find(backends, nullptr) != backends.end())
    throw Error(ErrorCode::kInvalidArgument,
                "a pipeline needs at least one backend, and no backend may be None");
  const auto count = std::ranges::count_if(
      backends, [](const SharedBackend& backend) { return backend->wants_compiled(); });
  if (count > 0 && static_cast<std::size_t>(count) < backends.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                "Edge TPUs and other backends cannot share a pipeline: only Edge TPUs can open "
                "compiled segments");
  }
  return count > 0;
}

// Makes a device of each backend, or all needed devices of a single backend.
std::vector<PipelineDevice> devices_of(const std::vector<SharedBackend>& backends,
                                       const std::vector<std::string>& names,
                                       std::uint32_t needed) {
  if (!names.empty() && names.size() != backends.size())
    throw Error(ErrorCode::kInvalidArgument, std::to_string(names.size()) + " device names for " +
                                                 std::to_string(backends.size()) + " backends");
  if (want_compiled(backends) && backends.size() < needed) {
    throw Error(ErrorCode::kDevice,
                "the pipeline needs " + std::to_string(needed) + " Edge TPUs, but got " +
                    std::to_string(backends.size()) +
                    "; pass one backend for each, or use a split with fewer segments");
  }
  std::vector<PipelineDevice> devices;
  const std::size_t count = backends.size() == 1 ? needed : backends.size();
  const bool is_shared = backends.size() == 1 && !want_compiled(backends);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string kind = names.empty() ? "device" : names[0];
    const bool is_numbered = names.empty() || is_shared;
    devices.push_back({is_numbered ? kind + " " + std::to_string(i) : names[i],
                       backends[backends.size() == 1 ? 0 : i]});
  }
  return devices;
}

std::unique_ptr<ArrayPipeline> open(PipelineLayout layout,
                                    const std::vector<SharedBackend>& backends, Opening opening) {
  auto devices = devices_of(backends, opening.device_names, layout.device_count());
  auto pipeline =
      std::make_shared<Pipeline>(std::move(layout), std::move(devices), std::move(opening.options));
  return std::make_unique<ArrayPipeline>(std::move(pipeline), std::move(opening.on_loss));
}

// Issues the notes as warnings at the line that made the segue.Pipeline.
void warn(const std::vector<std::string>& notes) {
  const nb::gil_scoped_acquire held;
  const nb::object show = nb::module_::import_("warnings").attr("warn");
  constexpr int kCaller = 2;
  for (const std::string& note : notes) show(note, nb::handle(PyExc_RuntimeWarning), kCaller);
}

PipelineLayout layout_of_folder(const std::filesystem::path& folder, bool compiled) {
  Split split = read_split(folder, compiled ? SegmentFiles::kCompiled : SegmentFiles::kCut);
  if (compiled) warn(notes_on_uncompiled(split));
  const auto replicas = split.plan ? replicas_of(*split.plan) : std::vector<std::uint32_t>{};
  return pipeline_layout(std::move(split.segments), replicas);
}

// Returns a function that makes a new plan for the remaining devices, which needs the model.
std::function<std::optional<PipelineLayout>(std::uint32_t)> replanning(const SharedModel& model,
                                                                       const Plan& plan) {
  return [model, devices = plan.devices](std::uint32_t count) -> std::optional<PipelineLayout> {
    const auto pools = open_devices(devices, count);
    if (pools.size() > 1) return std::nullopt;
    return pipeline_layout(model->model,
                           plan_by_strategy(model->graph, pools, Strategy::kOptimal).plan);
  };
}

void bind_opening(nb::module_& module) {
  nb::class_<OpenOptions>(module, "PipelineOptions")
      .def(
          "__init__",
          [](OpenOptions* self, std::uint32_t queue, std::uint32_t results, double watchdog_s,
             std::size_t trace_capacity, std::optional<nb::callable> on_loss,
             std::vector<std::string> device_names) {
            new (self) OpenOptions{queue,
                                   results,
                                   watchdog_s,
                                   trace_capacity,
                                   std::move(on_loss),
                                   std::move(device_names)};
          },
          "queue_capacity"_a = 2, "result_capacity"_a = 2, "watchdog_s"_a = 30.0,
          "trace_capacity"_a = 0, "on_loss"_a = nb::none(),
          "device_names"_a = std::vector<std::string>());
  nb::class_<DeviceLoss>(module, "DeviceLoss", "A device that was lost.")
      .def_ro("device", &DeviceLoss::device)
      .def_ro("segment", &DeviceLoss::segment)
      .def_ro("reason", &DeviceLoss::reason)
      .def_ro("remedy", &DeviceLoss::remedy, "What replaces it.");
  module.def(
      "open_pipeline",
      [](const SharedModel& model, const std::shared_ptr<const DevicedPlan>& plan,
         const std::vector<SharedBackend>& backends, const OpenOptions& given) {
        Opening opening = opening_of(given);
        opening.options.replan = replanning(model, plan->plan);
        const nb::gil_scoped_release released;
        if (want_compiled(backends)) {
          throw Error(ErrorCode::kInvalidArgument,
                      "Edge TPUs need compiled segments: write them with segue.split, compile them "
                      "with segue.compile, and open segue.Pipeline(FOLDER)");
        }
        return open(pipeline_layout(model->model, plan->plan), backends, std::move(opening));
      },
      "model"_a, "plan"_a, "backends"_a, "options"_a = OpenOptions());
  module.def(
      "open_pipeline_of_folder",
      [](const std::filesystem::path& folder, const std::vector<SharedBackend>& backends,
         const OpenOptions& given) {
        Opening opening = opening_of(given);
        const nb::gil_scoped_release released;
        return open(layout_of_folder(folder, want_compiled(backends)), backends,
                    std::move(opening));
      },
      "folder"_a, "backends"_a, "options"_a = OpenOptions());
  module.def(
      "open_pipeline_of_files",
      [](const std::vector<std::filesystem::path>& files,
         const std::vector<SharedBackend>& backends, const OpenOptions& given) {
        Opening opening = opening_of(given);
        const nb::gil_scoped_release released;
        return open(pipeline_layout(files, {}), backends, std::move(opening));
      },
      "files"_a, "backends"_a, "options"_a = OpenOptions());
  module.def(
      "open_pipeline_of_callables",
      [](const std::vector<SharedBackend>& backends, const OpenOptions& given) {
        Opening opening = opening_of(given);
        const nb::gil_scoped_release released;
        PipelineLayout layout;
        for (std::size_t i = 0; i < backends.size(); ++i)
          layout.segments.push_back({"segment " + std::to_string(i), {}, nullptr, 1});
        return open(std::move(layout), backends, std::move(opening));
      },
      "backends"_a, "options"_a = OpenOptions());
}

// --- Garbage collection: on_loss may refer to the object that owns the pipeline

int visit_pipeline(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (!nb::inst_ready(self)) return 0;
  const auto& on_loss = nb::inst_ptr<ArrayPipeline>(self)->on_loss();
  if (on_loss) Py_VISIT(on_loss->function().ptr());
  return 0;
}

int clear_pipeline(PyObject* self) {
  if (!nb::inst_ready(self)) return 0;
  if (const auto& on_loss = nb::inst_ptr<ArrayPipeline>(self)->on_loss()) on_loss->clear();
  return 0;
}

PyType_Slot kPipelineSlots[] = {{Py_tp_traverse, reinterpret_cast<void*>(visit_pipeline)},
                                {Py_tp_clear, reinterpret_cast<void*>(clear_pipeline)},
                                {0, nullptr}};

void bind_result(nb::module_& module) {
  nb::class_<Result>(module, "Result", "Result of one input.")
      .def_ro("number", &Result::number, "The number of the input, from 0.")
      .def_ro("latency_ns", &Result::latency_ns,
              "The time from the accepted push until the result is available.")
      .def_ro("outputs", &Result::outputs, nb::sig("def outputs(self) -> dict[str, numpy.ndarray]"),
              "Arrays by the names of the outputs.");
}

}  // namespace

void bind_pipelines(nb::module_& module) {
  bind_result(module);
  nb::class_<ArrayPipeline>(module, "RawPipeline", nb::type_slots(kPipelineSlots))
      .def_prop_ro("inputs",
                   [](const ArrayPipeline& self) { return ports_of(self.pipeline().inputs()); })
      .def_prop_ro("outputs",
                   [](const ArrayPipeline& self) { return ports_of(self.pipeline().outputs()); })
      .def("push", &ArrayPipeline::push, "inputs"_a, "timeout_s"_a = nb::none(),
           nb::sig("def push(self, inputs: object, timeout_s: float | None = None) -> bool"))
      .def("pop", &ArrayPipeline::pop, "timeout_s"_a = nb::none())
      .def(
          "set_capacities",
          [](const ArrayPipeline& self, std::uint32_t queue, std::uint32_t results) {
            self.pipeline().set_capacities(queue, results);
          },
          "queue"_a, "results"_a, nb::call_guard<nb::gil_scoped_release>())
      .def(
          "close", [](const ArrayPipeline& self) { self.pipeline().close(); },
          nb::call_guard<nb::gil_scoped_release>())
      .def(
          "cancel", [](const ArrayPipeline& self) { self.pipeline().cancel(); },
          nb::call_guard<nb::gil_scoped_release>())
      .def("end", &ArrayPipeline::end)
      .def(
          "trace_json",
          [](const ArrayPipeline& self, const std::string& name) {
            return trace_json(name, self.pipeline().trace());
          },
          "name"_a, nb::call_guard<nb::gil_scoped_release>())
      .def(
          "losses", [](const ArrayPipeline& self) { return self.pipeline().statistics().losses; },
          nb::call_guard<nb::gil_scoped_release>())
      .def(
          "statistics", [](const ArrayPipeline& self) { return self.pipeline().statistics(); },
          nb::call_guard<nb::gil_scoped_release>());
  bind_opening(module);
}

}  // namespace segue::python
