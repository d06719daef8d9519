// Tests the doctor's findings on cards: drivers that are not built or not loaded, and temperatures.
// The lines of sources and logs are those of google/gasket-driver and of its issues.
#include <gtest/gtest.h>

#include "fake_machine.h"
#include "stand_in_runtime.h"

namespace segue {
namespace {

using testing::FakeMachine;
using testing::has_key;
using testing::has_problem;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::says;
using FindingKind = Finding::Kind;

constexpr const char* kCard = "0000:01:00.0";

// A machine with this kernel and a card whose driver is missing.
class GasketMachine : public FakeMachine {
 public:
  explicit GasketMachine(const std::string& release) : release_(release) {
    add_card(kCard);
    set_kernel(release);
  }
  // Adds the lines of Google's package 1.0-18 with which newer kernels do not build, or the lines
  // that replace them.
  void add_source(bool is_fixed) const {
    write_source("gasket_core.c",
                 is_fixed ? "#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)\n"
                            "  class_create(driver_desc->name);\n#else\n"
                            "  class_create(driver_desc->module, driver_desc->name);\n#endif\n"
                            "#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 0, 0)\n"
                            "  .llseek = no_llseek,\n#endif\n"
                          : "#include <linux/fs.h>\n  .llseek = no_llseek,\n"
                            "  class_create(driver_desc->module, driver_desc->name);\n");
    write_source("gasket_interrupt.c", is_fixed ? "#if A\n  eventfd_signal(ctx);\n#else\n"
                                                  "  eventfd_signal(ctx, 1);\n#endif\n"
                                                : "  eventfd_signal(ctx, 1);\n");
    write_source("gasket_page_table.c", is_fixed
                                            ? "#if A\nMODULE_IMPORT_NS(\"DMA_BUF\");\n#else\n"
                                              "MODULE_IMPORT_NS(DMA_BUF);\n#endif\n"
                                            : "#if LINUX_VERSION_CODE >= KERNEL_VERSION(5,16,0)\n"
                                              "MODULE_IMPORT_NS(DMA_BUF);\n#endif\n");
  }
  void write_source(const std::string& file, const std::string& text) const {
    write("usr/src/gasket-1.0/" + file, text);
  }
  void add_headers() const { write("lib/modules/" + release_ + "/build/Makefile", ""); }

