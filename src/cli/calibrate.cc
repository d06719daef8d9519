#include "segue/calibrate.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <memory>

#include "cli/commands.h"
#include "cli/libraries.h"
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

void write_probes(const fs::path& folder) {
  const auto probes = make_probes();
  StagedFiles files;
  for (const Probe& probe : probes) {
    const std::span<const std::byte> bytes = probe.model.runnable_bytes();
    files.stage(folder / (probe.model.name() + ".tflite"), std::span(&bytes, 1));
  }
  files.commit();
  const std::string shown = printable(folder.string());
  print(
      fmt::format("{} probes written to {}\nNext, where edgetpu_compiler is: edgetpu_compiler -o "
                  "{} {}/*.tflite; then here: segue calibrate --probes {} -o my-host.json\n",
                  probes.size(), shown, shown, shown, shown));
}

std::vector<Model> compile_here(const CalibrateArguments& options, std::span<const Probe> probes) {
  try {
    return compile_probes(probes, fs::temp_directory_path(),
                          edgetpu_compiler_options(options.compiler));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCompiler) throw;
    throw Error(ErrorCode::kCompiler,
                fmt::format("{}; where no compiler runs: `segue calibrate --write-probes DIR`, "
                            "compile those elsewhere, and --probes DIR",
                            error.what()));
  }
}

EdgeTpuDevice device_of(const CalibrateArguments& options, const EdgeTpuLibraries& libraries) {
  const auto found = list_edgetpu_devices(libraries);
  return find_edgetpu_device(found, options.use.empty() ? "0" : options.use);
}

// A name or a folder that is wrong shows before the measurement.
std::string device_name(const std::string& output) {
  const fs::path file = output;
  if (file.extension() != ".json") {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("-o {}: device files end in .json", output));
  }
  const fs::path folder = file.has_parent_path() ? file.parent_path() : ".";
  if (!fs::is_directory(folder)) {
    throw Error(ErrorCode::kIo, fmt::format("-o {}: there is no folder {}; make it first",
                                            printable(output), printable(folder.string())));
  }
  return file.stem().string();
}

void calibrate(const CalibrateArguments& options) {
  const std::string name = device_name(options.output);
  const auto probes = make_probes();
  std::vector<Model> compiled;
  if (!options.probes.empty()) compiled = read_compiled_probes(probes, options.probes);
  const DeviceSpec* const named = options.base.empty() ? nullptr : &find_device(options.base);
  const EdgeTpuLibraries libraries{runtime_candidates(options.runtime),
                                   edgetpu_candidates(options.edgetpu_library)};
  const EdgeTpuDevice device = device_of(options, libraries);
  const DeviceSpec& base = named == nullptr ? calibration_base(device) : *named;
  check_calibration_base(base, device);
  (void)calibrated_device_json({base.name, base, {}, {}}, name);
  if (compiled.empty()) compiled = compile_here(options, probes);
  check_edgetpu(libraries, device, compiled[0].runnable_bytes(), compiled[0].name(),
                std::chrono::seconds(30));
  const auto times = measure_probes(compiled, *isolate(make_edgetpu_backend(libraries, device)));
  const CalibrationResult result = fit_calibration(probes, times, base);
  write_file(options.output, calibrated_device_json(result, name));
  if (options.json) return print(calibration_json(result, device.name()));
  print(calibration_text(result, device.name()) +
        fmt::format("Written to {}; next: segue plan MODEL --device {}\n",
                    printable(options.output), printable(options.output)));
}

void run(const CLI::App& command, const CalibrateArguments& options) {
  if (options.write_probes.empty()) {
    if (options.output.empty())
      throw Error(ErrorCode::kInvalidArgument, "name the device file to write: -o my-host.json");
    if (!options.probes.empty() && command.count("--compiler-cmd") > 0)
      throw Error(ErrorCode::kInvalidArgument, "--compiler-cmd: --probes are compiled already");
    return calibrate(options);
  }
  constexpr std::array kOfMeasuring{"--output",       "--base",    "--use",
                                    "--probes",       "--runtime", "--edgetpu-library",
                                    "--compiler-cmd", "--json"};
  refuse_options(command, kOfMeasuring, "--write-probes measures nothing");
  write_probes(options.write_probes);
}

}  // namespace

void add_calibrate(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("calibrate", "Measure an Edge TPU and its host, and write a device file");
  auto options = std::make_shared<CalibrateArguments>();
  add_output(*command, options->output,
             "Device file to write, as my-host.json; its name is the device's");
  command->add_option("--base", options->base,
                      "Device of the catalogue that has what is not measured (default: by the link "
                      "of the Edge TPU)");
  command->add_option("--use", options->use,
                      "Edge TPU to measure: a name of `segue devices` (default: the first)");
  auto* probes = command->add_option("--probes", options->probes,
                                     "Folder with the probes that were compiled elsewhere");
  command
      ->add_option("--write-probes", options->write_probes,
                   "Only write the probes to this folder, to compile them elsewhere")
      ->excludes(probes);
  add_libraries(*command, options->runtime, options->edgetpu_library);
  add_compiler_command(*command, options->compiler,
                       "edgetpu_compiler (or SEGUE_EDGETPU_COMPILER) for the probes");
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([command, options] { run(*command, *options); });
}

}  // namespace segue::cli
