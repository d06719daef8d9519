#include "cli/run_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <exception>
#include <filesystem>
#include <memory>
#include <thread>
#include <vector>

#include "cli/npy.h"
#include "segue/error.h"
#include "segue/report.h"
#include "segue/set_run.h"
#include "segue/toolchain.h"

namespace segue::cli {
namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;

void check_set_options(const CLI::App& command) {
  constexpr std::array kOther{"DIR",      "--model",  "--signature", "--input",
                              "--device", "--labels", "--detect",    "--trace",
                              "--draw",   "--score",  "--family"};
  refuse_options(command, kOther, "cannot be combined with --plan");
}

// The models by their sources. Empty: compiled files are run where the models are not.
std::vector<std::shared_ptr<const Model>> open_sources(const SetPlan& plan, bool is_optional) {
  std::vector<std::shared_ptr<const Model>> models;
  for (const SetModel& model : plan.models) {
    const std::string& source = model.demand.source;
    std::error_code absent;
    if (is_optional && !source.starts_with("zoo:") && !fs::exists(source, absent)) {
      print_note(
          fmt::format("{}: not found; without the models, no new plan is made when a device "
                      "is lost",
                      printable(source)));
      return {};
    }
    models.push_back(std::make_shared<const Model>(open_noted(source, "")));
  }
  return models;
}

std::vector<SetRunModel> run_models(const RunOptions& options, const SetPlan& plan) {
  const bool is_compiled = find_runtime(options.backend).wants_compiled;
  const auto models = open_sources(plan, is_compiled);
  if (!is_compiled) return set_run_models(plan, models);
  try {
    auto run = read_compiled_set(plan, models, fs::path(options.set).parent_path());
    if (!models.empty() && !is_installed(edgetpu_compiler_options(options.compiler))) {
      print_note(
          "no edgetpu_compiler is found; without it, no new plan is made when a device is "
          "lost");
      for (SetRunModel& model : run) model.model.reset();
    }
    return run;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kIo) throw;
    throw Error(error.code(),
                fmt::format("{}; `segue compile {}` makes these files, and a set.json beside them",
                            error.what(), printable(options.set)));
  }
}

// Simulated devices compute on the CPU; the set knows their times.
std::vector<PipelineDevice> open_set_devices(const RunOptions& options, const SetPlan& plan) {
  RunOptions opened = options;
  if (options.backend == "simulated") opened.backend = "cpu";
  const bool opens_all = find_runtime(options.backend).wants_compiled;
  const auto count = opens_all ? plan.used_tpus() : static_cast<std::uint32_t>(plan.tpus.size());
  auto devices = open_counted_backends(opened, count);
  if (options.backend != "simulated") return devices;
  for (std::size_t i = 0; i < devices.size(); ++i) devices[i].name = fmt::format("simulated{}", i);
  return devices;
}

SetRunOptions set_options(const RunOptions& options) {
  SetRunOptions result;
  result.pipeline.queue_capacity = options.queue;
  result.pipeline.result_capacity = options.queue;
  result.pipeline.watchdog = watchdog_of(options);
  if (options.backend == "simulated") result.time_scale = options.time_scale;
  result.on_loss = [](const std::string& model, const DeviceLoss& loss) {
    print_note(fmt::format("{} lost {} ({}): {}; fallback: {}", printable(model), loss.device,
                           loss.segment, loss.reason, loss.remedy));
  };
  result.cut = [&options](const Model& model, const Plan& plan) {
    return std::optional(layout_of(options, model, plan));
  };
  return result;
}

// One model of the set while it runs.
struct ModelRun {
  Pipeline* pipeline = nullptr;
  double rate_per_s = 0;
  std::uint64_t inputs = 0;
  std::string output;  // folder; empty: none
  std::exception_ptr error = nullptr;
};

// As many inputs as arrive while the model with the highest rate gets `most`.
std::uint64_t inputs_of(const SetPlan& plan, const SetModel& model, std::uint64_t most) {
  const double fastest = std::ranges::max(plan.models, {}, &SetModel::rate_per_s).rate_per_s;
  const double share = fastest > 0 ? model.rate_per_s / fastest : 1;
  return std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(std::llround(share * static_cast<double>(most))));
}

