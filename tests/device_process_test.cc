// Tests Edge TPUs in separate processes: their output, their end, and what remains after it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <fstream>
#include <memory>
#include <thread>

#include "base/internal/process/message.h"
#include "base/internal/process/shared_memory.h"
#include "base/internal/process/worker.h"
#include "compiled_chain.h"
#include "environment.h"
#include "expect.h"
#include "stand_in.h"

namespace segue {
namespace {

using std::chrono::milliseconds;
using testing::bytes_with;
using testing::chain;
using testing::compiled_chain;
using testing::expect_error;
using ::testing::HasSubstr;
using testing::stand_in_devices;
using testing::StandIn;

template <typename Condition>
bool comes_true(const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

bool is_alive(int process) { return ::kill(process, 0) == 0; }

// A child that its parent has not waited for yet is a zombie, which counts as dead.
bool has_died(int process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string id;
  std::string name;
  std::string state;
  std::getline(file, id, '(');
  std::getline(file, name, ')');
  return !(file >> state) || state == "Z";
}

std::vector<TensorBytes> one(TensorBytes value) {
  std::vector<TensorBytes> values;
  values.push_back(std::move(value));
  return values;
}

// Pushes one input and returns its result.
TensorBytes through(Pipeline& pipeline, TensorBytes value) {
  EXPECT_EQ(pipeline.push(one(std::move(value))), Flow::kOk);
  PipelineResult result;
  EXPECT_EQ(pipeline.pop(result), Flow::kOk);
  return result.outputs.at(0);
}

TEST(DeviceProcess, DevicesRunInSeparateProcesses) {
  const StandIn library;
  const auto files = compiled_chain(2, 1000);
  Pipeline pipeline(chain(files, {1, 1}), stand_in_devices(), {});
  EXPECT_NE(library.process(0), ::getpid());
  EXPECT_NE(library.process(0), library.process(1));
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(through(pipeline, bytes_with(i, 1000)), bytes_with(i + 2, 1000));
}

TEST(DeviceProcess, DisabledOptionRunsInCaller) {
  const StandIn library;
  const auto files = compiled_chain(1);
  Pipeline pipeline(chain(files, {1}), stand_in_devices(), {.own_processes = false});
  EXPECT_EQ(library.process(0), ::getpid());
  EXPECT_EQ(through(pipeline, bytes_with(1)), bytes_with(2));
}

TEST(DeviceProcess, PipelineDestructorEndsProcesses) {
  const StandIn library;
  const auto files = compiled_chain(2);
  std::vector<int> processes;
  {
    Pipeline pipeline(chain(files, {1, 1}), stand_in_devices(), {});
    processes = {library.process(0), library.process(1)};
    EXPECT_TRUE(is_alive(processes[0]));
  }
  for (const int process : processes) EXPECT_FALSE(is_alive(process));
  EXPECT_EQ(library.open_delegates(), 0) << "freed in order";
}

TEST(DeviceProcess, AbortReportsSignalAndLastOutput) {
  StandIn library;
  library.fail(0, kStandInAbort, 0);
  const auto files = compiled_chain(1);
  Pipeline pipeline(chain(files, {1}), stand_in_devices(), {});
  EXPECT_EQ(through(pipeline, bytes_with(1)), bytes_with(2));
  const auto losses = pipeline.statistics().losses;
  ASSERT_EQ(losses.size(), 1);
  EXPECT_THAT(losses[0].reason,
              HasSubstr("pci:apex_0: the process of the device ended with signal 6 (Aborted) while "
                        "it computed: F driver/usb/usb_driver.cc:1150] transfer on tag 2 failed"));
  EXPECT_EQ(losses[0].remedy, "spare device pci:apex_1");
}

TEST(DeviceProcess, HangIsReplacedBySpareInTime) {
  StandIn library;
  library.fail(0, kStandInHang, 0);
  const auto files = compiled_chain(1);
  Pipeline pipeline(chain(files, {1}), stand_in_devices(), {.watchdog = milliseconds(300)});
  const int hung = library.process(0);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(through(pipeline, bytes_with(1)), bytes_with(2));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  EXPECT_TRUE(comes_true([&] { return has_died(hung); }));
}

TEST(DeviceProcess, SparesOpenInBackground) {
  const StandIn library;
  const auto files = compiled_chain(1);
  Pipeline pipeline(chain(files, {1}), stand_in_devices(), {});
  EXPECT_TRUE(comes_true([&] { return library.process(1) != 0 && library.process(2) != 0; }));
  EXPECT_TRUE(pipeline.statistics().losses.empty());
}

TEST(DeviceProcess, SlowSparesOpenOneAtATime) {
  StandIn library;
  library.slow_open(150);
  const auto files = compiled_chain(1);
  Pipeline pipeline(chain(files, {1}), stand_in_devices(), {});
  const auto open_spares = [&] {
    return (library.process(1) != 0 ? 1 : 0) + (library.process(2) != 0 ? 1 : 0);
  };
  EXPECT_TRUE(comes_true([&] { return open_spares() > 0; }));
  EXPECT_EQ(open_spares(), 1) << "the other spare waits for it";
  EXPECT_EQ(through(pipeline, bytes_with(1)), bytes_with(2)) << "and the pipeline for neither";
  EXPECT_TRUE(comes_true([&] { return open_spares() == 2; }));
}

TEST(DeviceProcess, SpareThatFailedToOpenIsRetried) {
  StandIn library;
  const auto files = compiled_chain(1);
  auto devices = stand_in_devices();
  devices = {devices[0], devices[2]};
  library.fail_opens(1);  // the stick, which is the spare, always fails to open
  Pipeline pipeline(chain(files, {1}), std::move(devices), {});
  EXPECT_TRUE(comes_true([&] { return library.opens() >= 3; }));
  library.fail_opens(0);
  ::kill(library.process(0), SIGKILL);
  EXPECT_EQ(through(pipeline, bytes_with(1)), bytes_with(2));
}

TEST(DeviceProcess, IdleSpareDeathIsReported) {
  const StandIn library;
  const auto files = compiled_chain(1);
  Pipeline pipeline(chain(files, {1}), stand_in_devices(), {});
  ASSERT_TRUE(comes_true([&] { return library.process(1) != 0; }));
  const int spare = library.process(1);
  ::kill(spare, SIGABRT);
  ASSERT_TRUE(comes_true([&] { return has_died(spare); }));
  ::kill(library.process(0), SIGKILL);
  EXPECT_EQ(through(pipeline, bytes_with(1)), bytes_with(2));
  const auto losses = pipeline.statistics().losses;
  ASSERT_EQ(losses.size(), 2);
  EXPECT_THAT(losses[1].reason,
              HasSubstr("ended with signal 6 (Aborted) before it opened a model"));
  EXPECT_THAT(losses[1].reason, ::testing::Not(HasSubstr("same version")));
}

TEST(DeviceProcess, StoppedProcessesEndInParallel) {
  const StandIn library;
  const auto files = compiled_chain(3);
  auto pipeline =
      std::make_unique<Pipeline>(chain(files, {1, 1, 1}), stand_in_devices(), PipelineOptions{});
  for (int i = 0; i < 3; ++i) ::kill(library.process(i), SIGSTOP);
  const auto begin = std::chrono::steady_clock::now();
  pipeline.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(2900))
      << "one after another takes 3 s";
}

// If the limit of open files is the present number, the pipeline reports an error and the program
// continues.
TEST(DeviceProcess, ExhaustedDescriptorsAreADeviceError) {
  StandIn library;
  library.attach(2);
  const auto files = compiled_chain(2);
  Pipeline pipeline(chain(files, {1, 1}), stand_in_devices(), {});
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const int next = ::dup(0);
  ::close(next);
  const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &none);
  EXPECT_EQ(pipeline.push(one(bytes_with(1))), Flow::kOk);
  PipelineResult result;
  expect_error(ErrorCode::kDevice, [&] { (void)pipeline.pop(result); }, {"shared memory"});
  ::setrlimit(RLIMIT_NOFILE, &before);
}

// If a caller has closed the standard streams, none of our files gets their numbers.
TEST(DeviceProcess, ClosedStandardStreamsStayClosed) {
  const StandIn library;
  const auto files = compiled_chain(1);
  const int output = ::dup(STDOUT_FILENO);
  const int input = ::dup(STDIN_FILENO);
  ::close(STDIN_FILENO);
  ::close(STDOUT_FILENO);
  {
    Pipeline pipeline(chain(files, {1}), stand_in_devices(), {});
    EXPECT_EQ(::fcntl(STDIN_FILENO, F_GETFD), -1);
    EXPECT_EQ(::fcntl(STDOUT_FILENO, F_GETFD), -1);
    EXPECT_EQ(through(pipeline, bytes_with(1)), bytes_with(2));
  }
  ::dup2(input, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::close(input);
  ::close(output);
}

TEST(DeviceProcess, OpeningCallbackNamesEachDevice) {
  const StandIn library;
  const auto files = compiled_chain(2);
  std::vector<std::string> told;
  const Pipeline pipeline(
      chain(files, {1, 1}), stand_in_devices(),
      {.on_opening = [&](const std::string& device, auto number, auto count) {
        told.push_back(device + " " + std::to_string(number) + "/" + std::to_string(count));
      }});
  EXPECT_EQ(told, (std::vector<std::string>{"pci:apex_0 1/2", "pci:apex_1 2/2"}));
}

// Forbids what containers that restrict ptrace forbid, for the calling thread and the threads that
// it starts.
void forbid_access_to_processes() {
  std::array<sock_filter, 5> code{
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 1, 0),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_writev, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    std::abort();
}

TEST(DeviceProcess, DeniedVmAccessStillComputes) {
  if (::prctl(PR_GET_SECCOMP) < 0) GTEST_SKIP() << "no seccomp here, as under qemu-user";
  const auto compute = [] {
    forbid_access_to_processes();
    char byte = 0;
    const iovec place{&byte, 1};
    if (::process_vm_readv(::getpid(), &place, 1, &place, 1, 0) != -1) std::exit(2);
    const StandIn library;
    const auto files = compiled_chain(2, 1000);
    Pipeline pipeline(chain(files, {1, 1}), stand_in_devices(), {});
    TensorBytes expected = bytes_with(7, 1000);
    for (std::byte& value : expected) value = static_cast<std::byte>(static_cast<int>(value) + 2);
    for (int i = 0; i < 3; ++i) {
      if (through(pipeline, bytes_with(7, 1000)) != expected) std::exit(3);
    }
    std::exit(0);
  };
  EXPECT_EXIT(compute(), ::testing::ExitedWithCode(0), "");
}

TEST(DeviceProcess, LibraryAbortFailsOnlyItsSession) {
  StandIn library;
  const auto devices = list_edgetpu_devices(testing::stand_in());
  const auto tpu = isolate(
      make_edgetpu_backend(testing::stand_in(), devices[0], {.program = SEGUE_TEST_DEVICE}));
  const auto model = testing::compiled("x", "y");
  const auto session = tpu->open(model, "m");
  EXPECT_NE(library.process(0), ::getpid());
  const std::vector<TensorBytes> values = random_inputs(session->inputs(), 1);
  const std::vector<std::span<const std::byte>> inputs(values.begin(), values.end());
  EXPECT_EQ(session->run(inputs).size(), session->outputs().size());
  const std::byte one_byte{};
  const std::span<const std::byte> too_short(&one_byte, 1);
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)session->run(std::span(&too_short, 1)); },
               {"m: input 'x' needs"});
  ::kill(library.process(0), SIGKILL);
  expect_error(ErrorCode::kDevice, [&] { (void)session->run(inputs); }, {"signal 9"});
}

