#include "cli/run_source.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "cli/libraries.h"
#include "segue/edgetpu.h"
#include "segue/error.h"
#include "segue/planner.h"
#include "segue/report.h"
#include "segue/runtime.h"
#include "segue/toolchain.h"
#include "segue/units.h"
#include "segue/verify.h"

namespace segue::cli {
namespace {

namespace fs = std::filesystem;

void check_model_of(const Split& split, const Model& model) {
  if (!split.plan) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "--model: the folder has no plan.json, which is needed to re-plan when a device is lost");
  }
  check_plan_matches(*split.plan, model);
  for (std::size_t i = 0; i < split.files.size(); ++i) {
    if (is_segment_of(split.segments[i], model, split.plan->stages[i].operators)) continue;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: the segment does not belong to {}; split that model again, or "
                            "pass the matching --model",
                            split.files[i].string(), model.name()));
  }
}

// Predicts the times of a plan again, because its replicas may have been edited, and because a run
// without --detect decodes nothing. A bound holds only for the times for which it was found. If the
// devices of the plan are not known, the predictions stay unchanged.
void predict_as_run(Plan& plan, const RunOptions& options) {
  if (!options.detects) plan.decoding.reset();
  const Prediction planned = plan.predicted;
  try {
    update_prediction(plan, devices_of_plan(plan, options.device));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
  }
  if (plan.bound && (plan.device_count() > plan.bound->devices ||
                     plan.predicted.bottleneck != planned.bottleneck ||
                     plan.predicted.latency != planned.latency))
    plan.bound.reset();
}

RuntimeRequest runtime_request(const RunOptions& options, std::uint32_t count) {
  RuntimeRequest request{.devices = count, .names = options.devices};
  request.libraries = {runtime_candidates(options.runtime),
                       edgetpu_candidates(options.edgetpu_library)};
  request.threads = options.threads;
  request.kernels = parse_kernels(options.kernels);
  request.edgetpu.settings = parse_edgetpu_settings(options.edgetpu_settings);
  request.time_scale = options.time_scale;
  return request;
}

}  // namespace

PipelineLayout layout_of(const RunOptions& options, const Model& model, const Plan& plan) {
  if (!find_runtime(options.backend).wants_compiled) return pipeline_layout(model, plan);
  CompileOptions how;
  how.compiler = edgetpu_compiler_options(options.compiler);
  return compiled_layout(model, plan, fs::temp_directory_path(), how);
}

Nanoseconds watchdog_of(const RunOptions& options) {
  const double scale = options.backend == "simulated" ? std::max(1.0, options.time_scale) : 1;
  return Nanoseconds(static_cast<std::int64_t>(options.watchdog_s * scale * 1e9));
}

void make_output_folder(const std::string& folder) {
  std::error_code reason;
  const bool is_new = fs::create_directories(folder, reason);
  if (!reason && ::access(folder.c_str(), W_OK) != 0)
    reason = std::error_code(errno, std::generic_category());
  if (!reason && !fs::is_directory(folder))
    reason = std::make_error_code(std::errc::not_a_directory);
  if (reason) {
    throw Error(ErrorCode::kIo, fmt::format("-o {}: {}; name a writable folder", printable(folder),
                                            reason.message()));
  }
  if (is_new) print_note(fmt::format("{}: new folder", printable(folder)));
  if (!fs::is_empty(folder, reason))
    print_note(fmt::format("{}: files of the same names are overwritten", printable(folder)));
}

RunSource open_source(const RunOptions& options) {
  RunSource source;
  if (!options.model.empty())
    source.model = std::make_shared<const Model>(open_noted(options.model, options.signature));
  if (!options.source.ends_with(".json")) {
    const bool is_for_edgetpu = find_runtime(options.backend).wants_compiled;
    // A compiled segment does not show which model it was cut from, so the uncompiled segments are
    // checked.
    if (is_for_edgetpu && source.model != nullptr)
      check_model_of(read_split(options.source), *source.model);
    Split split =
        read_split(options.source, is_for_edgetpu ? SegmentFiles::kCompiled : SegmentFiles::kCut);
    if (is_for_edgetpu) {
      for (const std::string& note : notes_on_uncompiled(split)) print_note(note);
    } else if (source.model != nullptr) {
      check_model_of(split, *source.model);
    }
    const auto replicas = split.plan ? replicas_of(*split.plan) : std::vector<std::uint32_t>{};
    source.layout = pipeline_layout(std::move(split.segments), replicas);
    source.plan = std::move(split.plan);
    if (source.plan) predict_as_run(*source.plan, options);
    source.name = source.plan ? source.plan->model.name : source.layout.segments[0].name;
    return source;
  }
  source.plan = read_plan(options.source);
  if (source.model == nullptr) {
    throw Error(ErrorCode::kInvalidArgument,
                "a plan.json requires its model: pass --model MODEL (or the folder that `segue "
                "split` wrote)");
  }
  source.layout = layout_of(options, *source.model, *source.plan);
  predict_as_run(*source.plan, options);
  source.name = source.plan->model.name;
  return source;
}

std::vector<PipelineDevice> open_backends(const RunOptions& options, const RunSource& source) {
  RuntimeRequest request = runtime_request(options, source.layout.device_count());
  if (options.backend == "simulated" && source.plan) {
    request.pools = devices_of_plan(*source.plan, options.device);
    if (!options.device.empty()) check_times_of(*source.plan, request.pools);
  }
  return find_runtime(options.backend).open(request);
}

std::vector<PipelineDevice> open_counted_backends(const RunOptions& options, std::uint32_t count) {
  return find_runtime(options.backend).open(runtime_request(options, count));
}

PipelineOptions pipeline_options(const RunOptions& options, const RunSource& source) {
  PipelineOptions result;
  result.queue_capacity = options.queue;
  result.result_capacity = options.queue;
  result.watchdog = watchdog_of(options);
  constexpr std::size_t kMostEvents = 1'000'000;  // 40 MB
  if (!options.trace.empty()) result.trace_capacity = kMostEvents;
  result.on_loss = [](const DeviceLoss& loss) {
    print_note(fmt::format("lost {} ({}): {}; fallback: {}", loss.device, loss.segment, loss.reason,
                           loss.remedy));
  };
  if (source.model != nullptr) {
    result.replan = [&options, model = source.model,
                     device = options.device.empty() ? source.plan->device_text() : options.device](
                        std::uint32_t count) -> std::optional<PipelineLayout> {
      const Graph graph(*model);
      const auto pools = open_devices(device, count);
      if (pools.size() > 1) return std::nullopt;
      return layout_of(options, *model, plan_by_strategy(graph, pools, Strategy::kOptimal).plan);
    };
  }
  return result;
}

}  // namespace segue::cli
