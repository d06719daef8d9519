// Tests calibration on simulated devices, whose constants are known.
#include "segue/calibrate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "environment.h"
#include "expect.h"
#include "segue/cost.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/graph.h"
#include "segue/verify.h"
#include "segue/zoo.h"
#include "stand_in.h"

namespace segue {
namespace {

using testing::expect_error;
using testing::ScratchFolder;

const std::vector<Probe>& probes() {
  static const std::vector<Probe> all = make_probes();
  return all;
}

Nanoseconds time_on(const DeviceSpec& device, const Model& model) {
  const Graph graph(model);
  const auto all = graph.operators_between(1, graph.depth());
  return simulate_segment(graph, all, make_simulated_compiler(device)->compile(graph, all), device)
      .total();
}

// Returns the simulated times of all probes on a device, times a factor for some of them.
std::vector<ProbeTime> times_on(const DeviceSpec& device,
                                const std::map<std::string, double>& factors = {}) {
  std::vector<ProbeTime> times;
  for (const Probe& probe : probes()) {
    const auto factor = factors.find(probe.model.name().substr(std::string("segue-probe-").size()));
    const double ns = static_cast<double>(time_on(device, probe.model).count());
    times.push_back(
        {Nanoseconds(std::llround(ns * (factor == factors.end() ? 1 : factor->second))), 0, 1});
  }
  return times;
}

// Returns the device with another host and another clock.
DeviceSpec changed(DeviceSpec device) {
  device.timing.invoke_ns.value *= 1.7;
  device.timing.input_ns_per_byte.value *= 3;
  device.timing.output_ns_per_byte.value *= 0.6;
  device.timing.link_bytes_per_s.value *= 0.8;
  device.timing.clock_hz.value *= 1.9;
  return device;
}

double measured(const CalibrationResult& result, const std::string& key) {
  return std::ranges::find(result.constants, key, &CalibratedConstant::key)->measured;
}

void expect_same_constants(DeviceSpec found, DeviceSpec expected, double share) {
  for (const NamedConstant& constant : device_constants()) {
    const double value = constant.of(expected)->value;
    EXPECT_NEAR(constant.of(found)->value, value, share * value)
        << expected.name << ": " << constant.key;
  }
}

TEST(FitCalibration, ExactTimesRecoverDeviceConstants) {
  constexpr double kShare = 0.001;
  for (const DeviceSpec& base : device_catalogue()) {
    const CalibrationResult result = fit_calibration(probes(), times_on(changed(base)), base);
    expect_same_constants(result.device, changed(base), kShare);
    ASSERT_TRUE(result.device.calibration.has_value());
    EXPECT_NEAR(result.device.calibration->low, 1, kShare);
    EXPECT_NEAR(result.device.calibration->high, 1, kShare);
    EXPECT_EQ(result.base, base.name);
  }
}

// An error of one percent in a probe has a limited effect on the constant that it measures.
TEST(FitCalibration, OnePercentNoiseGivesSmallErrors) {
  const DeviceSpec& base = find_device("edgetpu-usb3");
  for (const double sign : {1.0, -1.0}) {
    const CalibrationResult result =
        fit_calibration(probes(),
                        times_on(changed(base), {{"invoke", 1 + 0.01 * sign},
                                                 {"link", 1 - 0.01 * sign},
                                                 {"input", 1 + 0.01 * sign},
                                                 {"output", 1 - 0.01 * sign},
                                                 {"clock", 1 + 0.01 * sign}}),
                        base);
    DeviceSpec found = result.device;
    const double input = found.timing.input_ns_per_byte.value;
    EXPECT_NEAR(input, 0.75, 0.1);
    found.timing.input_ns_per_byte.value = changed(base).timing.input_ns_per_byte.value;
    expect_same_constants(found, changed(base), 0.04);
    EXPECT_NEAR(result.device.calibration->low, 1, 0.02);
    EXPECT_NEAR(result.device.calibration->high, 1, 0.02);
  }
}

TEST(FitCalibration, ErrorRangeComesFromUnusedProbes) {
  const DeviceSpec& base = find_device("edgetpu-pcie");
  const CalibrationResult result = fit_calibration(
      probes(), times_on(changed(base), {{"mobilenet", 1.04}, {"streaming", 0.95}}), base);
  expect_same_constants(result.device, changed(base), 0.001);
  EXPECT_NEAR(result.device.calibration->low, 0.95, 0.001);
  EXPECT_NEAR(result.device.calibration->high, 1.04, 0.001);
}

TEST(FitCalibration, NegativeCostIsClampedToZero) {
  DeviceSpec truth = find_device("edgetpu-usb3");
  truth.timing.input_ns_per_byte.value = 0;
  const CalibrationResult result =
      fit_calibration(probes(), times_on(truth, {{"input", 0.98}}), find_device("edgetpu-usb3"));
  EXPECT_EQ(measured(result, "input"), 0);
  EXPECT_NEAR(measured(result, "clock"), 250, 5);
  EXPECT_NEAR(measured(result, "link"), 430, 10);
}

TEST(FitCalibration, ImplausibleTimesAreRefused) {
  const DeviceSpec& base = find_device("edgetpu-usb3");
  const auto expect_refused = [&](const std::map<std::string, double>& factors,
                                  const std::string& reason) {
    expect_error(ErrorCode::kDevice,
                 [&] { (void)fit_calibration(probes(), times_on(base, factors), base); },
                 {reason, "segue-probe-invoke ", "measure again"});
  };
  expect_refused({{"link", 1e-3}}, "no positive value of 'link'");
  expect_refused({{"clock", 1e-2}}, "no positive value of 'clock'");
  expect_refused({{"clock", 1e3}}, "no positive value of 'invoke'");
  expect_refused({{"invoke", 0}}, "segue-probe-invoke: measured time is 0");
  expect_refused({{"input", 0.3}}, "times as long as predicted by the constants that fit best");
  expect_refused({{"maps", 2.5}}, "times as long as predicted by the constants that were measured");
  DeviceSpec crawling = base;
  crawling.timing.link_bytes_per_s.value = 0.05e6;
  expect_error(ErrorCode::kDevice,
               [&] { (void)fit_calibration(probes(), times_on(crawling), base); },
               {"'link' would be 0.05 MB/s, but a device file allows 0.1 to"});
  std::vector<ProbeTime> equal(probes().size(), {std::chrono::milliseconds(1), 0, 1});
  expect_error(ErrorCode::kDevice, [&] { (void)fit_calibration(probes(), equal, base); });
  equal.pop_back();
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)fit_calibration(probes(), equal, base); },
               {"7 times for 8 probes"});
}

