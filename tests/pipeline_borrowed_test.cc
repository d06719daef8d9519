// Tests inputs that stay in the caller's memory: they are read in place, kept as long as needed,
// and then released.
#include <gtest/gtest.h>

#include "expect.h"
#include "fake_backend.h"
#include "segue/pipeline.h"

namespace segue {
namespace {

using testing::bytes_of;
using testing::chain_of;
using testing::devices_with;
using testing::expect_error;
using testing::FakeBackend;
using testing::layout_of;
using testing::number_in;
using testing::through_chain;

// Each test runs on simulated devices and on cores of this machine.
class BorrowedInputs : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(On, BorrowedInputs, ::testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Cores" : "Devices"; });

BorrowedTensor lend(const std::shared_ptr<TensorBytes>& value) { return {*value, value}; }

TEST_P(BorrowedInputs, BuffersAreReleasedBeforeResult) {
  const auto value = std::make_shared<TensorBytes>(bytes_of(7));
  const std::byte* seen = nullptr;
  auto segments = chain_of(2);
  segments["0"].compute = [&](auto inputs, auto& outputs) {
    seen = inputs[0].data();
    outputs[0] = bytes_of(number_in(inputs[0]) * 3);
  };
  Pipeline pipeline(layout_of(2),
                    devices_with(2, std::make_shared<FakeBackend>(segments, nullptr, GetParam())),
                    {});
  for (int round = 0; round < 100; ++round) {
    ASSERT_EQ(pipeline.push_borrowed({lend(value)}), Flow::kOk);
    PipelineResult result;
    ASSERT_EQ(pipeline.pop(result), Flow::kOk);
    EXPECT_EQ(number_in(result.outputs[0]), through_chain(7, 2));
    EXPECT_EQ(seen, value->data());
    EXPECT_EQ(value.use_count(), 1);
  }
}

TEST_P(BorrowedInputs, InputThatIsOutputIsCopied) {
  auto layout = layout_of(2);
  layout.outputs = {"t2", "t0"};
  Pipeline pipeline(
      layout, devices_with(2, std::make_shared<FakeBackend>(chain_of(2), nullptr, GetParam())), {});
  const auto value = std::make_shared<TensorBytes>(bytes_of(5));
  ASSERT_EQ(pipeline.push_borrowed({lend(value)}), Flow::kOk);
  PipelineResult result;
  ASSERT_EQ(pipeline.pop(result), Flow::kOk);
  EXPECT_EQ(number_in(result.outputs[1]), 5);
  EXPECT_NE(result.outputs[1].data(), value->data());
  EXPECT_EQ(number_in(*value), 5);
}

TEST_P(BorrowedInputs, MixWithOwnedInputsIsCorrect) {
  Pipeline pipeline(
      layout_of(2),
      devices_with(2, std::make_shared<FakeBackend>(chain_of(2), nullptr, GetParam())), {});
  for (std::uint64_t i = 0; i < 100; ++i) {
    const auto value = std::make_shared<TensorBytes>(bytes_of(i));
    const Flow flow =
        i % 3 == 0 ? pipeline.push({bytes_of(i)}) : pipeline.push_borrowed({lend(value)});
    ASSERT_EQ(flow, Flow::kOk);
    PipelineResult result;
    ASSERT_EQ(pipeline.pop(result), Flow::kOk);
    EXPECT_EQ(number_in(result.outputs[0]), through_chain(i, 2));
  }
}

TEST_P(BorrowedInputs, DeviceFailureRereadsBuffer) {
  std::atomic<int> calls{0};
  const auto backend = std::make_shared<FakeBackend>(
      chain_of(1),
      [&](auto&, auto&) {
        if (calls++ == 0) throw Error(ErrorCode::kDevice, "unplugged");
      },
      GetParam());
  Pipeline pipeline(layout_of(1), devices_with(2, backend), {});
  const auto value = std::make_shared<TensorBytes>(bytes_of(9));
  ASSERT_EQ(pipeline.push_borrowed({lend(value)}), Flow::kOk);
  PipelineResult result;
  ASSERT_EQ(pipeline.pop(result), Flow::kOk);
  EXPECT_EQ(number_in(result.outputs[0]), through_chain(9, 1));
  EXPECT_EQ(pipeline.statistics().losses.size(), 1);
}

TEST_P(BorrowedInputs, RefusedInputStaysWithCaller) {
  const auto value = std::make_shared<TensorBytes>(bytes_of(1));
  Pipeline pipeline(
      layout_of(1),
      devices_with(1, std::make_shared<FakeBackend>(chain_of(1), nullptr, GetParam())), {});
  std::vector<BorrowedTensor> two{lend(value), lend(value)};
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)pipeline.push_borrowed(std::move(two)); },
               {"2 inputs given"});
  EXPECT_EQ(two.size(), 2);
  pipeline.close();
  std::vector<BorrowedTensor> one{lend(value)};
  EXPECT_EQ(pipeline.push_borrowed(std::move(one)), Flow::kClosed);
  EXPECT_EQ(one[0].owner, value);
}

TEST(PendingBorrowedInputs, DestructorReleasesBuffers) {
  const auto value = std::make_shared<TensorBytes>(bytes_of(1));
  {
    Pipeline pipeline(layout_of(3), devices_with(3, std::make_shared<FakeBackend>(chain_of(3))),
                      {});
    for (int i = 0; i < 4; ++i) ASSERT_EQ(pipeline.push_borrowed({lend(value)}), Flow::kOk);
  }
  while (value.use_count() > 1) std::this_thread::yield();  // a thread may release it later
}

}  // namespace
}  // namespace segue