TEST(DeviceProcess, FailedOpeningIsRetried) {
  StandIn library;
  library.fail_opens(2);  // every second opening of a USB device fails
  const auto devices = list_edgetpu_devices(testing::stand_in());
  const auto backend = make_edgetpu_backend(testing::stand_in(), devices[2]);
  const auto model = testing::compiled("x", "y");
  for (int i = 0; i < 4; ++i) EXPECT_NO_THROW((void)backend->open(model, "m"));
}

TEST(DeviceProcess, OpeningFailureQuotesDriver) {
  StandIn library;
  library.fail_opens(1);
  const auto files = compiled_chain(1);
  auto devices = stand_in_devices();
  devices.erase(devices.begin(), devices.begin() + 2);
  expect_error(ErrorCode::kDevice,
               [&] { const Pipeline pipeline(chain(files, {1}), std::move(devices), {}); },
               {"usb:2-1", "failed to open the device 3 times",
                "its output: I driver: /sys/bus/usb/devices/2-1: timed out while it waited"});
}

TEST(DeviceProcess, DeviceOfAnotherPipelineIsInUse) {
  const StandIn library;
  const auto files = compiled_chain(1);
  const Pipeline first(chain(files, {1}), stand_in_devices(), {});
  expect_error(ErrorCode::kDevice,
               [&] { const Pipeline second(chain(files, {1}), stand_in_devices(), {}); },
               {"pci:apex_0", "in use by another process"});
}

