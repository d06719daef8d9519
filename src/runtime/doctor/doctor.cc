#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "runtime/doctor/access.h"
#include "runtime/doctor/findings.h"
#include "runtime/doctor/links.h"
#include "runtime/edgetpu/hardware.h"
#include "segue/edgetpu.h"
#include "segue/error.h"
#include "segue/units.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

class Diagnosis {
 public:
  Diagnosis(const EdgeTpuLibraries& libraries, const Machine& machine)
      : libraries_(libraries),
        machine_(machine),
        cards_(find_pcie_cards(machine.root / "sys")),
        sticks_(find_usb_sticks(machine.root / "sys")) {}

  std::vector<Finding> run() {
    const bool has_runtime = check_runtime();
    check_libedgetpu(has_runtime);
    const User user = this_user();
    check_pcie(findings_, machine_, cards_, user);
    check_usb(findings_, machine_, sticks_, user);
    check_compiler();
    return findings_.take();
  }

 private:
  // The loader's message names every path that was tried.
  bool check_runtime() {
    try {
      CpuOptions options;
      options.libraries = libraries_.runtimes;
      const auto runtime = make_cpu_backend(options);
      findings_.good("runtime", runtime->description());
      for (const std::string& fault : runtime->faults())
        findings_.problem("runtime-fault", fault, "");
      return true;
    } catch (const Error& error) {
      findings_.problem(
          "runtime", error.what(),
          "run `scripts/setup` of Segue, which fetches one, or set its path with SEGUE_TFLITE_LIB");
      return false;
    }
  }

  void check_libedgetpu(bool has_runtime) {
    std::vector<EdgeTpuDevice> listed;
    try {
      listed = list_edgetpu_devices(libraries_, machine_.root / "sys");
    } catch (const Error& error) {
      report_missing_library(error.what());
      if (!has_hardware()) report_no_device();
      return;
    }
    if (has_runtime) check_versions(!listed.empty() || has_hardware());
    check_list(listed);
  }

  void report_missing_library(const std::string& message) {
    const bool lacks_libusb = message.find(" needs libusb-1.0.so") != std::string::npos;
    const std::string key = lacks_libusb ? "libusb" : "libedgetpu";
    const std::string step =
        lacks_libusb ? "`sudo apt install libusb-1.0-0`: libedgetpu needs it also for PCIe cards"
                     : "install libedgetpu1-std (or -max) for your TensorFlow Lite version, or set "
                       "its path with SEGUE_EDGETPU_LIB";
    has_hardware() ? findings_.problem(key, message, step) : findings_.note(key, message, step);
  }

  void check_versions(bool is_needed) {
    const EdgeTpuVersions versions = edgetpu_versions(libraries_);
    findings_.good("libedgetpu", fmt::format("libedgetpu {}", versions.edgetpu));
    if (!is_needed) return;
    findings_.note("versions",
                   fmt::format("TensorFlow Lite {} and libedgetpu must be built from the same "
                               "version",
                               versions.runtime),
                   "`segue run --backend edgetpu` reports an error if they are not compatible");
  }

  // A run can use only the devices that libedgetpu lists, even if the kernel shows more.
  void check_list(std::span<const EdgeTpuDevice> listed) {
    const auto unlisted = find_unlisted_devices(listed, machine_.root);
    std::vector<std::string> names;
    for (const EdgeTpuDevice& device : listed) names.push_back(device.name());
    if (listed.empty() && unlisted.empty()) return report_no_device();
    const std::string all =
        names.empty() ? "libedgetpu lists no Edge TPU"
                      : fmt::format("libedgetpu lists {}: {}",
                                    format_count(names.size(), "Edge TPU"), fmt::join(names, ", "));
    if (unlisted.empty()) return findings_.good("list", all);
    std::vector<std::string> others;
    for (const EdgeTpuDevice& device : unlisted)
      others.push_back(fmt::format("{} ({})", device.name(), device.unlisted));
    findings_.problem(
        "list", fmt::format("{}; not {}", all, fmt::join(others, ", ")),
        "a run uses only listed devices; see the findings below, or reconnect the device");
  }

  void report_no_device() {
    findings_.note("list", "no Edge TPU on PCIe or USB",
                   "connect an Edge TPU to use it; `segue run --backend cpu` and `segue simulate` "
                   "do not need one");
  }

  void check_compiler() {
    if (!machine_.compiler.empty()) {
      if (::access(machine_.compiler.c_str(), X_OK) == 0) {
        findings_.good("compiler",
                       fmt::format("edgetpu_compiler is {}", machine_.compiler.string()));
      } else {
        findings_.problem(
            "compiler", fmt::format("{}: not an executable program", machine_.compiler.string()),
            "set SEGUE_EDGETPU_COMPILER to the path of edgetpu_compiler, or unset it");
      }
      return;
    }
    for (const fs::path& folder : machine_.programs) {
      const fs::path program = folder / "edgetpu_compiler";
      if (::access(program.c_str(), X_OK) != 0) continue;
      findings_.good("compiler", fmt::format("edgetpu_compiler at {}", program.string()));
      return;
    }
    findings_.note(
        "compiler", "no edgetpu_compiler in PATH",
        "Google provides it for x86-64 Debian; segments can be compiled on another machine");
  }

  [[nodiscard]] bool has_hardware() const { return !cards_.empty() || !sticks_.empty(); }

  const EdgeTpuLibraries& libraries_;
  const Machine& machine_;
  std::vector<PcieCard> cards_;
  std::vector<UsbStick> sticks_;
  Findings findings_;
};

}  // namespace

std::vector<Finding> diagnose(const EdgeTpuLibraries& libraries, const Machine& machine) {
  return Diagnosis(libraries, machine).run();
}

}  // namespace segue
