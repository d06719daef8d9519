// Tests pipelines whose devices fail.
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "expect.h"
#include "fake_backend.h"
#include "faulty_devices.h"
#include "segue/pipeline.h"

namespace segue {
namespace {

using std::chrono::milliseconds;
using testing::bytes_of;
using testing::chain_in_pieces;
using testing::chain_of;
using testing::devices_with;
using testing::expect_all_in_order;
using testing::FakeBackend;
using testing::Fault;
using testing::FaultyDevices;
using testing::fewer_pieces;
using testing::input_of;
using testing::layout_of;
using testing::number_in;
using testing::push_until_error;
using testing::run_with_faults;

// Expects results in order, followed by a device error with these words. Returns the number of
// results.
std::uint64_t pop_until_error(Pipeline& pipeline, std::initializer_list<std::string> words) {
  PipelineResult result;
  std::uint64_t popped = 0;
  testing::expect_error(
      ErrorCode::kDevice,
      [&] {
        for (; pipeline.pop(result) == Flow::kOk; ++popped) EXPECT_EQ(result.number, popped);
      },
      words);
  return popped;
}

TEST(PipelineFaults, ReplicaReplacesLostDevice) {
  FaultyDevices faulty(chain_of(2), 3);
  faulty.plan(0, Fault::kError, 5);
  std::vector<DeviceLoss> losses;
  Pipeline pipeline(layout_of(2, {2, 1}), faulty.devices(),
                    {.on_loss = [&](const DeviceLoss& loss) { losses.push_back(loss); }});
  expect_all_in_order(pipeline, 500, 2);
  ASSERT_EQ(pipeline.statistics().losses.size(), 1);
  const DeviceLoss loss = pipeline.statistics().losses[0];
  EXPECT_EQ(loss.device, "tpu0");
  EXPECT_EQ(loss.segment, "0");
  EXPECT_EQ(loss.reason, "transfer on tag 2 failed");
  EXPECT_EQ(loss.remedy, "the other devices of the stage (1)");
  pipeline.cancel();
}

TEST(PipelineFaults, SpareReplacesLostDevice) {
  FaultyDevices faulty(chain_of(2), 3);
  faulty.plan(1, Fault::kWrongSize, 7);
  Pipeline pipeline(layout_of(2), faulty.devices(), {});
  expect_all_in_order(pipeline, 500, 2);
  EXPECT_EQ(pipeline.statistics().losses.at(0).reason, "returned 7 bytes for 't2', expected 8");
  EXPECT_EQ(pipeline.statistics().losses.at(0).remedy, "spare device tpu2");
  EXPECT_TRUE(pipeline.statistics().stages.at(1).devices.at(0).is_lost);
}

// The only device of a stage fails, then the one that was borrowed for it. A device that hangs
// keeps its thread, so the borrowed one needs its own.
TEST(PipelineFaults, BorrowedDeviceReplacesLostOne) {
  for (const Fault fault : {Fault::kError, Fault::kVanish, Fault::kHang, Fault::kWrongSize}) {
    FaultyDevices faulty(chain_of(1), 3);
    faulty.plan(0, fault, 5);
    faulty.plan(1, fault, 10);
    auto devices = faulty.devices();
    std::size_t borrowed = 0;
    PipelineOptions options{.watchdog = milliseconds(100)};
    options.borrow = [&](const DeviceLoss& loss) -> std::optional<PipelineDevice> {
      EXPECT_EQ(loss.device, devices[borrowed].name);
      EXPECT_EQ(loss.segment, "0");
      EXPECT_NE(loss.reason, "");
      return devices[++borrowed];
    };
    Pipeline pipeline(layout_of(1), {devices[0]}, options);
    expect_all_in_order(pipeline, 200, 1);
    const auto losses = pipeline.statistics().losses;
    ASSERT_EQ(losses.size(), 2U);
    EXPECT_EQ(losses[0].remedy, "borrowed device tpu1");
    EXPECT_EQ(losses[1].remedy, "borrowed device tpu2");
    EXPECT_EQ(pipeline.trace().devices.size(), 3U);
  }
}

TEST(PipelineFaults, NothingBorrowedLeavesOtherDevices) {
  FaultyDevices faulty(chain_of(1), 2);
  faulty.plan(0, Fault::kError, 5);
  PipelineOptions options;
  options.borrow = [](const DeviceLoss&) -> std::optional<PipelineDevice> {
    throw Error(ErrorCode::kDevice, "none");
  };
  Pipeline pipeline(layout_of(1, {2}), faulty.devices(), options);
  expect_all_in_order(pipeline, 200, 1);
  EXPECT_EQ(pipeline.statistics().losses.at(0).remedy, "the other devices of the stage (1)");
}

TEST(PipelineFaults, ReplanContinuesDownToOneDevice) {
  FaultyDevices faulty(chain_in_pieces(), 4);
  faulty.plan(0, Fault::kError, 50);
  faulty.plan(1, Fault::kVanish, 80);
  faulty.plan(3, Fault::kWrongSize, 120);
  Pipeline pipeline(layout_of(4), faulty.devices(), {.replan = fewer_pieces});
  expect_all_in_order(pipeline, 1000, 4);
  EXPECT_EQ(pipeline.statistics().losses.size(), 3);
  EXPECT_EQ(pipeline.statistics().stages.size(), 1);
}

TEST(PipelineFaults, LastLossDeliversResultsThenError) {
  FaultyDevices faulty(chain_of(2), 2);
  faulty.plan(0, Fault::kError, 6);
  Pipeline pipeline(layout_of(2), faulty.devices(), {.result_capacity = 1});
  std::thread producer([&] {
    testing::expect_error(ErrorCode::kDevice,
                          [&] {
                            while (pipeline.push(input_of(1)) == Flow::kOk) {
                            }
                          },
                          {"0: no device is left to run it", "tpu0", "transfer on tag 2 failed"});
  });
  const std::uint64_t popped = pop_until_error(pipeline, {"no device is left"});
  EXPECT_EQ(popped, 6);
  producer.join();
}

TEST(PipelineFaults, InputFailingOn3DevicesIsAnError) {
  auto segments = chain_of(1);
  segments["0"].compute = [](auto inputs, auto& outputs) {
    if (number_in(inputs[0]) == 4) throw Error(ErrorCode::kInvalidModel, "cannot run this");
    outputs[0] = bytes_of(0);
  };
  Pipeline pipeline(layout_of(1, {5}), devices_with(5, std::make_shared<FakeBackend>(segments)),
                    {.result_capacity = 100});
  std::thread producer([&] { push_until_error(pipeline, 50); });
  const std::uint64_t popped =
      pop_until_error(pipeline, {"input 4 failed on 3 devices", "cannot run this"});
  EXPECT_LE(popped, 4);  // results that other devices still computed are dropped
  EXPECT_EQ(pipeline.statistics().losses.size(), 3);
  producer.join();
}

TEST(PipelineFaults, HungDeviceIsReplacedByWatchdog) {
  FaultyDevices faulty(chain_of(2), 3);
  faulty.plan(0, Fault::kHang, 10);
  Pipeline pipeline(layout_of(2), faulty.devices(), {.watchdog = milliseconds(300)});
  expect_all_in_order(pipeline, 300, 2);
  EXPECT_EQ(pipeline.statistics().losses.at(0).reason, "did not answer within 300.00 ms");
}

TEST(PipelineFaults, HangOfLastDeviceIsReported) {
  std::promise<DeviceLoss> lost;
  FaultyDevices faulty(chain_of(1), 1);
  faulty.plan(0, Fault::kHang, 0);
  Pipeline pipeline(layout_of(1), faulty.devices(),
                    {.watchdog = milliseconds(20),
                     .on_loss = [&](const DeviceLoss& loss) { lost.set_value(loss); }});
  ASSERT_EQ(pipeline.push(input_of(0)), Flow::kOk);
  PipelineResult result;
  testing::expect_error(ErrorCode::kDevice, [&] { (void)pipeline.pop(result); },
                        {"did not answer"});
  EXPECT_EQ(lost.get_future().get().remedy, "none, no device is left for the segment");
}

TEST(PipelineFaults, RandomFaultsKeepResultsAndOrder) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    run_with_faults(seed);
    if (HasFailure()) return;
  }
}

