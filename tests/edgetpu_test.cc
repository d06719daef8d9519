// Tests the Edge TPU backend with a stand-in for libedgetpu, and common properties of all backends.
#include "segue/edgetpu.h"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "compiled_chain.h"
#include "environment.h"
#include "expect.h"
#include "fake_machine.h"
#include "model_builder.h"
#include "segue/cost.h"
#include "segue/error.h"
#include "segue/pipeline.h"
#include "segue/report.h"
#include "segue/zoo.h"
#include "stand_in.h"

namespace segue {
namespace {

using std::chrono::milliseconds;
using testing::bytes_with;
using testing::chain;
using testing::compiled;
using testing::expect_error;
using testing::FakeMachine;
using testing::ModelBuilder;
using testing::ScratchFolder;
using testing::stand_in;
using testing::StandIn;
using testing::TensorIndex;

TEST(EdgeTpuDevices, ListHasDriverInformation) {
  const StandIn reset;
  const ScratchFolder scratch;
  const auto write = [&](const std::string& path, const std::string& text) {
    std::filesystem::create_directories((scratch.path() / path).parent_path());
    std::ofstream(scratch.path() / path) << text << "\n";
  };
  write("class/apex/apex_0/temp", "62500");
  write("class/apex/apex_0/unique_id", "0x3e8a1b");
  write("class/apex/apex_1/temp", "-87900");
  write("bus/usb/devices/2-1/speed", "480");
  const auto devices = list_edgetpu_devices(stand_in(), scratch.path());
  ASSERT_EQ(devices.size(), 3);
  EXPECT_EQ(devices[0].name(), "pci:apex_0");
  EXPECT_EQ(devices[0].unique_id, "0x3e8a1b");
  EXPECT_EQ(devices[0].temperature_c, 62.5);
  EXPECT_EQ(devices[1].temperature_c, std::nullopt);  // the chip has crashed
  EXPECT_EQ(devices[2].name(), "usb:2-1");
  EXPECT_EQ(devices[2].link_speed_mbps, 480);
  for (const char* name : {"pci:apex_0", "0x3e8a1b", "/dev/apex_0", "0"})
    EXPECT_EQ(&find_edgetpu_device(devices, name), &devices[0]);
  expect_error(ErrorCode::kDevice, [&] { (void)find_edgetpu_device(devices, "usb:9"); },
               {"'usb:9'", "pci:apex_0, pci:apex_1, usb:2-1"});
  expect_error(ErrorCode::kDevice, [&] { (void)find_edgetpu_device({}, "0"); }, {"segue doctor"});
  expect_error(ErrorCode::kDevice,
               [&] { (void)find_edgetpu_device(std::span(devices).first(1), "usb:9"); },
               {"found: pci:apex_0"});
}

TEST(EdgeTpuDevices, UsbDeviceNamesController) {
  const FakeMachine machine(3);
  machine.add_stick("2-1", "18d1:9302", "pci0000:00/0000:00:14.0", "5000");
  const auto devices = list_edgetpu_devices(stand_in(), machine.root() / "sys");
  EXPECT_EQ(devices.at(2).controller, "0000:00:14.0");
  EXPECT_EQ(devices.at(0).controller, "");
}

TEST(UnlistedDevices, KernelOnlyDevicesHaveReasons) {
  const FakeMachine machine(3);
  machine.add_working_card("apex_0", "0000:01:00.0");
  machine.add_card("0000:02:00.0", "apex");
  machine.add_apex("apex_7", "0000:02:00.0");
  machine.write("sys/class/apex/apex_7/temp", "62500");
  machine.write("sys/class/apex/apex_7/unique_id", "0x3e8a1b");
  machine.add_card("0000:03:00.0");
  machine.add_card("0000:04:00.0", "apex");
  machine.add_stick("2-1", "18d1:9302");
  machine.add_stick("2-2", "1a6e:089a", "pci0000:00/0000:00:14.0", "480");
  const auto listed = list_edgetpu_devices(stand_in(), machine.root() / "sys");
  const auto devices = find_unlisted_devices(listed, machine.root());
  ASSERT_EQ(devices.size(), 4U);
  const std::string dev = (machine.root() / "dev").string();
  EXPECT_EQ(devices[0].name(), "pci:apex_7");
  EXPECT_EQ(devices[0].unlisted, dev + "/apex_7 is missing");
  EXPECT_EQ(devices[0].temperature_c, 62.5);
  EXPECT_EQ(devices[0].unique_id, "0x3e8a1b");
  EXPECT_EQ(devices[1].name(), "pci:0000:03:00.0");
  EXPECT_EQ(devices[1].unlisted, "it has no driver");
  EXPECT_EQ(devices[2].unlisted, "driver 'apex' created no device for it");
  EXPECT_EQ(devices[3].name(), "usb:2-2");
  EXPECT_EQ(devices[3].unlisted, dev + "/bus/usb/002/007 is missing");
  EXPECT_EQ(devices[3].link_speed_mbps, 480);
  EXPECT_EQ(devices[3].controller, "0000:00:14.0");
}

TEST(DevicesReport, UnlistedDevicesAreCounted) {
  EdgeTpuDevice stick;
  stick.link = EdgeTpuDevice::Link::kUsb;
  stick.path = "/sys/bus/usb/devices/2-1";
  stick.controller = "0000:00:14.0";
  EdgeTpuDevice file;
  file.path = "/dev/apex_0";
  file.unlisted = "/dev/apex_0 is not a character device";
  using ::testing::HasSubstr;
  EXPECT_THAT(devices_text({}), HasSubstr("No Edge TPU found; `segue doctor`"));
  EXPECT_THAT(devices_text(std::vector{stick}), ::testing::Not(HasSubstr("segue doctor")));
  const std::vector<EdgeTpuDevice> both{stick, file};
  EXPECT_THAT(devices_text(both),
              HasSubstr("\n1 Edge TPU is not in libedgetpu's list; `segue doctor`"));
  EXPECT_THAT(devices_text(both, 160), HasSubstr("no: /dev/apex_0 is not a character device"));
  EXPECT_THAT(devices_text(std::vector{file, file}), HasSubstr("\n2 Edge TPUs are not in"));
  const auto json = nlohmann::json::parse(devices_json(both));
  EXPECT_EQ(json["schema"], "segue.devices/2");
  EXPECT_EQ(json["devices"][0]["controller"], "0000:00:14.0");
  EXPECT_EQ(json["devices"][0]["unlisted"], nullptr);
  EXPECT_EQ(json["devices"][1]["unlisted"], "/dev/apex_0 is not a character device");
}

TEST(EdgeTpuLibrary, MissingLibraryIsNamed) {
  expect_error(ErrorCode::kDevice,
               [] {
                 (void)list_edgetpu_devices({{SEGUE_TEST_RUNTIME}, {"/nowhere/libedgetpu.so.1"}});
               },
               {"/nowhere/libedgetpu.so.1", "libedgetpu1-std"});
  expect_error(ErrorCode::kDevice,
               [] {
                 (void)list_edgetpu_devices({{SEGUE_TEST_RUNTIME}, {SEGUE_TEST_RUNTIME}});
               },
               {"not the expected library"});
}

TEST(EdgeTpuLibrary, IncompatibleLibraryIsRefused) {
  StandIn library;
  const auto model = compiled("x", "y");
  const auto devices = list_edgetpu_devices(stand_in());
  EXPECT_NO_THROW(check_edgetpu(stand_in(), devices[0], model, "m"));
  library.fail(0, kStandInCrash, 0);
  expect_error(ErrorCode::kDevice, [&] { check_edgetpu(stand_in(), devices[0], model, "m"); },
               {"2.21.0", "TENSORFLOW_COMMIT=stand-in", "are not compatible", "signal 11"});
}

TEST(EdgeTpuBackend, CompiledFileRunsAndFreesDelegate) {
  const StandIn library;
  {
    const auto model = compiled("x", "y");
    const auto backend = make_edgetpu_backend(stand_in(), list_edgetpu_devices(stand_in())[2]);
    EXPECT_THAT(backend->description(), ::testing::HasSubstr("usb:2-1"));
    const auto session = backend->open(model, "m");
    EXPECT_EQ(library.open_delegates(), 1);
    const auto x = bytes_with(41);
    const std::span<const std::byte> input(x);
    EXPECT_EQ(session->run({&input, 1}).at(0), bytes_with(42));
  }
  EXPECT_EQ(library.open_delegates(), 0);
}

TEST(EdgeTpuBackend, TemperatureIsReadFromDriver) {
  const StandIn library;
  const ScratchFolder scratch;
  const auto folder = scratch.path() / "class" / "apex" / "apex_0";
  std::filesystem::create_directories(folder);
  const auto devices = list_edgetpu_devices(stand_in(), scratch.path());
  const auto backend = make_edgetpu_backend(stand_in(), devices[0], {.sysfs = scratch.path()});
  EXPECT_EQ(backend->temperature_c(), std::nullopt);
  std::ofstream(folder / "temp") << "84250\n";
  EXPECT_EQ(backend->temperature_c(), 84.25);
  std::ofstream(folder / "temp") << "-87900\n";
  EXPECT_EQ(backend->temperature_c(), std::nullopt) << "what a chip that crashed shows";
}

TEST(EdgeTpuBackend, GoogleCompiledModelRuns) {
  const auto file = testing::shared("models/mobilenet_v1_0.25_128_quant_edgetpu.tflite");
  SKIP_WITHOUT(file);
  const StandIn library;
  const auto model = testing::read_bytes(file);
  const auto backend = make_edgetpu_backend(stand_in(), list_edgetpu_devices(stand_in())[0]);
  const auto session = backend->open(model, "mobilenet");
  const TensorBytes image(session->inputs()[0].bytes, std::byte{7});
  const std::span<const std::byte> input(image);
  EXPECT_EQ(session->run({&input, 1}).at(0).at(0), std::byte{8});
}

class EdgeTpuFaults : public ::testing::TestWithParam<StandInFault> {};

TEST_P(EdgeTpuFaults, OneFaultyDeviceLosesNoResult) {
  StandIn library;
  library.fail(0, GetParam(), 20);
  const std::vector<std::vector<std::byte>> files{compiled("a", "b"), compiled("b", "c")};
  // Only a hanging device needs a short watchdog. Everything else may be slow on a busy machine.
  const auto watchdog = GetParam() == kStandInHang ? milliseconds(200) : milliseconds(10'000);
  Pipeline pipeline(chain(files, {1, 1}), testing::stand_in_devices(), {.watchdog = watchdog});
  std::thread producer([&] {
    for (int i = 0; i < 100; ++i) {
      std::vector<TensorBytes> inputs;
      inputs.push_back(bytes_with(i));
      EXPECT_EQ(pipeline.push(std::move(inputs)), Flow::kOk);
    }
    pipeline.close();
  });
  PipelineResult result;
  int next = 0;
  for (; pipeline.pop(result) == Flow::kOk; ++next) {
    ASSERT_EQ(result.number, static_cast<std::uint64_t>(next));
    ASSERT_EQ(result.outputs.at(0), bytes_with(next + 2));
  }
  EXPECT_EQ(next, 100);
  producer.join();
  EXPECT_EQ(pipeline.statistics().losses.size(), GetParam() == kStandInLate ? 0 : 1);
}

INSTANTIATE_TEST_SUITE_P(All, EdgeTpuFaults,
                         ::testing::Values(kStandInError, kStandInAbort, kStandInHang, kStandInLate,
                                           kStandInVanish, kStandInExit));

// --- common properties of all backends

struct BackendKind {
  const char* name;
  std::unique_ptr<Backend> (*make)();
};
void PrintTo(const BackendKind& kind, std::ostream* out) { *out << kind.name; }

std::unique_ptr<Backend> cpu(CpuKernels kernels) {
  return make_cpu_backend({.libraries = {SEGUE_TEST_RUNTIME}, .kernels = kernels});
}

class BackendContract : public ::testing::TestWithParam<BackendKind> {};

TEST_P(BackendContract, RepeatedRunsReuseOutputMemory) {
  const StandIn reset;
  const Model model = open_model("zoo:squeezenet@64");
  const auto backend = GetParam().make();
  EXPECT_FALSE(backend->description().empty());
  const auto session = backend->open(model.bytes(), "squeezenet");
  ASSERT_EQ(session->inputs().size(), 1);
  EXPECT_EQ(session->inputs()[0].shape, (std::vector<std::int32_t>{1, 64, 64, 3}));
  const TensorBytes image(session->inputs()[0].bytes, std::byte{90});
  const std::span<const std::byte> input(image);
  std::vector<TensorBytes> outputs;
  session->run_into({&input, 1}, outputs);
  const TensorBytes first = outputs.at(0);
  const std::byte* memory = outputs[0].data();
  session->run_into({&input, 1}, outputs);
  EXPECT_EQ(outputs[0], first);
  EXPECT_EQ(outputs[0].data(), memory);
  if (std::string(GetParam().name) != "xnnpack") {
    EXPECT_EQ(cpu(CpuKernels::kBuiltin)->open(model.bytes(), "squeezenet")->run({&input, 1})[0],
              first);
  }
}

TEST_P(BackendContract, WrongInputsAndModelsAreRefused) {
  const StandIn reset;
  const Model model = open_model("zoo:squeezenet@64");
  const auto backend = GetParam().make();
  const auto session = backend->open(model.bytes(), "squeezenet");
  const TensorBytes small(3);
  const std::span<const std::byte> input(small);
  expect_error(ErrorCode::kInvalidArgument,
               [&] {
                 (void)session->run({&input, 1});
               },
               {"3 were given"});
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)session->run({}); }, {"0 inputs"});
  const TensorBytes damaged(100);
  expect_error(ErrorCode::kInvalidModel, [&] { (void)backend->open(damaged, "odd"); }, {"odd"});
}