 private:
  std::string release_;
};

struct KernelRow {
  const char* release;
  std::vector<const char*> breaks;
};

class GasketByKernel : public ::testing::TestWithParam<KernelRow> {
 protected:
  static std::vector<std::string> named(const std::vector<Finding>& findings,
                                        const std::string& key) {
    std::vector<std::string> found;
    for (const Finding& finding : findings) {
      for (const char* word :
           {"class_create()", "eventfd_signal()", "no_llseek", "MODULE_IMPORT_NS()"})
        if (finding.key == key && finding.what.find(word) != std::string::npos)
          found.emplace_back(word);
    }
    return found;
  }
};

TEST_P(GasketByKernel, BrokenKernelCallsAreNamed) {
  const GasketMachine machine(GetParam().release);
  const std::vector<std::string> expected(GetParam().breaks.begin(), GetParam().breaks.end());
  EXPECT_EQ(named(machine.diagnose(), "gasket-missing"), expected);
  EXPECT_THAT(
      machine.diagnose(),
      says(FindingKind::kProblem, "gasket-missing",
           std::string("1 Edge TPU on PCIe, and no driver for kernel ") + GetParam().release,
           expected.empty() ? "Google's package 1.0-18" : "feranick/gasket-driver"));
  machine.add_headers();
  machine.add_source(false);
  EXPECT_EQ(named(machine.diagnose(), "gasket-build"), expected);
  EXPECT_THAT(machine.diagnose(), Not(has_key("gasket-missing")));
}

TEST_P(GasketByKernel, CompatibleSourceIsNotBlamed) {
  const GasketMachine machine(GetParam().release);
  machine.add_headers();
  machine.add_source(true);
  EXPECT_THAT(
      machine.diagnose(),
      says(FindingKind::kProblem, "gasket-build",
           std::string("gasket-1.0 in /usr/src is not built for kernel ") + GetParam().release,
           "dkms autoinstall"));
}

INSTANTIATE_TEST_SUITE_P(
    Kernels, GasketByKernel,
    ::testing::Values(
        KernelRow{"5.15.0-91-generic", {}}, KernelRow{"6.3.13", {}},
        KernelRow{"6.4.0-1-amd64", {"class_create()"}},
        KernelRow{"6.8.0-44-generic", {"class_create()", "eventfd_signal()"}},
        KernelRow{"6.12.41+deb13-amd64", {"class_create()", "eventfd_signal()", "no_llseek"}},
        KernelRow{"6.14.8-2-pve",
                  {"class_create()", "eventfd_signal()", "no_llseek", "MODULE_IMPORT_NS()"}},
        KernelRow{"10.0.1",
                  {"class_create()", "eventfd_signal()", "no_llseek", "MODULE_IMPORT_NS()"}}),
    [](const auto& row) { return testing::test_name(row.param.release); });

TEST(Gasket, GoogleSourceFailsFromKernel612) {
  const GasketMachine machine("6.14.0-24-generic");
  machine.add_source(true);
  machine.write_source("gasket_core.c", "#endif\n  .llseek = no_llseek,\n");
  machine.write_source("gasket_page_table.c",
                       "#if __has_include(<linux/dma-buf.h>)\nMODULE_IMPORT_NS(DMA_BUF);\n#endif");
  EXPECT_THAT(machine.diagnose(),
              says(FindingKind::kProblem, "gasket-build",
                   "does not build for kernel 6.14.0-24-generic: no_llseek was removed in kernel "
                   "6.12; MODULE_IMPORT_NS() takes a string since kernel 6.13",
                   "remove that gasket-dkms and install gasket-dkms 1.0-18.4"));
}

TEST(Gasket, SourceInSubfolderIsRead) {
  const GasketMachine machine("6.8.0-52-generic");
  machine.write("usr/src/gasket-dkms-1.0-18/src/gasket_interrupt.c", "eventfd_signal(ctx, 1);");
  EXPECT_THAT(machine.diagnose(),
              says(FindingKind::kProblem, "gasket-build", "eventfd_signal() takes one argument"));
}

TEST(Gasket, MissingKernelHeadersAreNamed) {
  const GasketMachine machine("6.14.8-2-pve");
  machine.add_source(true);
  EXPECT_THAT(machine.diagnose(),
              says(FindingKind::kProblem, "gasket-build", "the headers of kernel",
                   "install linux-headers-6.14.8-2-pve"));
}

TEST(Gasket, BuildErrorOfThisKernelIsQuoted) {
  const GasketMachine machine("6.19.7-200.fc43.x86_64");
  machine.add_headers();
  machine.add_source(true);
  const std::string log = "var/lib/dkms/gasket/1.0/build/make.log";
  machine.write(log,
                "DKMS (dkms-3.3.0) make.log for gasket/1.0 for kernel 6.19.7-200.fc43.x86_64\n"
                "  CC [M]  gasket_core.o\n"
                "gasket_interrupt.c:162:88: error: missing binary operator before token\n"
                "make[2]: *** gasket_interrupt.o] Error 1");
  EXPECT_THAT(machine.diagnose(),
              says(FindingKind::kProblem, "gasket-build",
                   "did not build for kernel 6.19.7-200.fc43.x86_64: gasket_interrupt.c:162:88: "
                   "error: missing binary operator",
                   "/" + log));
  machine.write(log, "DKMS make.log for gasket-1.0 for kernel 6.1.0\na.c:1: error: old");
  EXPECT_THAT(machine.diagnose(),
              says(FindingKind::kProblem, "gasket-build", "is not built for kernel"))
      << "the log of another kernel";
}

TEST(Gasket, UnloadedDriverIsReported) {
  const GasketMachine machine("6.14.8-2-pve");
  machine.write("lib/modules/6.14.8-2-pve/modules.dep",
                "updates/dkms/apex.ko.xz: updates/dkms/gasket.ko.xz");
  EXPECT_THAT(machine.diagnose(),
              says(FindingKind::kProblem, "apex-driver",
                   "is built for kernel 6.14.8-2-pve but not loaded", "mokutil --import"));
}

TEST(Pcie, VfioDriverIsReported) {
  const FakeMachine machine;
  machine.add_card(kCard, "vfio-pci");
  const auto findings = machine.diagnose();
  EXPECT_THAT(findings, says(FindingKind::kProblem, "pcie-driver",
                             "driver 'vfio-pci' uses the Edge TPU at 0000:01:00.0"));
  EXPECT_THAT(findings,
              says(FindingKind::kProblem, "list",
                   "lists no Edge TPU; not pci:0000:01:00.0 (driver 'vfio-pci' uses it)"));
  EXPECT_THAT(findings, Not(has_key("gasket-missing")));
}

TEST(Pcie, CardWithoutDeviceNodeIsReported) {
  const FakeMachine machine(1);
  machine.add_working_card("apex_0", kCard);
  machine.add_card("0000:02:00.0", "apex");
  EXPECT_THAT(machine.diagnose(), says(FindingKind::kProblem, "pcie-device",
                                       "no device for the Edge TPU at 0000:02:00.0", "dmesg"));
}

TEST(Pcie, WorkingCardsHaveNoProblem) {
  if (kDenseCrashes) GTEST_SKIP() << "doctor reports that the builtin kernels crash";
  const FakeMachine machine(2);
  machine.add_working_card("apex_0", kCard);
  machine.add_working_card("apex_1", "0000:02:00.0");
  machine.write("sys/bus/pci/devices/0000:00:00.0/vendor", "0x8086");
  EXPECT_THAT(machine.diagnose(), says(FindingKind::kGood, "pcie-device", "2 Edge TPUs on PCIe"));
  EXPECT_THAT(machine.diagnose(), Not(has_problem()));
}

// A machine whose driver shows a chip at this temperature in thousandths of a degree. The limits
// are those of the driver, which rounds them.
class HotMachine : public FakeMachine {
 public:
  explicit HotMachine(const std::string& millidegrees) : FakeMachine(1) {
    add_working_card("apex_0", kCard);
    write("sys/class/apex/apex_0/temp", millidegrees);
    set_limits({"84800", "89800", "94800"});
  }
  void set_limits(const std::vector<std::string>& limits) const {
    for (std::size_t i = 0; i < limits.size(); ++i)
      write(fmt::format("sys/class/apex/apex_0/trip_point{}_temp", i), limits[i]);
  }
};

TEST(Temperature, BelowFirstTripPointIsGood) {
  for (const char* good : {"25050", "80300", "84550"}) {
    EXPECT_THAT(HotMachine(good).diagnose(),
                says(FindingKind::kGood, "temperature", "it throttles at 85, 90 and 95 C"));
  }
}

TEST(Temperature, EachTripPointHalvesTheClock) {
  const auto lowered = [](const std::string& what) {
    return says(FindingKind::kNote, "temperature", what,
                "cool it: it throttles at 85, 90 and 95 C");
  };
  EXPECT_THAT(HotMachine("84800").diagnose(), lowered("apex_0 is at 85 C: the driver lowers its "
                                                      "clock from 500 to 250 MHz"));
  EXPECT_THAT(HotMachine("91050").diagnose(), lowered("to 125 MHz"));
  EXPECT_THAT(HotMachine("97300").diagnose(), lowered("to 62.5 MHz"));
}

TEST(Temperature, ConfiguredTripPointsAreUsed) {
  const HotMachine machine("80300");
  machine.set_limits({"74800", "79800", "84800"});
  EXPECT_THAT(machine.diagnose(),
              says(FindingKind::kNote, "temperature", "to 125 MHz", "75, 80 and 85 C"));
}

TEST(Temperature, EnabledShutdownLimitIsNamed) {
  const HotMachine machine("62550");
  machine.write("sys/class/apex/apex_0/hw_temp_warn2", "99800");
  machine.write("sys/class/apex/apex_0/hw_temp_warn2_en", "0");
  EXPECT_THAT(machine.diagnose(), Not(says(FindingKind::kGood, "temperature", "switches off")));
  machine.write("sys/class/apex/apex_0/hw_temp_warn2_en", "1");
  EXPECT_THAT(machine.diagnose(), says(FindingKind::kGood, "temperature", "switches off at 100 C"));
}

TEST(Temperature, NegativeReadingIsAProblem) {
  EXPECT_THAT(HotMachine("-87900").diagnose(),
              says(FindingKind::kProblem, "temperature",
                   "apex_0 reports -87.9 C: the chip does not answer", "power-cycle the machine"));
}

}  // namespace
}  // namespace segue
