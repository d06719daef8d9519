// Long tests of the pipeline: thousands of random faults, and ten million inputs in constant
// memory.
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <thread>

#include "fake_backend.h"
#include "faulty_devices.h"
#include "resident.h"
#include "segue/pipeline.h"

namespace segue {
namespace {

using testing::chain_of;
using testing::devices_with;
using testing::FakeBackend;
using testing::layout_of;
using testing::resident_kib;

TEST(PipelineSoak, ThousandRandomFaultRunsKeepOrder) {
  std::string failed;
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    testing::run_with_faults(seed);
    if (!HasFailure()) continue;
    failed = std::to_string(seed);
    break;
  }
  EXPECT_EQ(failed, "") << "the seed that failed";
}

// Sanitizers make the test fifty times as slow and use memory themselves.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t kShare = 50;
#else
constexpr std::uint64_t kShare = 1;
#endif

void soak(bool is_local) {
  constexpr std::uint64_t kInputs = 1'000'000 / kShare;
  const auto backend = std::make_shared<FakeBackend>(chain_of(4), FakeBackend::Before{}, is_local);
  Pipeline pipeline(layout_of(4, {1, 2, 1, 1}), devices_with(5, backend),
                    {.queue_capacity = 16, .result_capacity = 16});
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < kInputs; ++i) {
      if (pipeline.push(testing::input_of(i)) != Flow::kOk) break;
    }
    pipeline.close();
  });
  PipelineResult result;
  std::uint64_t next = 0;
  std::uint64_t early_kib = 0;
  for (; pipeline.pop(result) == Flow::kOk; ++next) {
    if (result.number != next) break;
    if (testing::number_in(result.outputs[0]) != testing::through_chain(next, 4)) break;
    if (next == kInputs / 10) early_kib = resident_kib();
  }
  EXPECT_EQ(next, kInputs);
  const std::uint64_t late_kib = resident_kib();
  if (kShare == 1) {
    EXPECT_LT(late_kib, early_kib + 1024) << "KiB after a tenth: " << early_kib;
  }
  pipeline.cancel();
  producer.join();
}

TEST(PipelineSoak, MillionInputsOnCoresKeepMemory) { soak(true); }

TEST(PipelineSoak, MillionInputsOnDevicesKeepMemory) { soak(false); }

}  // namespace
}  // namespace segue
