// Tests `segue calibrate` on a stand-in whose times are known.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "command.h"
#include "environment.h"
#include "segue/calibrate.h"
#include "segue/file.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using testing::expect_failure;
using testing::HasWords;
using testing::kCompiler;
using testing::kDevice;
using testing::kUsage;
using testing::run_segue;
using testing::ScratchFolder;

// The times are long compared with the wake-up of a thread.
constexpr const char* kTruth =
    R"({"schema": "segue.device/1", "name": "truth", "base": "edgetpu-usb3", "constants": {
    "invoke": {"value": 6, "unit": "ms"}, "output": {"value": 30, "unit": "ns/B"},
    "input": {"value": 20, "unit": "ns/B"}, "link": {"value": 300, "unit": "MB/s"},
    "clock": {"value": 50, "unit": "MHz"}}})";

std::vector<std::string> arguments(std::vector<std::string> more) {
  more.insert(more.begin(), {"calibrate", "--edgetpu-library", SEGUE_TEST_STAND_IN});
  return more;
}

// Returns the ratio of the high end of the latency's range to its low end.
double width(const nlohmann::json& plan) {
  const auto& range = plan["predicted"]["latency_range_ns"];
  return range[1].get<double>() / range[0].get<double>();
}

nlohmann::json plan_on(const std::string& device, const ScratchFolder& scratch) {
  const auto result = run_segue(
      {"plan", "zoo:mobilenet@64", "--tpus", "1", "--device", device, "--json"}, scratch.path());
  EXPECT_EQ(result.status, 0) << result.err;
  return nlohmann::json::parse(result.out);
}

TEST(CliCalibrate, MeasuredDeviceFileNarrowsPlanRange) {
  const ScratchFolder scratch;
  write_file(scratch.path() / "truth.json", kTruth);
  const std::string compiler =
      std::string(SEGUE_TEST_COMPILER) + " takes=" + (scratch.path() / "truth.json").string();
  const auto result =
      run_segue(arguments({"--use", "usb:2-1", "--compiler-cmd", compiler, "-o", "my-host.json"}),
                scratch.path());
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasWords("Measured on usb:2-1, compared with edgetpu-usb3:"));
  EXPECT_THAT(result.out, HasWords("which is neither the 250 MHz of edgetpu-usb3"));
  EXPECT_THAT(result.out, HasWords("segue-probe-mobilenet"));
  EXPECT_THAT(result.out, HasWords("segue plan MODEL --device my-host.json"));
  EXPECT_EQ(read_device(scratch.path() / "my-host.json").name, "my-host");
  EXPECT_LT(width(plan_on("my-host.json", scratch)), width(plan_on("edgetpu-usb3", scratch)));
}

TEST(CliCalibrate, ProbesCompiledElsewhereAreMeasured) {
  const ScratchFolder scratch;
  write_file(scratch.path() / "truth.json", kTruth);
  const auto written = run_segue({"calibrate", "--write-probes", "probes"}, scratch.path());
  ASSERT_EQ(written.status, 0) << written.err;
  EXPECT_THAT(written.out, HasWords("edgetpu_compiler -o probes probes/*.tflite"));
  const std::string elsewhere = "for f in probes/*.tflite; do " SEGUE_TEST_COMPILER
                                " takes=truth.json --out_dir probes $f >probes/log; done";
  const auto result =
      run_segue(arguments({"--use", "2", "--probes", "probes", "-o", "host.json", "--json"}),
                scratch.path(), elsewhere);
  ASSERT_EQ(result.status, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["schema"], "segue.calibrate/1");
  EXPECT_EQ(json["device"], "usb:2-1");
  EXPECT_EQ(json["constants"].size(), 5U);
  EXPECT_EQ(json["probes"].size(), make_probes().size());
  EXPECT_EQ(read_device(scratch.path() / "host.json").calibration->low, json["calibrated"]["low"]);
}

TEST(CliCalibrate, FailureWritesNoFile) {
  const ScratchFolder scratch;
  const auto expect = [&](const std::vector<std::string>& more, int status,
                          const std::string& message) {
    expect_failure(run_segue(arguments(more), scratch.path()), status, message);
  };
  expect({"-o", "host.txt"}, kUsage, "must end in .json");
  expect({"-o", "edgetpu-pcie.json"}, kUsage, "choose another name");
  expect({}, kUsage, "-o my-host.json");
  expect({"-o", "host.json", "--base", "edgetpu-usb3"}, kUsage,
         "is not on PCIe, but pci:apex_0 is");
  expect({"-o", "host.json", "--use", "usb:7"}, kDevice, "found: pci:apex_0");
  expect({"-o", "host.json", "--compiler-cmd", "/nowhere"}, kCompiler, "--write-probes DIR");
  expect({"-o", "host.json", "--write-probes", "p"}, kUsage, "--output: cannot be combined");
  expect({"-o", "host.json", "--probes", "p"}, testing::kFile, "_edgetpu.tflite: file not found");
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

}  // namespace
}  // namespace segue
