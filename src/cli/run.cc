#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "cli/classes.h"
#include "cli/commands.h"
#include "cli/detect.h"
#include "cli/input_files.h"
#include "cli/libraries.h"
#include "cli/npy.h"
#include "cli/progress.h"
#include "cli/run_set.h"
#include "cli/run_source.h"
#include "cli/written.h"
#include "segue/error.h"
#include "segue/report.h"
#include "segue/units.h"

namespace segue::cli {
namespace {

// The highest temperature of each device whose driver reports it. Read about once a second.
class Temperatures {
 public:
  explicit Temperatures(const std::vector<PipelineDevice>& devices) : devices_(devices) {
    hottest_.resize(devices.size());
  }

  void look() {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::seconds(1)) return;
    last_ = now;
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      if (const auto celsius = devices_[i].backend->temperature_c())
        hottest_[i] = std::max(hottest_[i].value_or(*celsius), *celsius);
    }
  }

  [[nodiscard]] std::vector<DeviceTemperature> hottest() const {
    std::vector<DeviceTemperature> result;
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      if (hottest_[i]) result.push_back({devices_[i].name, *hottest_[i]});
    }
    return result;
  }

 private:
  const std::vector<PipelineDevice>& devices_;
  std::vector<std::optional<double>> hottest_;
  std::chrono::steady_clock::time_point last_;
};

std::vector<TensorBytes> input_values(const RunOptions& options, const InputFiles& files,
                                      const Pipeline& pipeline, DetectionRun* detection,
                                      std::uint64_t number) {
  if (files.item_count() == 0) return random_inputs(pipeline.inputs(), options.seed + number);
  if (detection != nullptr)
    return detection->prepare(files.title(number % files.item_count()), number);
  return files.read(number % files.item_count());
}

// Reads the labels of the classes if they were requested.
std::vector<std::string> open_labels(const RunOptions& options, const Pipeline& pipeline) {
  if (options.labels.empty() || options.detects) return {};
  if (options.files.empty()) throw Error(ErrorCode::kInvalidArgument, "--labels requires --input");
  if (options.format.csv)
    throw Error(ErrorCode::kInvalidArgument,
                "--labels is not available with --csv; use --json or text");
  auto labels = read_labels(options.labels);
  const std::size_t classes = class_count(pipeline.outputs()[0]);
  if (labels.size() != classes)
    print_note(fmt::format("{} holds {}, but the model has {}", options.labels,
                           format_count(labels.size(), "label"), format_count(classes, "class")));
  return labels;
}

// The results, and the error that ended the run early.
struct Outcome {
  std::vector<ClassifiedInput> classified;
  std::vector<DetectedInput> detected;
  std::exception_ptr error;
};

// Pops until no result is left. Prints one note on an interrupt, because inputs in flight may take
// a while.
void take_results(Pipeline& pipeline, const RunOptions& options, const InputFiles& files,
                  Temperatures& temperatures, const std::vector<std::string>& labels,
                  DetectionRun* detection, Outcome& outcome) {
  constexpr auto kLook = std::chrono::milliseconds(200);
  const std::atomic<bool>& interrupted = first_interrupt();
  bool is_told = false;
  Progress progress(options.inputs);
  PipelineResult result;
  while (true) {
    const Flow flow = pipeline.pop(result, kLook);
    if (interrupted && !std::exchange(is_told, true))
      print_note("interrupted: draining in-flight inputs; interrupt again to abort");
    if (flow == Flow::kTimeout) continue;
    if (flow != Flow::kOk) return;
    progress.advance();
    temperatures.look();
    if (!options.output.empty())
      write_npy_files(options.output, result.number, pipeline.outputs(), result.outputs);
    if (result.number >= files.item_count()) continue;
    const std::string title = files.title(result.number);
    if (detection != nullptr) {
      outcome.detected.push_back(detection->take(title, result));
    } else if (!options.labels.empty()) {
      outcome.classified.push_back(
          {title, best_classes(pipeline.outputs()[0], result.outputs[0], labels)});
    }
  }
}

// Pushes the inputs from another thread. Errors of that thread are rethrown in the thread that
// pops.
Outcome pump(Pipeline& pipeline, const RunOptions& options, const InputFiles& files,
             Temperatures& temperatures, DetectionRun* detection) {
  const auto labels = open_labels(options, pipeline);
  const std::atomic<bool>& interrupted = first_interrupt();
  std::exception_ptr failure;
  std::thread producer([&] {
    try {
      for (std::uint64_t i = 0; i < options.inputs && !interrupted; ++i) {
        if (pipeline.push(input_values(options, files, pipeline, detection, i)) != Flow::kOk)
          return;
      }
    } catch (...) {
      failure = std::current_exception();
    }
    pipeline.close();
  });
  Outcome outcome;
  try {
    take_results(pipeline, options, files, temperatures, labels, detection, outcome);
  } catch (...) {
    outcome.error = std::current_exception();
    pipeline.cancel();
  }
  producer.join();
  if (!outcome.error) outcome.error = failure;
  return outcome;
}

