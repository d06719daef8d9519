// Tests that long calls end when a stop is requested.
#include "segue/stop.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <future>
#include <thread>

#include "expect.h"
#include "segue/planner.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using Clock = std::chrono::steady_clock;

// Requests a stop after some time and returns how long the call then continued.
std::chrono::milliseconds time_to_stop(const std::function<void()>& call) {
  std::stop_source stop;
  auto running = std::async(std::launch::async, [&] {
    const StopScope scope(stop.get_token());
    testing::expect_error(ErrorCode::kStopped, call, {"stopped"});
  });
  EXPECT_EQ(running.wait_for(std::chrono::milliseconds(300)), std::future_status::timeout)
      << "too quick to be stopped";
  const auto begin = Clock::now();
  stop.request_stop();
  running.get();
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
}

constexpr std::chrono::milliseconds kSoon{1000};  // enough for a debug build on a busy machine

TEST(Stop, EndsAnExactSearch) {
  const Model model = open_model("zoo:inceptionv4");
  const Graph graph(model);
  const auto pools = open_devices("3xedgetpu-usb3,3xedgetpu-pcie", 0);
  EXPECT_LT(time_to_stop([&] { (void)segment_optimal(graph, pools); }), kSoon);
}

TEST(Stop, EndsAComparisonOnSeveralThreads) {
  const Model model = open_model("zoo:inceptionv4");
  const Graph graph(model);
  EXPECT_LT(time_to_stop([&] {
              (void)compare_strategies(graph, find_device("edgetpu-pcie"), 1, 64, {.threads = 2});
            }),
            kSoon);
}

TEST(Stop, EndsTheCheckOfAProof) {
  const Model model = open_model("zoo:inceptionv4");
  const Graph graph(model);
  const auto pools = open_devices("edgetpu-pcie", 4);
  const Plan plan = plan_by_strategy(graph, pools, Strategy::kOptimal).plan;
  EXPECT_LT(time_to_stop([&] { (void)check_certificate(plan, graph, pools); }), kSoon);
}

TEST(Stop, EndsASearchByMeasuredLatencies) {
  const Model model = open_model("zoo:conv5-f8");
  const Graph graph(model);
  auto profile = Profile::of_depths(graph, [](std::span<const OperatorId>) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return Nanoseconds(1);
  });
  EXPECT_LT(time_to_stop([&] { (void)segment_profiled(profile, 3); }), kSoon);
}

TEST(Stop, EndedScopeHasNoEffect) {
  std::stop_source stop;
  stop.request_stop();
  {
    const StopScope scope(stop.get_token());
    testing::expect_error(ErrorCode::kStopped, [] { check_stopped(); }, {});
    const StopScope inner{std::stop_token()};
    EXPECT_NO_THROW(check_stopped());
  }
  EXPECT_NO_THROW(check_stopped());
  EXPECT_FALSE(stop_token_of_thread().stop_possible());
}

}  // namespace
}  // namespace segue
