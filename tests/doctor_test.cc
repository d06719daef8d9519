// What the doctor says of machines made of files.
#include "segue/doctor.h"

#include <gtest/gtest.h>

#include <fstream>

#include "environment.h"

namespace segue {
namespace {

using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ScratchFolder;
using Kind = Finding::Kind;

class FakeMachine {
 public:
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((scratch_.path() / path).parent_path());
    std::ofstream(scratch_.path() / path) << text << "\n";
  }
  void add_card(const std::string& slot) {
    write("sys/bus/pci/devices/" + slot + "/vendor", "0x1ac1");
    write("sys/bus/pci/devices/" + slot + "/device", "0x089a");
  }
  void add_stick(const std::string& port, const std::string& vendor, const std::string& product,
                 const std::string& speed) {
    write("sys/bus/usb/devices/" + port + "/idVendor", vendor);
    write("sys/bus/usb/devices/" + port + "/idProduct", product);
    write("sys/bus/usb/devices/" + port + "/speed", speed);
  }
  [[nodiscard]] std::vector<Finding> diagnose() const {
    const Machine machine{
        scratch_.path() / "sys", scratch_.path() / "dev", {scratch_.path() / "bin"}};
    return segue::diagnose({{SEGUE_TEST_RUNTIME}, {SEGUE_TEST_STAND_IN}}, machine);
  }
  [[nodiscard]] const std::filesystem::path& root() const { return scratch_.path(); }

 private:
  ScratchFolder scratch_;
};

auto says(Kind kind, const std::string& what, const std::string& next) {
  return Contains(::testing::AllOf(Field(&Finding::kind, kind),
                                   Field(&Finding::what, HasSubstr(what)),
                                   Field(&Finding::next_step, HasSubstr(next))));
}

TEST(Doctor, MachineWithoutDevicesHasNoProblem) {
  const auto findings = FakeMachine().diagnose();
  EXPECT_THAT(findings, says(Kind::kGood, "TensorFlow Lite 2.21.0", ""));
  EXPECT_THAT(findings, says(Kind::kGood, "libedgetpu", ""));
  EXPECT_THAT(findings, says(Kind::kNote, "no Edge TPU on PCIe or USB", "--backend cpu"));
  EXPECT_THAT(findings, Not(Contains(Field(&Finding::kind, Kind::kProblem))));
}

TEST(Doctor, CardWithoutItsDriverIsNamedWithThePackage) {
  FakeMachine machine;
  machine.add_card("0000:01:00.0");
  machine.write("sys/bus/pci/devices/0000:00:00.0/vendor", "0x8086");
  EXPECT_THAT(machine.diagnose(),
              says(Kind::kProblem, "1 Edge TPU on PCIe, but the kernel's driver", "gasket-dkms"));
}

TEST(Doctor, CardsThatTheDriverDoesNotShowAndHotOnesAreTold) {
  FakeMachine machine;
  machine.add_card("0000:01:00.0");
  machine.add_card("0000:02:00.0");
  machine.write("sys/module/apex/refcnt", "0");
  machine.write("sys/class/apex/apex_0/temp", "84000");
  EXPECT_THAT(machine.diagnose(),
              says(Kind::kProblem, "2 Edge TPUs on PCIe, but the driver shows 1", "dmesg"));
  EXPECT_THAT(machine.diagnose(), says(Kind::kNote, "apex_0 is at 84 C", "cool it"));
  EXPECT_THAT(machine.diagnose(), says(Kind::kProblem, "cannot be opened", "udev"));
  machine.write("sys/class/apex/apex_1/temp", "45000");
  machine.write("dev/apex_0", "");
  machine.write("dev/apex_1", "");
  EXPECT_THAT(machine.diagnose(), says(Kind::kGood, "2 Edge TPUs on PCIe", ""));
  EXPECT_THAT(machine.diagnose(), Not(Contains(Field(&Finding::kind, Kind::kProblem))));
}

TEST(Doctor, SticksOnUsb2AndOnOneHubAreTold) {
  FakeMachine machine;
  machine.add_stick("2-1.1", "18d1", "9302", "5000");
  machine.add_stick("2-1.4", "1a6e", "089a", "480");
  machine.add_stick("3-1", "046d", "c52b", "12");
  const auto findings = machine.diagnose();
  EXPECT_THAT(findings, says(Kind::kNote, "usb:2-1.4 is connected at 480 Mbit/s", "USB 3 port"));
  EXPECT_THAT(findings,
              says(Kind::kNote, "2 Edge TPUs share the USB port 2-1", "2xedgetpu-usb3:separate"));
  EXPECT_THAT(findings, Not(Contains(Field(&Finding::what, HasSubstr("3-1")))));
}

TEST(Doctor, MissingLibrariesAreAProblemOnlyWhereADeviceNeedsThem) {
  FakeMachine machine;
  const Machine here{machine.root() / "sys", machine.root() / "dev", {}};
  const EdgeTpuLibraries none{{SEGUE_TEST_RUNTIME}, {"/nowhere/libedgetpu.so.1"}};
  EXPECT_THAT(diagnose(none, here), says(Kind::kNote, "/nowhere/libedgetpu", "libedgetpu1-std"));
  machine.add_stick("2-1", "18d1", "9302", "5000");
  EXPECT_THAT(diagnose(none, here), says(Kind::kProblem, "/nowhere/libedgetpu", "libedgetpu1-std"));
  EXPECT_THAT(diagnose({{"/nowhere/tflite.so"}, {}}, here),
              says(Kind::kProblem, "/nowhere/tflite.so", "SEGUE_TFLITE_LIB"));
}

}  // namespace
}  // namespace segue
