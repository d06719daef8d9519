#include "plan/internal/pipeline_pace.h"

#include <gtest/gtest.h>

#include <vector>

namespace segue {
namespace {

constexpr HostPace kPace{3.2, 1.45};

std::vector<PacedStage> equal_stages(std::size_t count) {
  return std::vector<PacedStage>(count, {.device_ns = 10, .host_ns = 5});
}

TEST(HostPace, TwoStagesStretchToSlowestHost) {
  EXPECT_DOUBLE_EQ(host_stretch(equal_stages(2), kPace), 3.2);
  EXPECT_DOUBLE_EQ(paced_period_ns(equal_stages(2), kPace), 10 + 3.2 * 5);
}

// The expected period P follows from x = 1.45 P / 20 and P = 10 + 5 x.
TEST(HostPace, FourStagesShareBusyHost) {
  const double period = 10 / (1 - 1.45 / 4);
  EXPECT_NEAR(paced_period_ns(equal_stages(4), kPace), period, 1e-9);
  EXPECT_NEAR(host_stretch(equal_stages(4), kPace), 1.45 * period / 20, 1e-9);
}

TEST(HostPace, ManyOrOutputlessStagesAreNotStretched) {
  EXPECT_DOUBLE_EQ(host_stretch(equal_stages(20), kPace), 1);
  EXPECT_DOUBLE_EQ(paced_period_ns(equal_stages(20), kPace), 15);
  EXPECT_DOUBLE_EQ(host_stretch(std::vector<PacedStage>{{.device_ns = 10}}, kPace), 1);
}

TEST(HostPace, SlowestHostOfPoolsIsUsed) {
  const std::vector<DevicePool> pools{{find_device("edgetpu-pcie"), 1},
                                      {find_device("edgetpu-pcie-busy"), 1}};
  EXPECT_DOUBLE_EQ(host_pace(pools).most_stretch, kMostHostStretch);
}

}  // namespace
}  // namespace segue
