#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "cli/classes.h"
#include "cli/commands.h"
#include "cli/libraries.h"
#include "cli/progress.h"
#include "segue/compile.h"
#include "segue/edgetpu.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/inputs.h"
#include "segue/optimal.h"
#include "segue/report.h"
#include "segue/verify.h"
#include "segue/zoo.h"

namespace segue::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string source;  // folder of segments, or plan.json
  std::string model;   // of a plan.json
  std::string backend = "cpu";
  std::string kernels = "builtin";
  std::vector<std::string> files;
  std::uint64_t inputs = 100;
  std::uint64_t seed = 1;
  int threads = 1;
  double time_scale = 1;
  double watchdog_s = 30;
  std::uint32_t queue = 2;
  std::string runtime;
  std::string edgetpu_library;
  std::vector<std::string> devices;
  CompilerOptions compiler;
  std::string labels;
  FormatOptions format;
};

// --- what runs

// What there is to run: the layout, and the plan and model behind it where they are known.
struct Source {
  std::string name;
  PipelineLayout layout;
  std::optional<Plan> plan;
  std::shared_ptr<const Model> model;
};

std::vector<std::uint32_t> replicas_of(const Plan& plan) {
  std::vector<std::uint32_t> replicas;
  for (const Stage& stage : plan.stages) replicas.push_back(stage.replicas);
  return replicas;
}

// Compiled segments stand beside those they were made of.
std::vector<fs::path> files_for(std::vector<fs::path> files, const std::string& folder,
                                const std::string& backend) {
  if (backend != "edgetpu") return files;
  for (fs::path& file : files) {
    file = file.parent_path() / compiled_file_name(file.filename().string());
    if (fs::exists(file)) continue;
    throw Error(ErrorCode::kIo, fmt::format("{}: not there; the Edge TPU runs compiled segments: "
                                            "make them with `segue compile {}`",
                                            file.string(), folder));
  }
  return files;
}

// Cuts a model; for the Edge TPU, Google's compiler compiles what comes out.
PipelineLayout layout_of(const Options& options, const Model& model, const Plan& plan) {
  if (options.backend != "edgetpu") return pipeline_layout(model, plan);
  CompileOptions how;
  how.compiler = edgetpu_compiler_options(options.compiler);
  return compiled_layout(model, plan, fs::temp_directory_path(), how);
}

// Files of another split, or a plan edited since.
void check_plan_of_folder(const Plan& plan, const std::vector<fs::path>& files) {
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::size_t operators = read_model(files[i]).operators().size();
    if (operators == plan.stages[i].operators.size()) continue;
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: has {} operators, stage {} of plan.json {}; after an edit cut anew: "
                    "`segue split MODEL --plan plan.json`",
                    files[i].string(), operators, i, plan.stages[i].operators.size()));
  }
}

Source open_source(const Options& options) {
  Source source;
  if (!options.model.empty())
    source.model = std::make_shared<const Model>(open_model(options.model));
  if (!options.source.ends_with(".json")) {
    source.plan = find_plan(options.source);
    if (source.model != nullptr && !source.plan) {
      throw Error(ErrorCode::kInvalidArgument,
                  "--model: to plan anew when a device is lost, the folder needs its plan.json");
    }
    if (source.model != nullptr) check_plan_matches(*source.plan, *source.model);
    const auto replicas = source.plan ? replicas_of(*source.plan) : std::vector<std::uint32_t>{};
    const auto segments = find_segments(options.source);
    if (source.plan) check_plan_of_folder(*source.plan, segments);
    source.layout = pipeline_layout(files_for(segments, options.source, options.backend), replicas);
    source.name = source.plan ? source.plan->model.name : source.layout.segments[0].name;
    return source;
  }
  source.plan = read_plan(options.source);
  if (source.model == nullptr) {
    throw Error(ErrorCode::kInvalidArgument,
                "a plan.json needs its model: --model MODEL (or give the folder of `segue split`)");
  }
  source.layout = layout_of(options, *source.model, *source.plan);
  source.name = source.plan->model.name;
  return source;
}

// --- devices

