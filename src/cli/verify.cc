#include "segue/verify.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <memory>

#include "cli/commands.h"
#include "cli/libraries.h"
#include "segue/detection.h"
#include "segue/error.h"
#include "segue/planner.h"
#include "segue/report.h"
#include "segue/runtime.h"
#include "segue/units.h"

namespace segue::cli {
namespace {

constexpr int kMismatchStatus = 7;

struct VerifyArguments {
  std::string model;
  std::string signature;
  std::string folder;
  std::string runtime;
  std::string device;
  VerifyOptions verify;
  int threads = 2;
  std::string kernels = "builtin";
  FormatOptions format;
};

// Checks that the decoding is of the model's outputs; the proof takes their sizes from the plan.
CertificateVerdict check_decoding(const Plan& plan, const Model& model) {
  if (!plan.decoding) return {.is_accepted = true, .reason = "no decoding"};
  const DecodingWork& planned = plan.decoding->work;
  const DecodingWork work = Detector(model, {.family = planned.family}).work();
  return {
      .is_accepted = work == planned,
      .reason = fmt::format("decoding is of {} boxes and {} scores, but the model has {} and {}",
                            planned.boxes, planned.scores, work.boxes, work.scores)};
}

// Checks whether a plan that claims to be optimal is optimal.
void check_plan(const VerifyArguments& options) {
  const Plan plan = read_plan(options.folder);
  const Model model = open_noted(options.model, options.signature);
  check_plan_matches(plan, model);
  if (plan.strategy != Strategy::kOptimal || !plan.bound) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format(
            "{}: only plans of --strategy optimal carry a proof; to check that this plan computes "
            "the same as the model, run `segue split --plan` and verify the folder",
            options.folder));
  }
  const auto pools = devices_of_plan(plan, options.device);
  if (device_count(pools) < plan.device_count()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--device '{}': {}, but {} uses {}; give at least as many, or make a "
                            "plan for fewer with `segue plan`",
                            options.device, format_count(device_count(pools), "device"),
                            options.folder, plan.device_count()));
  }
  CertificateVerdict verdict = check_decoding(plan, model);
  if (verdict.is_accepted) verdict = check_certificate(plan, Graph(model), pools);
  if (options.format.json) {
    print(certificate_json(verdict));
  } else {
    print_text(certificate_text(verdict));
  }
  if (!verdict.is_accepted) throw ExitStatus{kMismatchStatus};
}

void run(const CLI::App& command, const VerifyArguments& options) {
  if (options.folder.ends_with(".json")) {
    constexpr std::array kOfRuns{"--inputs", "--seed", "--threads", "--kernels", "--runtime"};
    refuse_options(command, kOfRuns,
                   "requires a folder of segments; the proof of a plan.json is checked without "
                   "running the model");
    if (options.format.csv)
      throw Error(ErrorCode::kInvalidArgument,
                  "--csv is not available for a plan.json; use --json");
    return check_plan(options);
  }
  if (!options.device.empty())
    throw Error(ErrorCode::kInvalidArgument, "--device requires a plan.json");
  const Model model = open_noted(options.model, options.signature);
  SplitFiles split = find_split(options.folder);
  const auto backend = make_cpu_backend({.libraries = runtime_candidates(options.runtime),
                                         .threads = options.threads,
                                         .kernels = parse_kernels(options.kernels)});
  VerifyOptions verify = options.verify;
  verify.plan = std::move(split.plan);
  const VerifyReport report = verify_segments(model, split.files, *backend, verify);
  if (options.format.json) {
    print(verify_json(report, backend->description()));
  } else if (options.format.csv) {
    print(verify_table(report).to_csv());
  } else {
    print_text(verify_text(report, backend->description()));
  }
  if (!report.agrees()) throw ExitStatus{kMismatchStatus};
}

}  // namespace

void add_verify(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("verify", "Verify that segment files compute the same as the whole model");
  auto options = std::make_shared<VerifyArguments>();
  command->add_option("MODEL", options->model, "A .tflite file, or zoo:NAME[@SIZE]")->required();
  command
      ->add_option("DIR", options->folder,
                   "Folder written by `segue split`, or a plan.json of strategy optimal, whose "
                   "proof is checked")
      ->required();
  add_signature(*command, options->signature);
  command->add_option("--device", options->device,
                      "Device file, if the plan.json was made for one");
  command->add_option("--inputs", options->verify.inputs, "Random inputs to run (default 3)")
      ->check(CLI::Range(1, 1000000));
  add_seed(*command, options->verify.seed, "Seed of the first input (default 1)");
  command->add_option("--threads", options->threads, "Threads per model (default 2)")
      ->check(CLI::Range(1, 256));
  command
      ->add_option("--kernels", options->kernels,
                   "Kernels of the model and of the segments: builtin (default), or xnnpack")
      ->check(CLI::IsMember({"builtin", "xnnpack"}));
  command->add_option("--runtime", options->runtime,
                      "Path of libtensorflowlite_c.so (or SEGUE_TFLITE_LIB)");
  add_format(*command, options->format);
  command->callback([command, options] { run(*command, *options); });
}

}  // namespace segue::cli
