// A scratch folder with the files through which a kernel shows Edge TPUs.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "environment.h"
#include "segue/edgetpu.h"
#include "segue/file.h"
#include "stand_in.h"

namespace segue::testing {

class FakeMachine {
 public:
  // `listed` is the number of devices that libedgetpu lists: /dev/apex_0, /dev/apex_1, then
  // usb:2-1.
  explicit FakeMachine(int listed = 0) { library_.attach(listed); }

  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((root() / path).parent_path());
    std::ofstream(root() / path) << text << "\n";
  }
  void link(const std::string& path, const std::filesystem::path& target) const {
    std::filesystem::create_directories((root() / path).parent_path());
    std::filesystem::create_symlink(target, root() / path);
  }
  // Adds a character device that everyone may open.
  void add_node(const std::string& path) const { link(path, "/dev/null"); }

  void add_card(const std::string& address, const std::string& driver = "") const {
    const std::string card = "sys/bus/pci/devices/" + address;
    write(card + "/vendor", "0x1ac1");
    write(card + "/device", "0x089a");
    if (!driver.empty()) link(card + "/driver", "../../../bus/pci/drivers/" + driver);
    if (driver == "apex") write("sys/module/apex/refcnt", "0");
  }
  // Adds the driver's files for a card, but no node in /dev.
  void add_apex(const std::string& name, const std::string& address) const {
    write("sys/class/apex/" + name + "/status", "ALIVE");
    link("sys/class/apex/" + name + "/device", "../../../" + address);
  }
  // Adds a card that works.
  void add_working_card(const std::string& name, const std::string& address) const {
    add_card(address, "apex");
    add_apex(name, address);
    add_node("dev/" + name);
  }

  // Adds a stick, for example "2-1.3" at a controller "pci0000:00/0000:00:14.0" with the node
  // bus/usb/002/007.
  void add_stick(const std::string& port, const std::string& id,
                 const std::string& controller = "pci0000:00/0000:00:14.0",
                 const std::string& speed = "5000") const {
    const std::string bus = port.substr(0, port.find('-'));
    const std::string folder = fmt::format("sys/devices/{}/usb{}/{}", controller, bus, port);
    write(folder + "/idVendor", id.substr(0, id.find(':')));
    write(folder + "/idProduct", id.substr(id.find(':') + 1));
    write(folder + "/speed", speed);
    write(folder + "/busnum", bus);
    write(folder + "/devnum", "7");
    link("sys/bus/usb/devices/" + port, root() / folder);
  }

  void set_kernel(const std::string& release) const { write("proc/sys/kernel/osrelease", release); }

  [[nodiscard]] std::vector<Finding> diagnose(
      const EdgeTpuLibraries& libraries = stand_in()) const {
    auto findings = segue::diagnose(libraries, {.root = root(), .programs = {root() / "bin"}});
    static const std::string documented =
        read_text_file(SEGUE_TEST_SOURCE "/docs/runtime.md", 1 << 20U);
    for (const Finding& finding : findings)
      EXPECT_THAT(documented, ::testing::HasSubstr("`" + finding.key + "`")) << "no such key";
    return findings;
  }
  [[nodiscard]] const std::filesystem::path& root() const { return scratch_.path(); }

 private:
  ScratchFolder scratch_;
  StandIn library_;
};

// Matches findings that contain one with this kind and key and these parts of its texts.
inline auto says(Finding::Kind kind, const std::string& key, const std::string& what,
                 const std::string& next = "") {
  using ::testing::Field;
  using ::testing::HasSubstr;
  return ::testing::Contains(::testing::AllOf(
      Field(&Finding::kind, kind), Field(&Finding::key, key),
      Field(&Finding::what, HasSubstr(what)), Field(&Finding::next_step, HasSubstr(next))));
}

inline auto has_key(const std::string& key) {
  return ::testing::Contains(::testing::Field(&Finding::key, key));
}

inline auto has_problem() {
  return ::testing::Contains(::testing::Field(&Finding::kind, Finding::Kind::kProblem));
}

}  // namespace segue::testing
