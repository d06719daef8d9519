// Tests src/base/internal/process/isolated.h: what a child returns or throws, and how it ends.
#include "base/internal/process/isolated.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <new>
#include <thread>

#include "expect.h"

namespace segue {
namespace {

using testing::expect_error;

Crash crash_of(const std::function<std::string(const StepReport&)>& work) {
  try {
    (void)run_isolated(work);
  } catch (const Crash& crash) {
    return crash;
  }
  ADD_FAILURE() << "the child did not die";
  return {};
}

TEST(Isolated, ResultsOfAnySizeAreReturned) {
  std::string bytes;
  for (int i = 0; i < 1'000'000; ++i) bytes += static_cast<char>(i * 7);
  EXPECT_EQ(run_isolated([&](const StepReport& progress) {
              progress("a step");
              return bytes;
            }),
            bytes);
  EXPECT_EQ(run_isolated([](const StepReport&) { return std::string(); }), "");
}

TEST(Isolated, ResultAbove16MibIsAnError) {
  expect_error(ErrorCode::kInternal,
               [] {
                 (void)run_isolated(
                     [](const StepReport&) { return std::string(std::size_t{17} << 20U, 'x'); });
               },
               {"larger than 16 MiB"});
}

TEST(Isolated, TimeoutKillsChild) {
  try {
    (void)run_isolated(
        [](const StepReport& progress) {
          progress("waiting");
          std::this_thread::sleep_for(std::chrono::hours(1));
          return std::string();
        },
        std::chrono::milliseconds(500));
    ADD_FAILURE() << "it was waited for";
  } catch (const Crash& crash) {
    EXPECT_TRUE(crash.timed_out);
    EXPECT_EQ(crash.step, "waiting");
  }
}

// Otherwise a pipe of one thread would stay open while the child of another thread runs.
TEST(Isolated, ChildInheritsNoFiles) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  EXPECT_EQ(run_isolated([&](const StepReport&) {
              return ::write(ends[1], "x", 1) < 0 && errno == EBADF ? "closed" : "open";
            }),
            "closed");
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Isolated, CallerMemoryIsUnchanged) {
  int touched = 0;
  (void)run_isolated([&](const StepReport&) {
    touched = 1;
    return std::string();
  });
  EXPECT_EQ(touched, 0);
}

TEST(Isolated, ErrorsKeepCodeAndMessage) {
  expect_error(ErrorCode::kUnsupported,
               [] {
                 (void)run_isolated([](const StepReport&) -> std::string {
                   throw Error(ErrorCode::kUnsupported, "a sentence");
                 });
               },
               {"a sentence"});
  EXPECT_THROW((void)run_isolated([](const StepReport&) -> std::string { throw std::bad_alloc(); }),
               std::bad_alloc);
  expect_error(ErrorCode::kInternal,
               [] {
                 (void)run_isolated(
                     [](const StepReport&) -> std::string { throw std::runtime_error("odd"); });
               },
               {"odd"});
}

TEST(Isolated, CrashReportsSignalAndStep) {
  const Crash crash = crash_of([](const StepReport& progress) -> std::string {
    progress("first");
    progress("second");
    std::raise(SIGSEGV);
    return "";
  });
  EXPECT_EQ(crash.step, "second");
  EXPECT_THAT(crash.reason, ::testing::HasSubstr("signal 11"));
  const Crash leaving = crash_of([](const StepReport&) -> std::string { ::_exit(3); });
  EXPECT_EQ(leaving.reason, "exit status 3");
}

TEST(Isolated, ChildrenAreReaped) {
  (void)run_isolated([](const StepReport&) { return std::string(); });
  (void)crash_of([](const StepReport&) -> std::string { std::abort(); });
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(Isolated, MultithreadedCallersAreSupported) {
  std::atomic<bool> is_done = false;
  std::jthread busy([&] {
    while (!is_done) std::string(1000, 'x').shrink_to_fit();
  });
  for (int round = 0; round < 50; ++round) {
    EXPECT_EQ(run_isolated([](const StepReport&) { return std::string(5000, 'y'); }),
              std::string(5000, 'y'));
  }
  is_done = true;
}

}  // namespace
}  // namespace segue
