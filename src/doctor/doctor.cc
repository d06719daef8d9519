#include "segue/doctor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "edgetpu/sysfs.h"
#include "segue/error.h"
#include "segue/units.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code absent;
  for (const auto& entry : fs::directory_iterator(folder, absent)) paths.push_back(entry.path());
  std::ranges::sort(paths);
  return paths;
}

// "3" as a folder name of three digits: /dev/bus/usb/001/003.
std::string three_digits(const std::string& number) {
  return std::string(number.size() < 3 ? 3 - number.size() : 0, '0') + number;
}

class Diagnosis {
 public:
  Diagnosis(const EdgeTpuLibraries& libraries, const Machine& machine)
      : libraries_(libraries), machine_(machine) {}

  std::vector<Finding> run() {
    const std::vector<fs::path> cards = pcie_cards();
    const std::vector<fs::path> sticks = usb_sticks();
    const bool has_hardware = !cards.empty() || !sticks.empty();
    check_libraries(has_hardware);
    check_pcie(cards);
    check_usb(sticks);
    if (!has_hardware) {
      note("no Edge TPU on PCIe or USB",
           "`segue run --backend cpu` and `segue simulate` need none; plug one in to use it");
    }
    check_compiler();
    return std::move(findings_);
  }

 private:
  void good(const std::string& what) { findings_.push_back({Finding::Kind::kGood, what, ""}); }
  void note(const std::string& what, const std::string& step) {
    findings_.push_back({Finding::Kind::kNote, what, step});
  }
  void problem(const std::string& what, const std::string& step) {
    findings_.push_back({Finding::Kind::kProblem, what, step});
  }

  // What loads, and what not; the message of the loader names every place that was tried.
  void check_libraries(bool has_hardware) {
    try {
      CpuOptions options;
      options.libraries = libraries_.runtimes;
      const auto runtime = make_cpu_backend(options);
      good(runtime->description());
      for (const std::string& fault : runtime->faults()) problem(fault, "");
    } catch (const Error& error) {
      problem(error.what(), "`scripts/setup` of Segue fetches one; SEGUE_TFLITE_LIB names another");
      return;
    }
    try {
      const EdgeTpuVersions versions = edgetpu_versions(libraries_);
      good(fmt::format("libedgetpu {}", versions.edgetpu));
      if (has_hardware) {
        note(fmt::format("TensorFlow Lite {} and libedgetpu must be built from the same version",
                         versions.runtime),
             "`segue run --backend edgetpu` tries them in a child process before it uses them");
      }
    } catch (const Error& error) {
      const std::string step =
          "install libedgetpu1-std (or -max) for your TensorFlow Lite version, or name it with "
          "SEGUE_EDGETPU_LIB";
      has_hardware ? problem(error.what(), step) : note(error.what(), step);
    }
  }

  // Global Unichip's vendor number, and the device number of the Edge TPU.
  [[nodiscard]] std::vector<fs::path> pcie_cards() const {
    std::vector<fs::path> cards = entries(machine_.sysfs / "bus/pci/devices");
    std::erase_if(cards, [](const fs::path& card) {
      return first_line(card / "vendor") != "0x1ac1" || first_line(card / "device") != "0x089a";
    });
    return cards;
  }

  void check_pcie(const std::vector<fs::path>& cards) {
    if (cards.empty()) return;
    const std::string count = format_count(cards.size(), "Edge TPU") + " on PCIe";
    if (!fs::exists(machine_.sysfs / "module/apex")) {
      problem(count + ", but the kernel's driver 'apex' is not loaded",
              "install gasket-dkms (for kernels after 6.5 a maintained fork of it), then `modprobe "
              "apex`");
      return;
    }
    std::vector<fs::path> nodes = entries(machine_.sysfs / "class/apex");
    if (nodes.size() < cards.size()) {
      problem(fmt::format("{}, but the driver shows {}", count, nodes.size()),
              "look for 'apex' in the kernel's log (`dmesg`); cards that share a lane need a slot "
              "with bifurcation");
    } else {
      good(count);
    }
    for (const fs::path& node : nodes) check_apex(node);
  }

