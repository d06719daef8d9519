// Tests the doctor on machines made of files: libraries, libedgetpu's list, nodes, USB.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/internal/process/isolated.h"
#include "fake_machine.h"
#include "runtime/doctor/access.h"
#include "runtime/tflite/tflite_runtime.h"
#include "segue/edgetpu.h"
#include "segue/report.h"
#include "stand_in_runtime.h"

namespace segue {
namespace {

using testing::FakeMachine;
using testing::has_key;
using testing::has_problem;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::says;
using testing::stand_in;
using FindingKind = Finding::Kind;

TEST(Doctor, NoDevicesMeansNoProblem) {
  const auto findings = FakeMachine().diagnose();
  EXPECT_THAT(findings, says(FindingKind::kGood, "runtime", "TensorFlow Lite 2.21.0"));
  EXPECT_THAT(findings, says(FindingKind::kGood, "libedgetpu", "RuntimeVersion(14)"));
  EXPECT_THAT(findings,
              says(FindingKind::kNote, "list", "no Edge TPU on PCIe or USB", "--backend cpu"));
  EXPECT_THAT(findings, Not(has_problem()));
}

TEST(Doctor, MissingRuntimeIsAProblem) {
  EXPECT_THAT(FakeMachine().diagnose({{"/nowhere/tflite.so"}, {}}),
              says(FindingKind::kProblem, "runtime", "/nowhere/tflite.so", "SEGUE_TFLITE_LIB"));
}

TEST(Doctor, MissingLibedgetpuMattersWithADevice) {
  const EdgeTpuLibraries none{{SEGUE_TEST_RUNTIME}, {"/nowhere/libedgetpu.so.1"}};
  const FakeMachine machine;
  const auto missing = [](FindingKind kind) {
    return says(kind, "libedgetpu", "/nowhere/libedgetpu.so.1", "libedgetpu1-std");
  };
  EXPECT_THAT(machine.diagnose(none), missing(FindingKind::kNote));
  EXPECT_THAT(machine.diagnose(none), has_key("list"));
  machine.add_stick("2-1", "18d1:9302");
  EXPECT_THAT(machine.diagnose(none), missing(FindingKind::kProblem));
  EXPECT_THAT(machine.diagnose(none), Not(has_key("list"))) << "libedgetpu was not asked";
}

TEST(Doctor, MissingLibusbIsReportedSeparately) {
  const FakeMachine machine;
  machine.add_stick("2-1", "18d1:9302");
  const auto findings = machine.diagnose({{SEGUE_TEST_RUNTIME}, {SEGUE_TEST_NEEDS_LIBUSB}});
  EXPECT_THAT(findings, says(FindingKind::kProblem, "libusb",
                             "needs libusb-1.0.so.0.absent, which is", "apt install libusb-1.0-0"));
  EXPECT_THAT(findings, Not(has_key("libedgetpu")));
  EXPECT_THAT(findings,
              Not(testing::says(FindingKind::kProblem, "libusb", "install libedgetpu1-std")));
}

TEST(Library, LoaderErrorNamesMissingDependency) {
  EXPECT_EQ(missing_dependency("libusb-1.0.so.0: cannot open shared object file: No such file or "
                               "directory",
                               "libedgetpu.so.1"),
            "libusb-1.0.so.0");
  EXPECT_EQ(missing_dependency("Error loading shared library libusb-1.0.so.0: No such file or "
                               "directory (needed by /usr/lib/libedgetpu.so.1)",
                               "libedgetpu.so.1"),
            "libusb-1.0.so.0")
      << "musl";
  for (const char* itself :
       {"libedgetpu.so.1: cannot open shared object file: No such file or directory",
        "Error loading shared library libedgetpu.so.1: No such file or directory",
        "/a/libedgetpu.so.1: undefined symbol: libusb_open"})
    EXPECT_EQ(missing_dependency(itself, "libedgetpu.so.1"), "") << itself;
}

TEST(Doctor, ListedDevicesAreNamed) {
  if (kDenseCrashes) GTEST_SKIP() << "doctor reports that the builtin kernels crash";
  const FakeMachine machine(1);
  machine.add_working_card("apex_0", "0000:01:00.0");
  const auto findings = machine.diagnose();
  EXPECT_THAT(findings,
              says(FindingKind::kGood, "list", "libedgetpu lists 1 Edge TPU: pci:apex_0"));
  EXPECT_THAT(findings,
              says(FindingKind::kNote, "versions", "must be built from the same version"));
  EXPECT_THAT(findings, Not(has_problem()));
}

TEST(Doctor, UnlistedDeviceIsAProblem) {
  const FakeMachine machine(1);
  machine.add_working_card("apex_0", "0000:01:00.0");
  machine.add_stick("3-2", "18d1:9302");
  machine.add_node("dev/bus/usb/003/007");
  EXPECT_THAT(machine.diagnose(),
              says(FindingKind::kProblem, "list",
                   "lists 1 Edge TPU: pci:apex_0; not usb:3-2 (libedgetpu does not list it)"));
}

TEST(Doctor, CompilerPathMustBeExecutable) {
  const FakeMachine machine;
  const Machine named{.root = machine.root(), .compiler = machine.root() / "edgetpu_compiler"};
  EXPECT_THAT(diagnose(stand_in(), named),
              says(FindingKind::kProblem, "compiler", "not an executable program"));
  EXPECT_THAT(machine.diagnose(),
              says(FindingKind::kNote, "compiler", "no edgetpu_compiler in PATH"));
  machine.write("bin/edgetpu_compiler", "");
  std::filesystem::permissions(machine.root() / "bin/edgetpu_compiler",
                               std::filesystem::perms::owner_all);
  EXPECT_THAT(machine.diagnose(), says(FindingKind::kGood, "compiler", "bin/edgetpu_compiler"));
}

TEST(DeviceNode, MissingNodeIsNamed) {
  const FakeMachine machine;
  machine.add_card("0000:01:00.0", "apex");
  machine.add_apex("apex_0", "0000:01:00.0");
  machine.add_stick("2-1.3", "18d1:9302");
  const auto findings = machine.diagnose();
  EXPECT_THAT(findings,
              says(FindingKind::kProblem, "apex-node", "/dev/apex_0 is missing", "--device"));
  EXPECT_THAT(findings, says(FindingKind::kProblem, "usb-node",
                             "/dev/bus/usb/002/007 (usb:2-1.3) is missing", "c 189:* rwm"));
  EXPECT_THAT(findings, says(FindingKind::kProblem, "list", "libedgetpu lists no Edge TPU; not"));
}

TEST(DeviceNode, PlainFileIsNoDevice) {
  const FakeMachine machine;
  machine.add_card("0000:01:00.0", "apex");
  machine.add_apex("apex_0", "0000:01:00.0");
  machine.write("dev/apex_0", "");
  machine.add_stick("2-1", "18d1:9302");
  machine.write("dev/bus/usb/002/007", "");
  const auto findings = machine.diagnose();
  EXPECT_THAT(findings, says(FindingKind::kProblem, "apex-node",
                             "/dev/apex_0 is not a character device", "remove it"));
  EXPECT_THAT(findings, says(FindingKind::kProblem, "usb-node", "not a character device"));
  EXPECT_THAT(findings,
              says(FindingKind::kProblem, "list", "dev/apex_0 is not a character device"));
}

// Returns the findings on a user's access to a node.
std::vector<Finding> access_findings(const DeviceNode& node, const User& user) {
  Findings findings;
  check_access(findings, "/dev/apex_0", node, user, {"apex-access", "apex", "install the rule"});
  return findings.take();
}

DeviceNode node_of(std::uint32_t mode, const std::string& group, bool can_open) {
  return {DeviceNode::Kind::kDevice, can_open, mode, group, false};
}

TEST(Access, UserOutsideGroupGetsUsermodCommand) {
  EXPECT_THAT(access_findings(node_of(0660, "apex", false), {"ada", false}),
              says(FindingKind::kProblem, "apex-access",
                   "user 'ada' cannot open /dev/apex_0 (group apex, mode 0660)",
                   "`sudo usermod -aG apex ada`"));
}

TEST(Access, NewGroupNeedsNewLogin) {
  DeviceNode node = node_of(0660, "apex", false);
  node.group_lists_user = true;
  EXPECT_THAT(access_findings(node, {"ada", false}),
              says(FindingKind::kProblem, "apex-access", "cannot open",
                   "'ada' was added to group apex after this login began: log out and in again"));
}

TEST(Access, MissingUdevRuleIsSuggested) {
  for (const DeviceNode& node :
       {node_of(0600, "root", false), node_of(0660, "root", false), node_of(0640, "apex", false)}) {
    EXPECT_THAT(
        access_findings(node, {"ada", false}),
        says(FindingKind::kProblem, "apex-access", "cannot open", "install the rule; then"));
  }
}

TEST(Access, UnknownGroupPointsToContainer) {
  for (const char* group : {"", "nogroup"}) {
    EXPECT_THAT(access_findings(node_of(0660, group, false), {"ada", false}),
                says(FindingKind::kProblem, "apex-access", "cannot open", "the container"));
  }
}

TEST(Access, RootOnlyNodeIsNoted) {
  EXPECT_THAT(
      access_findings(node_of(0600, "root", true), {"root", true}),
      says(FindingKind::kNote, "apex-access", "root can open /dev/apex_0, other users cannot",
           "install the rule, or run Segue only as root"));
  EXPECT_TRUE(access_findings(node_of(0660, "apex", true), {"root", true}).empty());
  EXPECT_TRUE(access_findings(node_of(0666, "root", true), {"root", true}).empty());
  EXPECT_TRUE(access_findings(node_of(0660, "apex", true), {"ada", false}).empty());
}

TEST(Access, RealNodeIsRefusedToAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "root alone can become another user";
  const FakeMachine machine;
  machine.add_card("0000:01:00.0", "apex");
  machine.add_apex("apex_0", "0000:01:00.0");
  std::filesystem::create_directory(machine.root() / "dev");
  const std::string node = (machine.root() / "dev/apex_0").string();
  if (::mknod(node.c_str(), S_IFCHR | 0600, ::makedev(1, 3)) != 0)
    GTEST_SKIP() << "no permission to make a device";
  std::filesystem::permissions(machine.root(), std::filesystem::perms::all);
  EXPECT_THAT(machine.diagnose(), says(FindingKind::kNote, "apex-access", "root can open"));
  constexpr uid_t kNobody = 65534;
  const std::string text = run_isolated([&](const auto&) {
    if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) return std::string("not another user");
    return doctor_text(machine.diagnose());
  });
  EXPECT_THAT(text, HasSubstr("cannot open /dev/apex_0 (group root, mode 0600)"));
  EXPECT_THAT(text, HasSubstr("SUBSYSTEM==\"apex\""));
}

TEST(Usb, PortAndControllerAreNamed) {
  const FakeMachine machine;
  machine.add_stick("2-1.3", "18d1:9302");
  machine.add_stick("4-1", "18d1:9302", "platform/axi/1000120000.pcie/1f00200000.usb/xhci-hcd.0");
  machine.add_stick("3-1", "046d:c52b");
  machine.add_node("dev/bus/usb/002/007");
  const auto findings = machine.diagnose();
  EXPECT_THAT(findings, says(FindingKind::kGood, "usb-device",
                             "usb:2-1.3: an Edge TPU on USB at bus 2, port 1.3, controller "
                             "0000:00:14.0 (18d1:9302)"));
  EXPECT_THAT(findings, says(FindingKind::kGood, "usb-device", "port 1, controller xhci-hcd.0"));
  EXPECT_THAT(findings, Not(says(FindingKind::kGood, "usb-device", "3-1"))) << "a mouse";
  EXPECT_THAT(findings, Not(has_key("usb-controller")));
}

TEST(Usb, StickBeforeFirmwareLoadIsExplained) {
  const FakeMachine machine;
  machine.add_stick("2-1", "1a6e:089a");
  EXPECT_THAT(machine.diagnose(),
              says(FindingKind::kGood, "usb-device", "(1a6e:089a; it becomes 18d1:9302"));
}

TEST(Usb, Usb2SpeedIsNoted) {
  const FakeMachine machine;
  machine.add_stick("1-4", "1a6e:089a", "pci0000:00/0000:00:14.0", "480");
  machine.add_stick("2-1", "1a6e:089a", "pci0000:00/0000:00:14.0", "10000");
  const auto findings = machine.diagnose();
  EXPECT_THAT(findings, says(FindingKind::kNote, "usb-speed", "usb:1-4 is connected at 480 Mbit/s",
                             "USB 3 port and cable"));
  EXPECT_THAT(findings, Not(says(FindingKind::kNote, "usb-speed", "usb:2-1")));
}

TEST(Usb, SticksOnOneControllerAreGrouped) {
  const FakeMachine machine;
  machine.add_stick("1-4", "18d1:9302", "pci0000:00/0000:00:14.0", "480");
  machine.add_stick("2-1", "18d1:9302");
  machine.add_stick("4-1", "18d1:9302", "pci0000:00/0000:00:1c.0/0000:02:00.0");
  const auto findings = machine.diagnose();
  EXPECT_THAT(findings, says(FindingKind::kNote, "usb-controller",
                             "2 Edge TPUs share the USB controller 0000:00:14.0: usb:1-4, usb:2-1",
                             "2xedgetpu-usb3:separate"));
  EXPECT_THAT(findings, Not(says(FindingKind::kNote, "usb-controller", "0000:02:00.0")));
}

TEST(Usb, SticksOnOneHubNameTheHub) {
  const FakeMachine machine;
  machine.add_stick("2-1.1", "18d1:9302");
  machine.add_stick("2-1.4", "18d1:9302");
  EXPECT_THAT(machine.diagnose(), says(FindingKind::kNote, "usb-controller",
                                       "0000:00:14.0 and the hub at 2-1: usb:2-1.1"));
  machine.add_stick("2-2", "18d1:9302");
  EXPECT_THAT(machine.diagnose(),
              says(FindingKind::kNote, "usb-controller", "0000:00:14.0: usb:2-1.1"));
}

TEST(DoctorReport, TextAndJsonHaveFindingKeys) {
  const std::vector<Finding> findings{
      {FindingKind::kProblem, "gasket-build", "it fails", "do this"},
      {FindingKind::kGood, "runtime", "it is there", ""}};
  EXPECT_EQ(doctor_text(findings),
            "problem  gasket-build    it fails\n"
            "                         next: do this\n"
            "good     runtime         it is there\n");
  const auto json = nlohmann::json::parse(doctor_json(findings));
  EXPECT_EQ(json["schema"], "segue.doctor/2");
  EXPECT_EQ(json["findings"][0]["key"], "gasket-build");
  EXPECT_EQ(json["findings"][0]["kind"], "problem");
}

}  // namespace
}  // namespace segue