TEST(DeviceProcess, IncompatibleLibraryIsNamed) {
  StandIn library;
  library.fail(0, kStandInCrash, 0);
  const auto files = compiled_chain(1);
  expect_error(ErrorCode::kDevice,
               [&] { const Pipeline pipeline(chain(files, {1}), stand_in_devices(), {}); },
               {"ended with signal 11", "while it opened a model", "same version of TensorFlow"});
}

TEST(DeviceProcess, MissingProgramIsNamed) {
  const StandIn library;
  const auto files = compiled_chain(1);
  const auto device = list_edgetpu_devices(testing::stand_in())[0];
  const auto pipeline = [&] {
    const Pipeline made(chain(files, {1}),
                        {{device.name(), make_edgetpu_backend(testing::stand_in(), device,
                                                              {.program = "/nowhere/device"})}},
                        {});
  };
  expect_error(ErrorCode::kDevice, pipeline, {"/nowhere/device"});
}

TEST(DeviceProcess, DestructorReleasesFilesAndChildren) {
  const StandIn library;
  const auto files = compiled_chain(2);
  const auto open_files = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  std::ptrdiff_t before = 0;
  for (int i = 0; i < 5; ++i) {
    {
      Pipeline pipeline(chain(files, {1, 1}), stand_in_devices(), {});
      EXPECT_EQ(through(pipeline, bytes_with(i)), bytes_with(i + 2));
    }
    if (i == 0) before = open_files();
  }
  EXPECT_EQ(open_files(), before);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
}