  void check_apex(const fs::path& node) {
    const std::string name = node.filename().string();
    if (::access((machine_.dev / name).c_str(), R_OK | W_OK) != 0) {
      problem(fmt::format("{} cannot be opened by this user", (machine_.dev / name).string()),
              "add the user to group apex, with a udev rule SUBSYSTEM==\"apex\", MODE=\"0660\", "
              "GROUP=\"apex\"");
    }
    EdgeTpuDevice device;
    device.path = (machine_.dev / name).string();
    const auto temperature = read_temperature_c(device, machine_.sysfs);
    if (!temperature) return;
    if (*temperature >= kHotCelsius) {
      note(fmt::format("{} is at {:.0f} C", name, *temperature),
           "cool it: it slows down, and stops near 100 C");
    } else {
      good(fmt::format("{} is at {:.0f} C", name, *temperature));
    }
  }

  // Before its firmware is loaded a stick has another name.
  [[nodiscard]] std::vector<fs::path> usb_sticks() const {
    std::vector<fs::path> sticks = entries(machine_.sysfs / "bus/usb/devices");
    std::erase_if(sticks, [](const fs::path& stick) {
      const std::string id = first_line(stick / "idVendor") + ":" + first_line(stick / "idProduct");
      return id != "1a6e:089a" && id != "18d1:9302";
    });
    return sticks;
  }

  void check_usb(const std::vector<fs::path>& sticks) {
    std::map<std::string, std::vector<std::string>> by_hub;
    for (const fs::path& stick : sticks) {
      const std::string name = stick.filename().string();
      by_hub[hub_of(name)].push_back(name);
      good(fmt::format("an Edge TPU on USB, at {}", name));
      const std::string speed = first_line(stick / "speed");
      if (!speed.empty() && speed.size() < 4) {
        note(fmt::format("usb:{} is connected at {} Mbit/s (USB 2)", name, speed),
             "use a USB 3 port and cable: parameters and tensors arrive ten times as fast");
      }
      const fs::path node = machine_.dev / "bus/usb" / three_digits(first_line(stick / "busnum")) /
                            three_digits(first_line(stick / "devnum"));
      if (fs::exists(node) && ::access(node.c_str(), R_OK | W_OK) != 0) {
        problem(fmt::format("{} (usb:{}) cannot be opened by this user", node.string(), name),
                "add the user to group plugdev, with udev rules for 1a6e:089a and 18d1:9302 "
                "(libedgetpu1-std has them)");
      }
    }
    for (const auto& [hub, names] : by_hub) {
      if (names.size() < 2) continue;
      note(
          fmt::format("{} Edge TPUs share the USB port {}", names.size(), hub),
          fmt::format("plan with --device {}xedgetpu-usb3, which takes them as sharing it, or plug "
                      "them into ports of separate controllers (each takes up to 900 mA) and plan "
                      "with {}xedgetpu-usb3:separate",
                      names.size(), names.size()));
    }
  }

  // "2-1.3" hangs at the hub "2-1"; "2-1" at the root of bus 2.
  static std::string hub_of(const std::string& name) {
    const std::size_t dot = name.rfind('.');
    return dot == std::string::npos ? name : name.substr(0, dot);
  }

  void check_compiler() {
    if (!machine_.compiler.empty()) {
      if (::access(machine_.compiler.c_str(), X_OK) == 0) {
        good(fmt::format("edgetpu_compiler is {}", machine_.compiler.string()));
      } else {
        problem(fmt::format("{}: no program that can be run", machine_.compiler.string()),
                "let SEGUE_EDGETPU_COMPILER name edgetpu_compiler, or unset it");
      }
      return;
    }
    for (const fs::path& folder : machine_.programs) {
      const fs::path program = folder / "edgetpu_compiler";
      if (::access(program.c_str(), X_OK) != 0) continue;
      good(fmt::format("edgetpu_compiler at {}", program.string()));
      return;
    }
    note("no edgetpu_compiler in PATH",
         "Google offers it for x86-64 Debian; segments can be compiled on any such machine");
  }

  const EdgeTpuLibraries& libraries_;
  const Machine& machine_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> diagnose(const EdgeTpuLibraries& libraries, const Machine& machine) {
  return Diagnosis(libraries, machine).run();
}

}  // namespace segue