// A backend that opens merged segments only after its release.
class SlowToOpen : public FakeBackend {
 public:
  SlowToOpen(const Segments& segments, std::shared_future<void> released)
      : FakeBackend(segments), released_(std::move(released)) {}
  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> model,
                                              const std::string& name) const override {
    if (name.find('-') != std::string::npos) released_.wait();
    return FakeBackend::open(model, name);
  }

 private:
  std::shared_future<void> released_;
};

TEST(PipelineFaults, HangDuringReplanIsReported) {
  FaultyDevices faulty(chain_in_pieces(), 4);
  faulty.plan(0, Fault::kError, 10);
  auto devices = faulty.devices();
  std::promise<void> release;
  devices[2].backend =
      std::make_shared<SlowToOpen>(chain_in_pieces(), release.get_future().share());
  {
    Pipeline pipeline(layout_of(4), devices,
                      {.watchdog = milliseconds(300), .replan = fewer_pieces});
    expect_all_in_order(pipeline, 300, 4);
    const auto losses = pipeline.statistics().losses;
    ASSERT_EQ(losses.size(), 2U);
    EXPECT_EQ(losses[1].device, "tpu2");
    EXPECT_EQ(losses[1].reason, "did not answer within 300.00 ms");
    EXPECT_EQ(losses[1].remedy, "another plan");
    EXPECT_EQ(pipeline.statistics().stages.size(), 2U);
  }
  release.set_value();  // the device's thread outlived the pipeline
}