TEST(CalibratedDevice, JsonRoundTripKeepsConstants) {
  const DeviceSpec& base = find_device("edgetpu-devboard");
  const CalibrationResult result = fit_calibration(probes(), times_on(changed(base)), base);
  const DeviceSpec read = parse_device(calibrated_device_json(result, "mine"), "mine.json");
  expect_same_constants(read, result.device, 1e-12);
  EXPECT_EQ(read.name, "mine");
  EXPECT_EQ(read.calibration->low, result.device.calibration->low);
  EXPECT_EQ(read.calibration->high, result.device.calibration->high);
  expect_error(ErrorCode::kInvalidArgument,
               [&] { (void)calibrated_device_json(result, "edgetpu-pcie"); },
               {"choose another name"});
}

TEST(ClockSentence, MeasuredClockIsNamedOrUnknown) {
  const DeviceSpec& base = find_device("edgetpu-pcie");
  const auto sentence_at = [&](double mhz) {
    DeviceSpec truth = base;
    truth.timing.clock_hz.value = mhz * 1e6;
    return clock_sentence(fit_calibration(probes(), times_on(truth), base));
  };
  EXPECT_THAT(sentence_at(252), ::testing::HasSubstr("matches the 250 MHz of edgetpu-pcie"));
  EXPECT_THAT(sentence_at(490), ::testing::HasSubstr("at 500 MHz (490 measured), not at the 250"));
  EXPECT_THAT(sentence_at(125), ::testing::HasSubstr("is 125 MHz, which is neither"));
}

TEST(CalibrationBase, LinkSelectsBaseDevice) {
  const EdgeTpuDevice card{EdgeTpuDevice::Link::kPcie, "/dev/apex_0", "", {}, {}};
  EdgeTpuDevice stick{EdgeTpuDevice::Link::kUsb, "/sys/bus/usb/devices/2-1", "", {}, {}};
  EXPECT_EQ(calibration_base(card).name, "edgetpu-pcie");
  EXPECT_EQ(calibration_base(stick).name, "edgetpu-usb3");
  stick.link_speed_mbps = 480;
  EXPECT_EQ(calibration_base(stick).name, "edgetpu-usb2");
  check_calibration_base(find_device("edgetpu-card8"), card);
  check_calibration_base(find_device("edgetpu-usb3-max"), stick);
  expect_error(ErrorCode::kInvalidArgument,
               [&] { check_calibration_base(find_device("edgetpu-pcie"), stick); },
               {"'edgetpu-pcie' is not on USB, but usb:2-1 is", "edgetpu-usb2"});
  expect_error(ErrorCode::kInvalidArgument,
               [&] { check_calibration_base(find_device("edgetpu-usb3"), card); });
}