// Returns early at an interrupt.
void sleep_until(SteadyClock::time_point end) {
  constexpr auto kSlice = std::chrono::milliseconds(100);
  while (!first_interrupt() && SteadyClock::now() < end)
    std::this_thread::sleep_until(std::min(end, SteadyClock::now() + kSlice));
}

void push_all(const ModelRun& run, const RunOptions& options, SteadyClock::time_point begin) {
  const double scale = options.backend == "simulated" ? options.time_scale : 1;
  for (std::uint64_t i = 0; i < run.inputs; ++i) {
    if (run.rate_per_s > 0 && scale > 0) {
      constexpr double kLongestS = 1e9;
      const double seconds = std::min(static_cast<double>(i) / run.rate_per_s * scale, kLongestS);
      sleep_until(begin + std::chrono::duration_cast<SteadyClock::duration>(
                              std::chrono::duration<double>(seconds)));
    }
    if (first_interrupt()) break;
    if (run.pipeline->push(random_inputs(run.pipeline->inputs(), options.seed + i)) != Flow::kOk)
      break;
  }
  run.pipeline->close();
}

void pop_all(const ModelRun& run) {
  PipelineResult result;
  while (run.pipeline->pop(result) == Flow::kOk) {
    if (!run.output.empty())
      write_npy_files(run.output, result.number, run.pipeline->outputs(), result.outputs);
  }
}

void run_all(std::vector<ModelRun>& runs, const RunOptions& options) {
  const auto begin = SteadyClock::now();
  (void)first_interrupt();  // from now on, an interrupt ends the run in order
  std::vector<std::jthread> threads;
  for (ModelRun& run : runs) {
    threads.emplace_back([&run, &options, begin] {
      std::exception_ptr failure;
      std::thread producer([&] {
        try {
          push_all(run, options, begin);
        } catch (...) {
          failure = std::current_exception();
          run.pipeline->close();
        }
      });
      try {
        pop_all(run);
      } catch (...) {
        run.error = std::current_exception();
        run.pipeline->cancel();
      }
      producer.join();
      if (!run.error) run.error = failure;
    });
  }
}

void print_set_report(const SetRunReport& report, const FormatOptions& format) {
  if (format.json) return print(set_run_json(report));
  if (format.csv) return print(set_run_table(report).to_csv());
  print_text(set_run_text(report, text_width()));
}

}  // namespace

void run_set(const CLI::App& command, const RunOptions& options) {
  check_set_options(command);
  const SetPlan plan = read_set(options.set);
  const auto devices = open_set_devices(options, plan);
  const std::string backend = options.backend == "simulated"
                                  ? fmt::format("simulated {}", plan.device.device)
                                  : devices[0].backend->description();
  SetRun set(plan, run_models(options, plan), devices, set_options(options));
  std::vector<ModelRun> runs;
  for (std::size_t m = 0; m < set.size(); ++m) {
    const SetModel& model = plan.models[m];
    ModelRun& run = runs.emplace_back(
        ModelRun{&*set.pipeline(m), model.rate_per_s, inputs_of(plan, model, options.inputs), ""});
    if (options.output.empty()) continue;
    run.output = (fs::path(options.output) / model.demand.name).string();
    make_output_folder(run.output);
  }
  run_all(runs, options);
  SetRunReport report{plan, backend, {}, set.devices()};
  for (std::size_t m = 0; m < set.size(); ++m) {
    RunReport& of = report.models.emplace_back(RunReport{
        plan.models[m].demand.name, backend, runs[m].pipeline->statistics(), plan.models[m].plan});
    if (options.backend == "simulated") of.time_scale = options.time_scale;
  }
  print_set_report(report, options.format);
  for (const ModelRun& run : runs)
    if (run.error) std::rethrow_exception(run.error);
  if (first_interrupt()) {
    constexpr int kInterrupted = 130;
    print_note("interrupted");
    throw ExitStatus{kInterrupted};
  }
}

}  // namespace segue::cli