// The bytes of a segment stay valid while a device computes, even after a new plan has replaced the
// device. The device reads these bytes when it returns.
TEST(PipelineFaults, LateDeviceKeepsItsSegmentAlive) {
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  std::promise<int> read;
  class Reader : public FakeBackend {
   public:
    Reader(std::shared_future<void> released, std::promise<int>& read)
        : FakeBackend(chain_in_pieces()), released_(std::move(released)), read_(read) {}
    [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> model,
                                                const std::string& name) const override {
      auto segments = chain_of(1);
      segments["0"].compute = [this, model](auto, auto&) {
        released_.wait();
        read_.set_value(std::to_integer<int>(model[0]));
      };
      return name == "0" ? FakeBackend(segments).open(model, name) : FakeBackend::open(model, name);
    }

   private:
    std::shared_future<void> released_;
    std::promise<int>& read_;
  };
  PipelineLayout layout = layout_of(4);
  for (PipelineSegment& segment : layout.segments) {
    const auto bytes = std::make_shared<const std::vector<std::byte>>(1000, std::byte{7});
    segment.model = *bytes;
    segment.owner = bytes;
  }
  auto devices = devices_with(4, std::make_shared<FakeBackend>(chain_in_pieces()));
  devices[0].backend = std::make_shared<Reader>(released, read);
  {
    Pipeline pipeline(std::move(layout), devices,
                      {.watchdog = milliseconds(100), .replan = fewer_pieces});
    expect_all_in_order(pipeline, 50, 4);
    ASSERT_EQ(pipeline.statistics().losses.size(), 1U);
    release.set_value();
    EXPECT_EQ(read.get_future().get(), 7);
  }
}

// The pipeline is destroyed while a device hangs that a new plan opens. After the watchdog, the
// device is given up, and the destructor does not wait for it.
TEST(PipelineFaults, DestructorDuringReplanReturns) {
  std::promise<void> release;
  FaultyDevices faulty(chain_in_pieces(), 4);
  faulty.plan(0, Fault::kError, 0);
  auto devices = faulty.devices();
  devices[2].backend =
      std::make_shared<SlowToOpen>(chain_in_pieces(), release.get_future().share());
  {
    Pipeline pipeline(layout_of(4), devices,
                      {.watchdog = milliseconds(200), .replan = fewer_pieces});
    push_until_error(pipeline, 1);
    std::this_thread::sleep_for(milliseconds(50));
  }
  release.set_value();
}

TEST(PipelineFaults, FaultInAnyStageLosesNothing) {
  for (std::size_t stage = 0; stage < 3; ++stage) {
    for (const int at : {40, 41, 47, 55}) {
      SCOPED_TRACE(::testing::Message() << "stage " << stage << ", run " << at);
      FaultyDevices faulty(chain_of(3), 4, true);
      faulty.plan(stage, at % 2 == 0 ? Fault::kError : Fault::kWrongSize, at);
      Pipeline pipeline(layout_of(3), faulty.devices(),
                        {.queue_capacity = 16, .result_capacity = 16});
      expect_all_in_order(pipeline, 300, 3);
      ASSERT_EQ(pipeline.statistics().losses.size(), 1U);
      EXPECT_EQ(pipeline.statistics().losses[0].segment, std::to_string(stage));
      EXPECT_EQ(pipeline.statistics().losses[0].remedy, "spare device tpu3");
    }
  }
}

}  // namespace
}  // namespace segue
