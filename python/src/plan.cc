// Binds plans and what uses them: comparison, splitting, verification and simulation.
#include <nanobind/stl/pair.h>

#include "interruptible.h"
#include "module.h"
#include "segue/detection.h"
#include "segue/error.h"
#include "segue/planner.h"
#include "segue/report.h"
#include "segue/sweep.h"
#include "segue/timeline.h"
#include "segue/toolchain.h"
#include "segue/units.h"
#include "segue/verify.h"

namespace segue::python {
namespace {

using Shared = std::shared_ptr<const DevicedPlan>;

std::optional<std::pair<std::int64_t, std::int64_t>> ends_of(const TimeRange& range) {
  return std::pair<std::int64_t, std::int64_t>(range.low.count(), range.high.count());
}

void bind_values(nb::module_& module) {
  nb::class_<SegmentTime>(module, "SegmentTime",
                          "Breakdown of the time of one inference, in ns (simulated).")
      .def_prop_ro("fixed_ns", [](const SegmentTime& time) { return time.fixed.count(); })
      .def_prop_ro("input_ns", [](const SegmentTime& time) { return time.input.count(); })
      .def_prop_ro("compute_ns", [](const SegmentTime& time) { return time.compute.count(); })
      .def_prop_ro("streaming_ns", [](const SegmentTime& time) { return time.streaming.count(); })
      .def_prop_ro("output_ns", [](const SegmentTime& time) { return time.output.count(); })
      .def_prop_ro("total_ns", [](const SegmentTime& time) { return time.total().count(); });
  nb::class_<Stage>(module, "Stage", "A segment with its devices in a pipeline.")
      .def_prop_ro(
          "operators",
          [](const Stage& stage) {
            std::vector<std::size_t> positions;
            for (const OperatorId id : stage.operators) positions.push_back(index(id));
            return positions;
          },
          "Positions in the model.")
      .def_ro("first_depth", &Stage::first_depth)
      .def_ro("last_depth", &Stage::last_depth)
      .def_ro("inputs", &Stage::inputs, "Names of the tensors it reads.")
      .def_ro("outputs", &Stage::outputs)
      .def_ro("parameter_bytes", &Stage::parameter_bytes, "As stored in the file.")
      .def_ro("on_chip_bytes", &Stage::on_chip_bytes, "Cached on the device (simulated).")
      .def_ro("host_bytes", &Stage::host_bytes, "Streamed at every inference (simulated).")
      .def_ro("macs", &Stage::macs)
      .def_ro("input_bytes", &Stage::input_bytes)
      .def_ro("output_bytes", &Stage::output_bytes)
      .def_ro("replicas", &Stage::replicas)
      .def_ro("time", &Stage::time, "Of one input on one device.");
  nb::class_<Prediction>(module, "Prediction", "Predicted performance of a plan (simulated).")
      .def_prop_ro("bottleneck_ns", [](const Prediction& self) { return self.bottleneck.count(); })
      .def_prop_ro("latency_ns", [](const Prediction& self) { return self.latency.count(); })
      .def_prop_ro("single_device_ns",
                   [](const Prediction& self) { return self.single_device.count(); })
      .def_prop_ro(
          "bottleneck_range_ns",
          [](const Prediction& self) {
            return self.range ? ends_of(self.range->bottleneck) : std::nullopt;
          },
          "(low, high); about nine in ten measurements are within it. None in plans read from "
          "files without ranges.")
      .def_prop_ro("latency_range_ns",
                   [](const Prediction& self) {
                     return self.range ? ends_of(self.range->latency) : std::nullopt;
                   })
      .def_prop_ro("throughput_range_per_s",
                   [](const Prediction& self) -> std::optional<std::pair<double, double>> {
                     if (!self.range) return std::nullopt;
                     const RateRange range = self.range->throughput_per_s();
                     return std::pair(range.low, range.high);
                   })
      .def_ro("throughput_per_s", &Prediction::throughput_per_s)
      .def_ro("speedup", &Prediction::speedup);
  nb::class_<Decoding>(module, "Decoding",
                       "Decoding of a detector's outputs on the host (estimated).")
      .def_prop_ro("family",
                   [](const Decoding& self) { return std::string(to_string(self.work.family)); })
      .def_prop_ro(
          "boxes", [](const Decoding& self) { return self.work.boxes; }, "Rows of the outputs.")
      .def_prop_ro(
          "scores", [](const Decoding& self) { return self.work.scores; }, "Rows times classes.")
      .def_prop_ro(
          "time_ns", [](const Decoding& self) { return self.time.count(); }, "Of one picture.")
      .def_prop_ro("time_range_ns", [](const Decoding& self) { return ends_of(self.range); });
}

void bind_plan(nb::module_& module) {
  nb::class_<DevicedPlan>(module, "Plan", "The segments of a model, and the devices that run them.")
      .def_prop_ro("model_name", [](const DevicedPlan& self) { return self.plan.model.name; })
      .def_prop_ro("device", [](const DevicedPlan& self) { return self.plan.device_text(); })
      .def_prop_ro("strategy", [](const DevicedPlan& self) { return self.plan.strategy_key(); })
      .def_prop_ro("stages", [](const DevicedPlan& self) { return self.plan.stages; })
      .def_prop_ro("predicted", [](const DevicedPlan& self) { return self.plan.predicted; })
      .def_prop_ro(
          "decoding", [](const DevicedPlan& self) { return self.plan.decoding; },
          "The last stage, on the host, if the plan includes it; predicted includes it too.")
      .def_prop_ro("device_count", [](const DevicedPlan& self) { return self.plan.device_count(); })
      .def_prop_ro("host_bytes", [](const DevicedPlan& self) { return self.plan.host_bytes(); })
      .def_prop_ro(
          "is_proven",
          [](const DevicedPlan& self) { return self.plan.bound && self.plan.bound->is_proven; },
          "Whether strategy optimal has proven that no plan is faster.")
      .def(
          "to_json", [](const DevicedPlan& self) { return to_json(self.plan); },
          "The text of plan.json.")
      .def_ro("notes", &DevicedPlan::notes,
              "How the plan was found, in sentences; empty for plans that were read.")
      .def("__str__",
           [](const DevicedPlan& self) { return wrapped(plan_text(self.plan, {}) + self.notes); })
      .def("__repr__", [](const DevicedPlan& self) {
        return "<segue.Plan '" + self.plan.model.name + "', " + self.plan.strategy_key() + ", " +
               std::to_string(self.plan.stages.size()) + " stages on " +
               std::to_string(self.plan.device_count()) + " TPUs>";
      });
}

// Pairs a plan with the given devices, or with those that it was made for.
Shared with_devices(Plan plan, const std::optional<std::string>& device) {
  auto pools = device ? open_devices(*device, plan.device_count())
                      : open_devices(plan.devices, plan.device_count());
  return std::make_shared<const DevicedPlan>(DevicedPlan{std::move(plan), std::move(pools), ""});
}

// Opens the devices. The number of TPUs may be given in `tpus` or in the text, but not as two
// different numbers.
std::vector<DevicePool> open_counted(const std::string& device, std::uint32_t tpus) {
  const bool is_counted = has_device_count(device);
  if (tpus == 0 && !is_counted)
    throw Error(ErrorCode::kInvalidArgument, "tpus must be at least 1, not 0");
  auto pools = open_devices(device, tpus);
  if (is_counted && tpus != 0 && device_count(pools) != tpus) {
    throw Error(ErrorCode::kInvalidArgument, "device '" + device + "' contains the number " +
                                                 std::to_string(device_count(pools)) +
                                                 ", but tpus is " + std::to_string(tpus) +
                                                 "; give tpus=0");
  }
  return pools;
}

std::optional<Nanoseconds> latency_of(std::optional<double> ms) {
  if (!ms) return std::nullopt;
  constexpr double kLongest = 1e9;
  if (!(*ms > 0 && *ms <= kLongest)) {
    throw Error(ErrorCode::kInvalidArgument,
                "max_latency_ms must be from 0 to 1e9, not " + std::to_string(*ms));
  }
  return std::chrono::duration_cast<Nanoseconds>(std::chrono::duration<double, std::milli>(*ms));
}

// The parameters of segue.plan.
struct PlanArguments {
  std::uint32_t tpus = 0;
  bool chooses_count = false;  // tpus="auto"; `tpus` is the largest number
  std::string strategy;
  std::string device;
  std::uint32_t max_replicas = 0;
  std::string objective;
  std::optional<double> max_latency_ms;
  std::optional<double> min_throughput_per_s;
  double min_gain = 0;
  std::string search;
  SharedBackend measure;              // null: simulated times
  std::vector<std::string> compiler;  // empty: no refinement
  bool detects = false;
  std::optional<std::string> family;
  std::optional<std::filesystem::path> topology;
};

std::optional<DecodingWork> decoding_of(const SharedModel& model, bool detects,
                                        const std::optional<std::string>& family) {
  if (!detects && family) throw Error(ErrorCode::kInvalidArgument, "family requires detect=True");
  if (!detects) return std::nullopt;
  DetectorOptions options;
  if (family) options.family = parse_detector_family(*family);
  return Detector(model->model, options).work();
}

// The caller must not hold the interpreter's lock.
Shared make(const SharedModel& model, const PlanArguments& arguments) {
  PlanRequest request;
  request.strategy = find_strategy(arguments.strategy);
  if (arguments.topology) {
    request.topology = read_topology(*arguments.topology);
  } else {
    request.pools = open_counted(arguments.device, arguments.tpus);
  }
  request.limits.max_replicas = arguments.max_replicas;
  request.limits.objective = parse_objective(arguments.objective);
  request.limits.max_latency = latency_of(arguments.max_latency_ms);
  request.least_throughput_per_s = arguments.min_throughput_per_s;
  request.decoding = decoding_of(model, arguments.detects, arguments.family);
  if (arguments.chooses_count) {
    const bool has_goals = arguments.max_latency_ms || arguments.min_throughput_per_s;
    request.count = has_goals ? DeviceCount::kFewest : DeviceCount::kWorthIt;
  }
  request.least_gain = arguments.min_gain;
  request.search = parse_profile_search(arguments.search);
  std::unique_ptr<Compiler> compiler;
  if (!arguments.compiler.empty()) {
    compiler = make_edgetpu_compiler(std::filesystem::temp_directory_path(),
                                     {.command = arguments.compiler});
    request.refines = compiler.get();
  }
  if (arguments.measure) measure_for(request, model->graph, arguments.measure);
  PlanResult result = plan_model(model->graph, request);
  identify_model(result.plan, model->model);
  std::string notes = plan_notes(result, request, model->graph);
  return std::make_shared<const DevicedPlan>(
      DevicedPlan{std::move(result.plan), std::move(result.pools), std::move(notes)});
}

Shared plan_at(const SharedModel& model, const std::vector<std::string>& tensors,
               const std::string& device) {
  const Segmentation segmentation = segment_at(model->graph, tensors);
  const auto count = static_cast<std::uint32_t>(segmentation.segments.size());
  auto pools = open_devices(device, count);
  const std::vector<PoolCounts> devices(count, PoolCounts{1});
  Plan plan = make_plan(model->graph, segmentation, pools, Strategy::kManual, devices);
  identify_model(plan, model->model);
  return std::make_shared<const DevicedPlan>(DevicedPlan{std::move(plan), std::move(pools), ""});
}

std::vector<Shared> compare(const SharedModel& model, std::uint32_t first, std::uint32_t last,
                            const std::string& device, std::uint32_t max_replicas, bool detects,
                            const std::optional<std::string>& family) {
  const DevicePool kind = open_device_kind(device);
  std::vector<Shared> plans;
  for (ComparedPlan& row : compare_strategies(model->graph, kind.device, first, last,
                                              {.max_replicas = max_replicas,
                                              .shares_link = kind.shares_link,
                                              .decoding = decoding_of(model, detects, family)})) {
    identify_model(row.plan, model->model);
    plans.push_back(std::make_shared<const DevicedPlan>(
        DevicedPlan{std::move(row.plan), {{kind.device, row.tpus, kind.shares_link}}, ""}));
  }
  return plans;
}

void bind_planning(nb::module_& module) {
  module.def("plan",
             interruptible(+[](const SharedModel& model, std::uint32_t tpus, bool chooses_count,
                               const std::string& strategy, const std::string& device,
                               std::uint32_t max_replicas, const std::string& objective,
                               std::optional<double> max_latency_ms,
                               std::optional<double> min_throughput_per_s, double min_gain,
                               const std::string& search, const SharedBackend& measure,
                               const std::vector<std::string>& compiler, bool detects,
                               const std::optional<std::string>& family,
                               const std::optional<std::filesystem::path>& topology) {
               return make(model, {tpus, chooses_count, strategy, device, max_replicas, objective,
                                   max_latency_ms, min_throughput_per_s, min_gain, search, measure,
                                   compiler, detects, family, topology});
             }),
             "model"_a, nb::kw_only(), "tpus"_a, "chooses_count"_a, "strategy"_a, "device"_a,
             "max_replicas"_a, "objective"_a, "max_latency_ms"_a.none(),
             "min_throughput_per_s"_a.none(), "min_gain"_a, "search"_a, "measure"_a.none(),
             "compiler"_a, "detect"_a, "family"_a.none(), "topology"_a.none());
  module.def("plan_at", interruptible(&plan_at), "model"_a, "tensors"_a, "device"_a);
  module.def("strategy_names", &all_strategies, "The strategies that plan accepts.");
  module.def("compare", interruptible(&compare), "model"_a, nb::kw_only(), "first"_a = 1,
             "last"_a = 8, "device"_a = "edgetpu-pcie", "max_replicas"_a = 0, "detect"_a = false,
             "family"_a = nb::none(),
             "Plans of all strategies on first to last TPUs; a strategy has no plan if it cannot "
             "split the model into that many segments.");
  module.def(
      "read_plan",
      [](const std::filesystem::path& path, const std::optional<std::string>& device) {
        const nb::gil_scoped_release released;
        return with_devices(read_plan(path), device);
      },
      "path"_a, "device"_a = nb::none(),
      "Reads a plan.json; pass device if it was made for a device file.");
  module.def(
      "parse_plan",
      [](const std::string& text, const std::optional<std::string>& device) {
        const nb::gil_scoped_release released;
        return with_devices(parse_plan(text, "plan"), device);
      },
      "text"_a, "device"_a = nb::none());
  module.def("device_names", [] {
    std::vector<std::string> names;
    for (const DeviceSpec& device : device_catalogue()) names.push_back(device.name);
    return names;
  });
}

void bind_segments(nb::module_& module) {
  module.def(
      "split",
      [](const SharedModel& model, const Shared& plan, const std::filesystem::path& folder) {
        nb::gil_scoped_release released;
        check_plan_matches(plan->plan, model->model);
        write_segments(model->model, plan->plan, folder);
        return find_segments(folder);
      },
      "model"_a, "plan"_a, "folder"_a,
      "Writes a .tflite file for each stage, and plan.json; returns their paths in order.");
  nb::class_<VerifyReport>(module, "VerifyReport", "Result of verify.")
      .def_prop_ro("agrees", &VerifyReport::agrees)
      .def_ro("mismatch", &VerifyReport::mismatch, "The first difference; empty if there is none.")
      .def_ro("segment_count", &VerifyReport::segment_count)
      .def_ro("operator_count", &VerifyReport::operator_count, "Matched one to one.")
      .def_ro("parameter_bytes", &VerifyReport::parameter_bytes, "Constants compared.")
      .def_ro("inputs_run", &VerifyReport::inputs_run)
      .def_ro("operators_run", &VerifyReport::operators_run,
              "Fewer than operator_count if the runtime does not support a custom operator.")
      .def_ro("not_run", &VerifyReport::not_run,
              "Why some operators were not run; empty if all were run.")
      .def_ro("tensors_compared", &VerifyReport::tensors_compared)
      .def_ro("values_compared", &VerifyReport::values_compared)
      .def_ro("distinct_values", &VerifyReport::distinct_values)
      .def_ro("bytes_compared", &VerifyReport::bytes_compared)
      .def_ro("warnings", &VerifyReport::warnings,
              "Tensors whose values are weak evidence; try more inputs.")
      .def_ro("warnings_of_constants", &VerifyReport::warnings_of_constants,
              "Like warnings, for tensors that do not depend on any input.")
      .def("__bool__", &VerifyReport::agrees)
      .def("__repr__", [](const VerifyReport& self) {
        return "<segue.VerifyReport: " + std::to_string(self.segment_count) + " segments " +
               (self.agrees() ? "agree>" : "differ, " + self.mismatch + ">");
      });
  module.def(
      "verify",
      [](const SharedModel& model, const std::filesystem::path& folder, std::uint32_t inputs,
         std::uint64_t seed, const std::string& kernels,
         const std::optional<std::filesystem::path>& runtime) {
        const auto libraries = runtime_candidates(runtime);
        return run_interruptibly([&] {
          if (inputs == 0) throw Error(ErrorCode::kInvalidArgument, "inputs must be at least 1");
          const auto backend =
              make_cpu_backend({.libraries = libraries, .kernels = parse_kernels(kernels)});
          SplitFiles split = find_split(folder);
          return verify_segments(model->model, split.files, *backend,
                                 {.plan = std::move(split.plan), .inputs = inputs, .seed = seed});
        });
      },
      "model"_a, "folder"_a, nb::kw_only(), "inputs"_a = 3, "seed"_a = 1, "kernels"_a = "builtin",
      "runtime"_a = nb::none(),
      "Compares the segments in a folder with the whole model: operators, constants, then outputs "
      "of random inputs byte for byte. A difference is a result, not an error.");
}

TimelineOptions options_for(const DevicedPlan& plan, std::uint64_t inputs,
                            std::uint32_t queue_capacity) {
  TimelineOptions options = timeline_options(plan.plan, plan.pools);
  options.inputs = inputs;
  options.queue_capacity = queue_capacity;
  return options;
}

void bind_timeline(nb::module_& module) {
  nb::class_<Timeline>(module, "Timeline", "A pipeline in virtual time (simulated).")
      .def_prop_ro("makespan_ns", [](const Timeline& self) { return self.makespan.count(); })
      .def_prop_ro("time_per_input_ns",
                   [](const Timeline& self) { return self.time_per_input().count(); })
      .def_prop_ro("steady_period_ns",
                   [](const Timeline& self) { return self.steady_period().count(); })
      .def_prop_ro(
          "latencies_ns",
          [](const Timeline& self) {
            std::vector<std::int64_t> latencies;
            for (const Nanoseconds latency : self.latencies) latencies.push_back(latency.count());
            return latencies;
          },
          "The time of each input from its first hop to its result.")
      .def_prop_ro(
          "utilisations",
          [](const Timeline& self) {
            std::vector<std::vector<double>> utilisations;
            for (const StageStatistics& stage : self.stages)
              utilisations.push_back(stage.utilisation);
            return utilisations;
          },
          "Busy share of each device of each stage.")
      .def("__repr__", [](const Timeline& self) {
        return "<segue.Timeline: " + std::to_string(self.results.size()) + " inputs in " +
               format_time(self.makespan) + " (simulated)>";
      });
  module.def(
      "simulate",
      [](const Shared& plan, std::uint64_t inputs, std::uint32_t queue_capacity) {
        nb::gil_scoped_release released;
        return simulate_timeline(stage_loads(plan->plan),
                                 options_for(*plan, inputs, queue_capacity));
      },
      "plan"_a, "inputs"_a = 15, "queue_capacity"_a = 2,
      "Runs a batch through a plan in virtual time.");
  module.def(
      "simulated_trace",
      [](const Shared& plan, std::uint64_t inputs, std::uint32_t queue_capacity) {
        nb::gil_scoped_release released;
        TimelineOptions options = options_for(*plan, inputs, queue_capacity);
        options.records_events = true;
        return trace_json(plan->plan, simulate_timeline(stage_loads(plan->plan), options));
      },
      "plan"_a, "inputs"_a = 15, "queue_capacity"_a = 2,
      "The trace of such a batch as JSON text, for ui.perfetto.dev.");
}

}  // namespace

void bind_plans(nb::module_& module) {
  bind_values(module);
  bind_plan(module);
  bind_planning(module);
  bind_segments(module);
  bind_timeline(module);
}

}  // namespace segue::python
