// Tests measured latencies of segments on a backend whose times are known.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <utility>

#include "expect.h"
#include "model_builder.h"
#include "segue/error.h"
#include "segue/runtime.h"

namespace segue {
namespace {

// A backend that takes a millisecond per operator by its own clock, times `slowness`, and fails
// from a given run on.
class TimedBackend : public Backend {
 public:
  [[nodiscard]] std::string description() const override { return "timed"; }
  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> model,
                                              const std::string& name) const override {
    const Model segment = parse_model({model.begin(), model.end()}, name);
    ++opened;
    return std::make_unique<TimedSession>(segment.operators().size(), *this);
  }

  mutable std::atomic<int> opened = 0;
  mutable std::atomic<std::int64_t> runs = 0;
  mutable std::atomic<std::int64_t> elapsed_ms = 0;
  std::atomic<int> slowness = 1;
  // The default allows any number of runs, because busy cores run as often as they can.
  std::atomic<std::int64_t> fails_from = std::numeric_limits<std::int64_t>::max();
  int first_run_ms = 0;  // additional time of the first run of each session

 private:
  class TimedSession : public Session {
   public:
    TimedSession(std::size_t operators, const TimedBackend& backend)
        : operators_(operators), backend_(backend) {}
    [[nodiscard]] std::span<const Port> inputs() const override { return {}; }
    [[nodiscard]] std::span<const Port> outputs() const override { return {}; }
    void run_into(std::span<const std::span<const std::byte>>, std::vector<TensorBytes>&) override {
      if (backend_.runs++ >= backend_.fails_from) throw Error(ErrorCode::kDevice, "worn out");
      backend_.elapsed_ms += static_cast<std::int64_t>(operators_) * backend_.slowness +
                             (std::exchange(has_run_, true) ? 0 : backend_.first_run_ms);
    }

   private:
    std::size_t operators_;
    bool has_run_ = false;
    const TimedBackend& backend_;
  };
};

TEST(MeasuredLatency, InterleavedRunsCancelMachineSpeed) {
  const Model model = testing::conv_chain({8, 8, 8, 8, 8, 8, 8, 8});
  const Graph graph(model);
  const auto backend = std::make_shared<TimedBackend>();
  const auto clock = [backend] {
    return Nanoseconds(std::chrono::milliseconds(backend->elapsed_ms));
  };
  const SegmentLatency latency = measured_latency(graph, backend, {.runs = 3, .clock = clock});
  EXPECT_EQ(to_ms(latency(testing::operators(0, 7))), 8);
  backend->slowness = 3;
  EXPECT_EQ(to_ms(latency(testing::operators(0, 3))), 4) << "a half, whatever the clock shows now";
  const SegmentLatency absolute =
      measured_latency(graph, backend, {.runs = 2, .in_turns = false, .clock = clock});
  EXPECT_EQ(to_ms(absolute(testing::operators(0, 3))), 12);
}

// The first run touches memory for the first time.
TEST(MeasuredLatency, FirstRunIsNotMeasured) {
  const Model model = testing::conv_chain({8, 8, 8, 8});
  const Graph graph(model);
  const auto backend = std::make_shared<TimedBackend>();
  backend->first_run_ms = 100;
  const auto clock = [backend] {
    return Nanoseconds(std::chrono::milliseconds(backend->elapsed_ms));
  };
  const SegmentLatency latency =
      measured_latency(graph, backend, {.runs = 1, .in_turns = false, .clock = clock});
  EXPECT_EQ(to_ms(latency(testing::operators(0, 2))), 3);
}

TEST(MeasuredLatency, BusyCoresEachOpenTheModel) {
  const Model model = testing::conv_chain({8, 8});
  const Graph graph(model);
  const auto backend = std::make_shared<TimedBackend>();
  const SegmentLatency latency = measured_latency(graph, backend, {.runs = 1, .busy_cores = 2});
  EXPECT_EQ(backend->opened, 3);
  (void)latency(testing::operators(0, 0));
  (void)latency(testing::operators(1, 1));
  EXPECT_EQ(backend->opened, 5);
}

// The error is passed on even if a busy core gets it first.
TEST(MeasuredLatency, BackendErrorReachesCaller) {
  const Model model = testing::conv_chain({8, 8});
  const Graph graph(model);
  const auto backend = std::make_shared<TimedBackend>();
  const SegmentLatency latency = measured_latency(graph, backend, {.busy_cores = 1});
  backend->fails_from = backend->runs + 1;  // after the segment's first run
  testing::expect_error(ErrorCode::kDevice, [&] { (void)latency(testing::operators(0, 0)); },
                        {"worn out"});
}

}  // namespace
}  // namespace segue
