#include <fmt/format.h>

#include <cstdlib>
#include <memory>

#include "cli/commands.h"
#include "cli/libraries.h"
#include "segue/edgetpu.h"
#include "segue/error.h"
#include "segue/report.h"

namespace segue::cli {
namespace {

struct DevicesArguments {
  std::string runtime;
  std::string edgetpu_library;
  FormatOptions format;
};

EdgeTpuLibraries libraries_of(const DevicesArguments& options) {
  return {runtime_candidates(options.runtime), edgetpu_candidates(options.edgetpu_library)};
}

void show_devices(const DevicesArguments& options) {
  auto devices = list_edgetpu_devices(libraries_of(options));
  const auto unlisted = find_unlisted_devices(devices);
  devices.insert(devices.end(), unlisted.begin(), unlisted.end());
  if (options.format.json) return print(devices_json(devices));
  if (options.format.csv) return print(devices_table(devices).to_csv());
  print_text(devices_text(devices, text_width()));
}

void show_diagnosis(const DevicesArguments& options) {
  Machine machine;
  if (const char* path = std::getenv("PATH"); path != nullptr) {
    for (const std::string& folder : CLI::detail::split(path, ':'))
      machine.programs.emplace_back(folder);
  }
  if (const char* compiler = std::getenv("SEGUE_EDGETPU_COMPILER"); compiler != nullptr) {
    const auto words = CLI::detail::split_up(compiler);
    if (!words.empty() && words[0].find('/') != std::string::npos) machine.compiler = words[0];
  }
  const auto findings = diagnose(libraries_of(options), machine);
  if (options.format.json) {
    print(doctor_json(findings));
  } else {
    print_text(doctor_text(findings));
  }
  for (const Finding& finding : findings) {
    constexpr int kDevice = 6;
    if (finding.kind == Finding::Kind::kProblem) throw ExitStatus{kDevice};
  }
}

}  // namespace

void add_devices(CLI::App& app) {
  auto options = std::make_shared<DevicesArguments>();
  CLI::App* devices = app.add_subcommand("devices", "List the Edge TPUs of this machine");
  add_libraries(*devices, options->runtime, options->edgetpu_library);
  add_format(*devices, options->format);
  devices->callback([options] { show_devices(*options); });

  auto of_doctor = std::make_shared<DevicesArguments>();
  CLI::App* doctor = app.add_subcommand(
      "doctor", "Check what is missing to run Edge TPUs, and suggest the next step");
  add_libraries(*doctor, of_doctor->runtime, of_doctor->edgetpu_library);
  doctor->add_flag("--json", of_doctor->format.json, "Print JSON");
  doctor->callback([of_doctor] { show_diagnosis(*of_doctor); });
}

}  // namespace segue::cli