INSTANTIATE_TEST_SUITE_P(
    All, BackendContract,
    ::testing::Values(BackendKind{"cpu", [] { return cpu(CpuKernels::kBuiltin); }},
                      BackendKind{"xnnpack", [] { return cpu(CpuKernels::kXnnpack); }},
                      BackendKind{"simulated",
                                  [] {
                                    return make_simulated_backend(cpu(CpuKernels::kBuiltin),
                                                                  find_device("edgetpu-pcie"));
                                  }},
                      BackendKind{"edgetpu",
                                  [] {
                                    return make_edgetpu_backend(
                                        stand_in(), list_edgetpu_devices(stand_in())[0]);
                                  }}),
    [](const auto& row) { return row.param.name; });

TEST(SimulatedBackend, RunLastsScaledSimulatedTime) {
  const Model model = open_model("zoo:squeezenet@64");
  const Graph graph(model);
  const auto operators = graph.operators_between(1, graph.depth());
  const DeviceSpec& device = find_device("edgetpu-usb2");
  const auto compiler = make_simulated_compiler(device);
  const Nanoseconds simulated =
      simulate_segment(graph, operators, compiler->compile(graph, operators), device).total();
  const auto backend = make_simulated_backend(cpu(CpuKernels::kBuiltin), device, 5);
  EXPECT_THAT(backend->description(), ::testing::HasSubstr("5 times the simulated time"));
  const auto session = backend->open(model.bytes(), "squeezenet");
  const TensorBytes image(session->inputs()[0].bytes);
  const std::span<const std::byte> input(image);
  const auto begin = std::chrono::steady_clock::now();
  (void)session->run({&input, 1});
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 5 * simulated);
  expect_error(ErrorCode::kInvalidArgument,
               [&] { (void)make_simulated_backend(cpu(CpuKernels::kBuiltin), device, -1); },
               {"time scale"});
}

}  // namespace
}  // namespace segue
