#include "segue/calibrate.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <memory>

#include "cli/commands.h"
#include "cli/libraries.h"
#include "cli/written.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/report.h"
#include "segue/zoo.h"

namespace segue::cli {
namespace {

namespace fs = std::filesystem;

struct CalibrateArguments {
  std::string output;
  std::string base;
  std::string use;
  std::string probes;
  std::string write_probes;
  std::string runtime;
  std::string edgetpu_library;
  CompilerOptions compiler;
  bool json = false;
};

void write(const fs::path& folder) {
  const std::size_t count = write_probes(make_probes(), folder).size();
  const std::string shown = printable(folder.string());
  print_text(fmt::format(
      "{} probes written to {}\nNext, on a machine with edgetpu_compiler: edgetpu_compiler -o {} "
      "{}/*.tflite\nThen, on this machine: segue calibrate --probes {} -o my-host.json\n",
      count, shown, shown, shown, shown));
}

// Checks the name and the folder before the measurement, so that a wrong one is reported at once.
std::string device_name(const std::string& output) {
  const fs::path file = output;
  if (file.extension() != ".json") {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("-o {}: the name of a device file must end in .json", output));
  }
  const fs::path folder = file.has_parent_path() ? file.parent_path() : ".";
  if (!fs::is_directory(folder)) {
    throw Error(ErrorCode::kIo, fmt::format("-o {}: folder {} does not exist; create it first",
                                            printable(output), printable(folder.string())));
  }
  return file.stem().string();
}

CalibrationResult measure(const CalibrateArguments& options, const std::string& name) {
  CalibrationRequest request{.name = name, .base = options.base, .use = options.use};
  request.compiled_probes = options.probes;
  if (options.probes.empty()) request.compiler = edgetpu_compiler_options(options.compiler);
  request.libraries = {runtime_candidates(options.runtime),
                       edgetpu_candidates(options.edgetpu_library)};
  try {
    return segue::calibrate(make_probes(), request);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCompiler) throw;
    throw Error(
        ErrorCode::kCompiler,
        fmt::format("{}; without a compiler on this machine: run `segue calibrate --write-probes "
                    "DIR`, compile the probes on another machine, then pass --probes DIR",
                    error.what()));
  }
}

void calibrate(const CalibrateArguments& options) {
  const std::string name = device_name(options.output);
  const CalibrationResult result = measure(options, name);
  const BeforeWriting before({options.output});
  write_file(options.output, calibrated_device_json(result, name));
  if (options.json) return print(calibration_json(result));
  print_text(calibration_text(result, text_width()) +
             fmt::format("Written to {} ({}); next: segue plan MODEL --device {}\n",
                         printable(options.output), before.change(), printable(options.output)));
}

void run(const CLI::App& command, const CalibrateArguments& options) {
  if (options.write_probes.empty()) {
    if (options.output.empty())
      throw Error(ErrorCode::kInvalidArgument,
                  "no output file; name the device file to write, for example -o my-host.json");
    if (!options.probes.empty() && command.count("--compiler-cmd") > 0)
      throw Error(ErrorCode::kInvalidArgument,
                  "--compiler-cmd cannot be combined with --probes, which are already compiled");
    return calibrate(options);
  }
  constexpr std::array kOfMeasuring{"--output",       "--base",    "--use",
                                    "--probes",       "--runtime", "--edgetpu-library",
                                    "--compiler-cmd", "--json"};
  refuse_options(command, kOfMeasuring,
                 "cannot be combined with --write-probes, which does not measure");
  write(options.write_probes);
}

}  // namespace

void add_calibrate(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("calibrate", "Measure an Edge TPU and its host, and write a device file");
  auto options = std::make_shared<CalibrateArguments>();
  add_output(
      *command, options->output,
      "Device file to write, for example my-host.json; the device is named after it; overwrites "
      "an existing file");
  command->add_option("--base", options->base,
                      "Catalogue device that supplies the constants that are not measured "
                      "(default: chosen by the link of the Edge TPU)");
  command->add_option("--use", options->use,
                      "Edge TPU to measure: a name from `segue devices` (default: the first)");
  auto* probes = command->add_option("--probes", options->probes,
                                     "Folder of probes that were compiled on another machine");
  command
      ->add_option("--write-probes", options->write_probes,
                   "Write the probes to this folder for compilation on another machine, and stop")
      ->excludes(probes);
  add_libraries(*command, options->runtime, options->edgetpu_library);
  add_compiler_command(
      *command, options->compiler,
      "Command that runs edgetpu_compiler on the probes (or SEGUE_EDGETPU_COMPILER)");
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([command, options] { run(*command, *options); });
}

}  // namespace segue::cli