// If the process of a pipeline is killed, its devices' processes end. This holds for stopped ones,
// and if a forked process still has the files of the killed one open.
enum class Rest { kRunning, kStopped, kForked };
class KilledParent : public ::testing::TestWithParam<Rest> {};

TEST_P(KilledParent, LeavesNoChild) {
  const StandIn library;
  const auto files = compiled_chain(2);
  const pid_t parent = ::fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    const Pipeline pipeline(chain(files, {1, 1}), stand_in_devices(), {});
    if (GetParam() == Rest::kForked && ::fork() == 0) {
      ::sleep(5);
      ::_exit(0);
    }
    ::pause();
    ::_exit(0);
  }
  ASSERT_TRUE(comes_true([&] { return library.process(0) != 0 && library.process(1) != 0; }));
  std::this_thread::sleep_for(milliseconds(100));
  const std::vector<int> processes{library.process(0), library.process(1)};
  if (GetParam() == Rest::kStopped) ::kill(processes[0], SIGSTOP);
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  for (const int process : processes)
    EXPECT_TRUE(comes_true([&] { return has_died(process); })) << process;
}

INSTANTIATE_TEST_SUITE_P(All, KilledParent,
                         ::testing::Values(Rest::kRunning, Rest::kStopped, Rest::kForked));

TEST(EdgeTpuSettings, UnknownNamesAndValuesAreRefused) {
  const std::vector<std::string> good{"Performance=Max", "Usb.MaxBulkInQueueLength=32"};
  EXPECT_EQ(parse_edgetpu_settings(good),
            (EdgeTpuSettings{{"Performance", "Max"}, {"Usb.MaxBulkInQueueLength", "32"}}));
  for (const char* text : {"performance=Max", "Performance", "Performance=Fast", "Usb.AlwaysDfu=1",
                           "Usb.MaxBulkInQueueLength=256", "=", ""}) {
    const std::vector<std::string> bad{text};
    expect_error(ErrorCode::kInvalidArgument, [&] { (void)parse_edgetpu_settings(bad); }, {text});
  }
  const std::vector<std::string> twice{"Performance=Max", "Performance=Low"};
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)parse_edgetpu_settings(twice); },
               {"Performance is given twice"});
}

TEST(SharedMemory, FreedBlocksAreReused) {
  const auto memory = std::make_shared<SharedMemory>();
  const std::byte* place = nullptr;
  {
    const auto block = memory->allocate(1000);
    place = block.bytes().data();
  }
  auto block = memory->allocate(1000);
  EXPECT_EQ(block.bytes().data(), place);
  const auto other = memory->allocate(1000);
  EXPECT_NE(other.bytes().data(), place);
  const auto large = memory->allocate(std::size_t{9} << 20U);
  EXPECT_EQ(memory->place_of(large.bytes())->chunk, 1);
  const TensorBytes elsewhere(10);
  EXPECT_FALSE(memory->place_of(elsewhere));
}

TEST(Messages, TruncatedMessageIsRefused) {
  MessageWriter writer;
  writer.number(7);
  writer.text("text");
  MessageReader reader(writer.bytes());
  EXPECT_EQ(reader.number(), 7);
  EXPECT_EQ(reader.text(), "text");
  expect_error(ErrorCode::kInternal, [&] { (void)reader.number(); }, {"truncated"});
  MessageReader shorter(writer.bytes().first(18));
  (void)shorter.number();
  expect_error(ErrorCode::kInternal, [&] { (void)shorter.text(); }, {"truncated"});
}

}  // namespace
}  // namespace segue