std::vector<PipelineDevice> edgetpu_devices(const Options& options, std::uint32_t needed,
                                            const PipelineSegment& first) {
  const EdgeTpuLibraries libraries{runtime_candidates(options.runtime),
                                   edgetpu_candidates(options.edgetpu_library)};
  const auto found = list_edgetpu_devices(libraries);
  std::vector<EdgeTpuDevice> chosen;
  for (const std::string& name : options.devices) {
    chosen.push_back(find_edgetpu_device(found, name));
    if (std::ranges::count(chosen, chosen.back().path, &EdgeTpuDevice::path) > 1)
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("--use {}: the device is named twice", name));
  }
  if (options.devices.empty()) chosen = found;
  if (chosen.size() < needed) {
    throw Error(
        ErrorCode::kDevice,
        fmt::format("the plan needs {} Edge TPUs, there {} {}; `segue plan --tpus {}` makes "
                    "one for those",
                    needed, chosen.size() == 1 ? "is" : "are", chosen.size(),
                    std::max<std::size_t>(chosen.size(), 1)));
  }
  check_edgetpu(libraries, chosen[0], first.model, first.name);
  std::vector<PipelineDevice> devices;
  for (const EdgeTpuDevice& device : chosen)
    devices.push_back({device.name(), make_edgetpu_backend(libraries, device)});
  return devices;
}

std::vector<PipelineDevice> open_backends(const Options& options, const Source& source) {
  const std::uint32_t needed = source.layout.device_count();
  if (options.backend == "edgetpu")
    return edgetpu_devices(options, needed, source.layout.segments[0]);
  if (!options.devices.empty())
    throw Error(ErrorCode::kInvalidArgument, "--use goes with --backend edgetpu");
  std::shared_ptr<const Backend> backend =
      make_cpu_backend({.libraries = runtime_candidates(options.runtime),
                        .threads = options.threads,
                        .kernels = kernels_of(options.kernels)});
  std::vector<DevicePool> pools;
  if (options.backend == "simulated") {
    if (!source.plan)
      throw Error(ErrorCode::kInvalidArgument, "--backend simulated needs the plan.json of a plan");
    pools = devices_of_plan(*source.plan, "");
    if (pools.size() > 1) {
      throw Error(ErrorCode::kInvalidArgument,
                  "--backend simulated runs plans of equal devices; `segue simulate` shows others");
    }
    backend = make_simulated_backend(backend, pools[0].device, options.time_scale);
  }
  std::vector<PipelineDevice> devices;
  for (std::uint32_t i = 0; i < needed; ++i)
    devices.push_back({fmt::format("{}{}", options.backend, i), backend});
  return devices;
}

PipelineOptions pipeline_options(const Options& options, const Source& source) {
  PipelineOptions result;
  result.queue_capacity = options.queue;
  result.result_capacity = options.queue;
  result.watchdog = Nanoseconds(static_cast<std::int64_t>(options.watchdog_s * 1e9));
  result.on_loss = [](const DeviceLoss& loss) {
    print_note(fmt::format("lost {} ({}): {}; taken over by {}", loss.device, loss.segment,
                           loss.reason, loss.remedy));
  };
  if (source.model != nullptr) {
    result.replan = [&options, model = source.model, device = source.plan->device](
                        std::uint32_t count) -> std::optional<PipelineLayout> {
      const Graph graph(*model);
      const auto pools = open_devices(device, count);
      if (pools.size() > 1) return std::nullopt;
      const auto best = segment_optimal(graph, pools);
      Plan plan = make_plan(graph, best.segmentation, pools, "optimal", best.devices);
      identify_model(plan, *model);
      return layout_of(options, *model, plan);
    };
  }
  return result;
}

// --- inputs and results

// The highest temperatures of devices whose drivers tell, looked at about once a second.
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

std::vector<TensorBytes> input_values(const Options& options, const Pipeline& pipeline,
                                      std::uint64_t number) {
  if (options.files.empty()) return random_inputs(pipeline.inputs(), options.seed + number);
  std::vector<TensorBytes> values;
  values.push_back(read_input(options.files[number % options.files.size()], pipeline.inputs()[0]));
  return values;
}

void check_inputs(const Options& options, const Pipeline& pipeline) {
  if (options.files.empty()) {
    if (!options.labels.empty())
      throw Error(ErrorCode::kInvalidArgument, "--labels goes with --input");
    return;
  }
  if (pipeline.inputs().size() != 1) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--input: the model has {} inputs; files are for models with one",
                            pipeline.inputs().size()));
  }
}