void print_report(const RunReport& report, const RunOptions& options, bool succeeded) {
  if (options.format.json) return print(run_json(report));
  if (options.format.csv) return print(run_table(report).to_csv());
  print_text(run_text(report, text_width()));
  if (succeeded && !options.output.empty() && report.measured.results > 0)
    print_text(
        fmt::format("Outputs written to {}, one .npy file each.\n", printable(options.output)));
}

void check_options(const CLI::App& command, const RunOptions& options) {
  if (options.backend != "simulated" && command.count("--time-scale") > 0)
    throw Error(ErrorCode::kInvalidArgument, "--time-scale requires --backend simulated");
  if (options.backend != "simulated" && command.count("--device") > 0)
    throw Error(ErrorCode::kInvalidArgument, "--device requires --backend simulated");
  if (options.backend != "edgetpu" && !options.edgetpu_settings.empty())
    throw Error(ErrorCode::kInvalidArgument, "--edgetpu-option requires --backend edgetpu");
  if (options.backend == "edgetpu")
    refuse_options(command, std::array{"--threads", "--kernels"},
                   "requires --backend cpu or simulated");
  if (!options.files.empty())
    refuse_options(command, std::array{"--seed"}, "requires random inputs; remove --input");
  if (command.count("--compiler-cmd") > 0 &&
      (options.backend != "edgetpu" || (options.model.empty() && options.set.empty())))
    throw Error(ErrorCode::kInvalidArgument,
                "--compiler-cmd requires --backend edgetpu, and --model or --plan; it compiles the "
                "segments of new plans");
}

std::unique_ptr<Pipeline> open_pipeline(const RunOptions& options, const RunSource& source,
                                        const std::vector<PipelineDevice>& devices,
                                        const DetectionRun* detection) {
  OpeningProgress progress;
  PipelineOptions settings = pipeline_options(options, source);
  if (detection != nullptr && settings.replan) {
    settings.replan = [detection, replan = settings.replan](std::uint32_t count) {
      std::optional<PipelineLayout> layout = replan(count);
      if (layout) layout = detection->with_stage(std::move(*layout));
      return layout;
    };
  }
  settings.on_opening = [&](const std::string& device, std::uint32_t number, std::uint32_t count) {
    progress.show(device, number, count);
  };
  return std::make_unique<Pipeline>(source.layout, devices, std::move(settings));
}

void run(const CLI::App& command, RunOptions options) {
  check_options(command, options);
  if (!options.set.empty()) return run_set(command, options);
  if (options.source.empty())
    throw Error(ErrorCode::kInvalidArgument,
                "DIR is missing; name a folder of segments, or a set.json with --plan");
  check_detection(command, options);
  RunSource source = open_source(options);
  std::optional<DetectionRun> detects;
  if (options.detects) detects.emplace(options, source.layout);
  DetectionRun* const detection = detects ? &*detects : nullptr;
  const auto devices = open_backends(options, source);
  if (!options.output.empty()) make_output_folder(options.output);
  std::unique_ptr<Pipeline> pipeline = open_pipeline(options, source, devices, detection);
  const InputFiles files(options.files, pipeline->inputs());
  if (files.item_count() > 0 && command.count("--inputs") == 0) options.inputs = files.item_count();
  if (options.inputs < files.item_count())
    print_note(fmt::format("--input: only the first {} of {} are used, because of --inputs",
                           options.inputs, format_count(files.item_count(), "input")));
  const std::string backend = devices[0].backend->description();
  Temperatures temperatures(devices);
  Outcome outcome = pump(*pipeline, options, files, temperatures, detection);
  RunReport report{source.name, backend, pipeline->statistics(), source.plan};
  if (!options.trace.empty())
    write_noted(options.trace, trace_json(source.name, pipeline->trace()));
  pipeline.reset();  // reports all losses
  if (options.backend == "simulated") report.time_scale = options.time_scale;
  report.hottest = temperatures.hottest();
  report.classified = std::move(outcome.classified);
  report.detected = std::move(outcome.detected);
  // If the run fails, the results so far are printed too.
  const PipelineStatistics& measured = report.measured;
  if (!outcome.error || measured.results > 0 || !measured.losses.empty())
    print_report(report, options, !outcome.error);
  if (!outcome.error && measured.results < options.inputs) {
    constexpr int kInterrupted = 130;
    print_note(fmt::format("interrupted after {} of {}", measured.results,
                           format_count(options.inputs, "input")));
    throw ExitStatus{kInterrupted};
  }
  if (!outcome.error) return;
  if (source.model == nullptr && devices.size() > 1 && !measured.losses.empty())
    print_note("with --model MODEL, a run makes a new plan and continues on the remaining devices");
  std::rethrow_exception(outcome.error);
}