// A device with its own clock, in which `time` returns the duration of each run.
class TimedDevice : public Backend {
 public:
  using Time = std::function<Nanoseconds(int run)>;
  explicit TimedDevice(Time time) : time_(std::move(time)) {}
  [[nodiscard]] std::string description() const override { return "timed"; }
  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte>,
                                              const std::string&) const override {
    return std::make_unique<TimedSession>(*this);
  }
  [[nodiscard]] std::function<Nanoseconds()> clock() const {
    return [this] { return now_; };
  }

 private:
  class TimedSession : public Session {
   public:
    explicit TimedSession(const TimedDevice& device) : device_(device) {}
    [[nodiscard]] std::span<const Port> inputs() const override { return {}; }
    [[nodiscard]] std::span<const Port> outputs() const override { return {}; }
    void run_into(std::span<const std::span<const std::byte>>, std::vector<TensorBytes>&) override {
      device_.now_ += device_.time_(run_++);
    }

   private:
    const TimedDevice& device_;
    int run_ = 0;
  };

  Time time_;
  mutable Nanoseconds now_{0};
};

std::vector<Model> one_model() {
  const auto bytes = probes()[0].model.bytes();
  std::vector<Model> models;
  models.push_back(parse_model({bytes.begin(), bytes.end()}, "probe"));
  return models;
}

TEST(MeasureProbes, WarmUpAndOutliersAreIgnored) {
  const TimedDevice device([](int run) {
    return Nanoseconds(run < 2 ? 900'000'000 : run % 7 == 0 ? 5'000'000 : 1'000'000 + run);
  });
  const auto times = measure_probes(one_model(), device, device.clock());
  ASSERT_EQ(times.size(), 1U);
  EXPECT_EQ(times[0].runs, 40U);
  EXPECT_NEAR(to_ms(times[0].median), 1, 1e-4);
  EXPECT_LT(times[0].spread, 1e-4);
}

TEST(MeasureProbes, SlowProbeStopsAtTimeBudget) {
  const TimedDevice slow([](int) { return std::chrono::milliseconds(40); });
  EXPECT_EQ(measure_probes(one_model(), slow, slow.clock())[0].runs, 13U);
  const TimedDevice slower([](int) { return std::chrono::milliseconds(300); });
  EXPECT_EQ(measure_probes(one_model(), slower, slower.clock())[0].runs, 10U);
}

TEST(MeasureProbes, NoiseAndStoppedClockAreRefused) {
  const TimedDevice noisy([](int run) { return Nanoseconds(1'000'000 + 150'000 * (run % 2)); });
  expect_error(ErrorCode::kDevice, [&] { (void)measure_probes(one_model(), noisy, noisy.clock()); },
               {"probe: the middle half of 40 runs", "stop other programs"});
  const TimedDevice standing([](int) { return Nanoseconds(0); });
  expect_error(ErrorCode::kDevice,
               [&] { (void)measure_probes(one_model(), standing, standing.clock()); },
               {"measured time is 0"});
}

TEST(Probes, OperatorsRunOnTpuAndTwoProbesStream) {
  for (const DeviceSpec& device : device_catalogue()) {
    for (const Probe& probe : probes()) {
      const Graph graph(probe.model);
      const auto all = graph.operators_between(1, graph.depth());
      EXPECT_TRUE(operators_on_host(graph, all).empty()) << probe.model.name();
      const auto memory = make_simulated_compiler(device)->compile(graph, all);
      const std::string& name = probe.model.name();
      EXPECT_EQ(memory.host_bytes > 0,
                name == "segue-probe-link" || name == "segue-probe-streaming")
          << name;
    }
  }
}

TEST(Probes, CompiledFilesAreReadAndOthersRefused) {
  const ScratchFolder scratch;
  const auto compiled = compile_probes(probes(), scratch.path(), testing::stand_in_compiler());
  ASSERT_EQ(compiled.size(), probes().size());
  const auto file_of = [&](std::size_t i) {
    return scratch.path() / compiled_file_name(probes()[i].model.name() + ".tflite");
  };
  for (std::size_t i = 0; i < compiled.size(); ++i)
    testing::write_bytes(file_of(i), compiled[i].bytes());
  EXPECT_EQ(read_compiled_probes(probes(), scratch.path()).size(), probes().size());
  const auto read = [&] { (void)read_compiled_probes(probes(), scratch.path()); };
  testing::write_bytes(file_of(2), compiled[3].bytes());
  expect_error(
      ErrorCode::kInvalidArgument, read,
      {"segue-probe-input_edgetpu.tflite: not the compiled probe", "1x64x64x3 instead of"});
  testing::write_bytes(file_of(2), probes()[2].model.bytes());
  expect_error(ErrorCode::kInvalidArgument, read, {"no part of it is compiled", "--write-probes"});
  std::filesystem::remove(file_of(2));
  expect_error(ErrorCode::kIo, read, {"segue-probe-input_edgetpu.tflite: file not found"});
}

TEST(Probes, CompilerFailureNamesProbe) {
  const ScratchFolder scratch;
  expect_error(ErrorCode::kCompiler,
               [&] {
                 (void)compile_probes(probes(), scratch.path(),
                                      testing::stand_in_compiler({"fault=large:SOFTMAX"}));
               },
               {"segue-probe-mobilenet: Compilation failed"});
}

}  // namespace
}  // namespace segue