// Pushes from a thread of its own; what goes wrong there arrives where results are popped.
std::string pump(Pipeline& pipeline, const Options& options, std::uint64_t count,
                 Temperatures& temperatures) {
  const auto labels =
      options.labels.empty() ? std::vector<std::string>{} : read_labels(options.labels);
  std::exception_ptr failure;
  std::thread producer([&] {
    try {
      for (std::uint64_t i = 0; i < count; ++i) {
        if (pipeline.push(input_values(options, pipeline, i)) != Flow::kOk) return;
      }
      pipeline.close();
    } catch (...) {
      failure = std::current_exception();
      pipeline.close();
    }
  });
  std::string classes;
  std::exception_ptr end;
  try {
    Progress progress(count);
    PipelineResult result;
    while (pipeline.pop(result) == Flow::kOk) {
      progress.advance();
      temperatures.look();
      if (!options.labels.empty() && result.number < options.files.size()) {
        classes += printable(options.files[result.number]) + "\n" +
                   top_classes(pipeline.outputs()[0], result.outputs[0], labels);
      }
    }
  } catch (...) {
    end = std::current_exception();
    pipeline.cancel();
  }
  producer.join();
  if (end) std::rethrow_exception(end);
  if (failure) std::rethrow_exception(failure);
  return classes;
}

void run(const CLI::App& command, Options options) {
  if (options.backend != "simulated" && command.count("--time-scale") > 0)
    throw Error(ErrorCode::kInvalidArgument, "--time-scale goes with --backend simulated");
  if (command.count("--compiler-cmd") > 0 &&
      (options.backend != "edgetpu" || options.model.empty()))
    throw Error(
        ErrorCode::kInvalidArgument,
        "--compiler-cmd goes with --backend edgetpu and --model, whose segments it compiles");
  if (!options.labels.empty() && (options.format.json || options.format.csv))
    throw Error(ErrorCode::kInvalidArgument, "--labels prints text; leave out --json and --csv");
  const Source source = open_source(options);
  const auto devices = open_backends(options, source);
  Pipeline pipeline(source.layout, devices, pipeline_options(options, source));
  check_inputs(options, pipeline);
  if (!options.files.empty() && command.count("--inputs") == 0)
    options.inputs = options.files.size();
  Temperatures temperatures(devices);
  const std::string classes = pump(pipeline, options, options.inputs, temperatures);
  RunReport report{source.name, devices[0].backend->description(), pipeline.statistics(),
                   source.plan};
  if (options.backend == "simulated") report.time_scale = options.time_scale;
  report.hottest = temperatures.hottest();
  if (options.format.json) return print(run_json(report));
  if (options.format.csv) return print(run_table(report).to_csv());
  print(classes + (classes.empty() ? "" : "\n") + run_text(report));
}

void add_devices_of_run(CLI::App& command, Options& options) {
  command.add_option("--threads", options.threads, "Threads per device of the CPU (default 1)")
      ->check(CLI::Range(1, 256));
  command.add_option("--kernels", options.kernels, "builtin (default), or xnnpack (faster)")
      ->check(CLI::IsMember({"builtin", "xnnpack"}));
  command
      .add_option("--time-scale", options.time_scale,
                  "Simulated time times this (default 1; 0: no waiting)")
      ->check(CLI::Range(0.0, 1e6));
  command
      .add_option("--watchdog", options.watchdog_s,
                  "Seconds after which a device that does not answer is given up (default 30)")
      ->check(CLI::Range(0.001, 86400.0));
  command.add_option("--use", options.devices,
                     "Edge TPUs to use, in this order: names of `segue devices` (default: all)");
  add_libraries(command, options.runtime, options.edgetpu_library);
  add_compiler_command(command, options.compiler,
                       "edgetpu_compiler (or SEGUE_EDGETPU_COMPILER) for --model on Edge TPUs");
}

}  // namespace

void add_run(CLI::App& app) {
  CLI::App* command = app.add_subcommand("run", "Run segments as a pipeline, on CPUs or Edge TPUs");
  auto options = std::make_shared<Options>();
  command
      ->add_option("DIR", options->source,
                   "Folder that `segue split` wrote, or a plan.json (with --model)")
      ->required();
  command->add_option("--model", options->model,
                      "The model of a plan.json; with a folder, what is planned anew when a device "
                      "is lost");
  command
      ->add_option("--backend", options->backend,
                   "cpu (default), simulated (the CPU, lasting as long as an Edge TPU would), or "
                   "edgetpu")
      ->check(CLI::IsMember({"cpu", "simulated", "edgetpu"}));
  command->add_option("--input", options->files, "Images, or raw tensors, one input each");
  command
      ->add_option("--inputs", options->inputs,
                   "How many inputs (default 100, or as many as files; seeded noise without)")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}));
  command->add_option("--seed", options->seed, "Seed of the noise (default 1)")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--labels", options->labels, "Print the five best classes of each file");
  command->add_option("--queue", options->queue, "Inputs that wait before each stage (default 2)")
      ->check(CLI::Range(1, 1000000));
  add_devices_of_run(*command, *options);
  add_format(*command, options->format);
  command->callback([command, options] { run(*command, *options); });
}

}  // namespace segue::cli