std::vector<std::string> runtime_names() {
  std::vector<std::string> names;
  for (const RuntimeRow& row : runtime_table()) names.emplace_back(row.key);
  return names;
}

// For example "cpu (default: …), simulated (…), …".
std::string runtime_help() {
  std::string text;
  for (const RuntimeRow& row : runtime_table()) {
    text += fmt::format("{}{} ({}{})", text.empty() ? "" : ", ", row.key,
                        text.empty() ? "default: " : "", row.summary);
  }
  return text;
}

void add_devices_of_run(CLI::App& command, RunOptions& options) {
  command.add_option("--threads", options.threads, "Threads per CPU device (default 1)")
      ->check(CLI::Range(1, 256));
  command.add_option("--kernels", options.kernels, "builtin (default), or xnnpack (faster)")
      ->check(CLI::IsMember({"builtin", "xnnpack"}));
  command
      .add_option("--time-scale", options.time_scale,
                  "Factor on simulated times (default 1; 0: no waiting)")
      ->check(CLI::Range(0.0, 1e6));
  command
      .add_option("--watchdog", options.watchdog_s,
                  "Seconds without an answer after which a device counts as lost (default 30)")
      ->check(CLI::Range(0.001, 86400.0));
  command
      .add_option(
          "--use", options.devices,
          "Edge TPUs to use, in this order: names from `segue devices`, separated by blanks "
          "or commas (default: all)")
      ->delimiter(',');
  command.add_option("--edgetpu-option", options.edgetpu_settings,
                     "Option NAME=VALUE for libedgetpu: Performance=Low, Medium, High or Max; "
                     "Usb.AlwaysDfu=True or False; Usb.MaxBulkInQueueLength=0..255");
  add_libraries(command, options.runtime, options.edgetpu_library);
  add_compiler_command(
      command, options.compiler,
      "Command that runs edgetpu_compiler (or SEGUE_EDGETPU_COMPILER), for --model on Edge TPUs");
}

}  // namespace

void add_run(CLI::App& app) {
  CLI::App* command = app.add_subcommand("run", "Run segments as a pipeline, on CPUs or Edge TPUs");
  auto options = std::make_shared<RunOptions>();
  command->add_option("DIR", options->source,
                      "Folder of segments (NAME_segment_I_of_N.tflite, or compiled ones: _edgetpu "
                      "before .tflite), one segment file if the folder holds several splits, or a "
                      "plan.json (with --model)");
  command->add_option("--plan", options->set,
                      "Instead of DIR: the set.json of `segue plan --models`; runs all its models "
                      "at their rates on "
                      "random inputs; for Edge TPUs, that of `segue compile`");
  command->add_option(
      "--model", options->model,
      "The model of a plan.json; with a folder, the model to re-plan when a device is lost");
  add_signature(*command, options->signature);
  command->add_option("--backend", options->backend, runtime_help())
      ->check(CLI::IsMember(runtime_names()));
  command->add_option(
      "--input", options->files,
      "Images or raw tensors: FILE, or NAME=FILE for each input of a model with several");
  command
      ->add_option("--inputs", options->inputs,
                   "Number of inputs (default: one per file; without files, 100 random inputs); "
                   "with --plan, "
                   "of the model with the highest rate, the others in proportion")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}));
  add_seed(*command, options->seed, "Seed of random inputs (default 1)");
  command->add_option("--device", options->device,
                      "Device file, if the plan was made for one; for --backend simulated");
  command->add_option(
      "--labels", options->labels,
      "File with one label per class; prints the five best classes of each input file");
  add_detection(*command, *options);
  add_output(
      *command, options->output,
      "Folder for output tensors: one .npy file for each output of each input; overwrites files of "
      "the same names, and creates missing folders");
  command->add_option(
      "--trace", options->trace,
      std::string("Also write a trace of all devices to this file, for ui.perfetto.dev") +
          kReplaces);
  command
      ->add_option("--queue", options->queue,
                   "Queue capacity before each stage, in inputs (default 2)")
      ->check(CLI::Range(1, 1000000));
  add_devices_of_run(*command, *options);
  add_format(*command, options->format);
  command->callback([command, options] { run(*command, *options); });
}

}  // namespace segue::cli
