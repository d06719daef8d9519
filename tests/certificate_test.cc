#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "expect.h"
#include "model_builder.h"
#include "planner/certificate/wide.h"
#include "reference/random_device.h"
#include "reference/random_model.h"
#include "segue/error.h"
#include "segue/planner.h"
#include "segue/segmentation.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using ::testing::HasSubstr;

Plan best_plan(const Graph& graph, std::span<const DevicePool> pools,
               const OptimalOptions& options = {}) {
  const OptimalSegmentation best = segment_optimal(graph, pools, options);
  Plan plan = make_plan(graph, best.segmentation, pools, Strategy::kOptimal, best.devices);
  plan.objective = options.objective;
  plan.bound = best.bound;
  return plan;
}

std::vector<DevicePool> random_pools(std::mt19937& random) {
  std::vector<DevicePool> pools;
  for (std::size_t p = 0; p < 1 + random() % 2; ++p) {
    pools.push_back({testing::random_device(random), static_cast<std::uint32_t>(1 + random() % 3),
                     random() % 4 == 0});
  }
  return pools;
}

// The checker and the planner share no search, so they disagree where one of them is wrong.
TEST(Certificate, OptimalBoundHoldsAndHigherIsRejected) {
  std::mt19937 random(23);
  for (int round = 0; round < 60; ++round) {
    const Model model = testing::random_model(random, 2 + static_cast<int>(random() % 6));
    const Graph graph(model);
    const auto pools = random_pools(random);
    OptimalOptions options;
    options.max_replicas = static_cast<std::uint32_t>(random() % 3);
    if (random() % 3 == 0) options.objective = Objective::kLatency;
    Plan plan = best_plan(graph, pools, options);
    const CertificateVerdict verdict = check_certificate(plan, graph, pools);
    EXPECT_TRUE(verdict.is_accepted) << "round " << round << ": " << verdict.reason;
    // This bound claims that no plan is below a value, although this plan is.
    plan.bound->value += Nanoseconds(1);
    plan.bound->is_proven = false;
    EXPECT_FALSE(check_certificate(plan, graph, pools).is_accepted) << "round " << round;
  }
}

TEST(Certificate, BoundOfSuboptimalPlanIsRejected) {
  const Model model = open_model("zoo:resnet50");
  const Graph graph(model);
  const DevicePool pool{find_device("edgetpu-pcie"), 4, false};
  const std::span pools(&pool, 1);
  const std::vector<PoolCounts> devices(4, PoolCounts{1});
  Plan plan = make_plan(graph, segment_as_vendor(graph, 4), pools, Strategy::kOptimal, devices);
  EXPECT_THAT(check_certificate(plan, graph, pools).reason, HasSubstr("no bound"));
  plan.bound = Bound{plan.predicted.bottleneck, true, 4, 1};
  const CertificateVerdict verdict = check_certificate(plan, graph, pools);
  EXPECT_FALSE(verdict.is_accepted);
  EXPECT_THAT(verdict.reason, HasSubstr("a pipeline takes less than the bound"));
}

TEST(Certificate, EditedPlanOrBoundIsRejected) {
  const Model model = open_model("zoo:resnet50");
  const Graph graph(model);
  const DevicePool pool{find_device("edgetpu-pcie"), 6, false};
  const std::span pools(&pool, 1);
  const Plan plan = best_plan(graph, pools);
  const auto reason_of = [&](const Plan& edited) {
    const CertificateVerdict verdict = check_certificate(edited, graph, pools);
    EXPECT_FALSE(verdict.is_accepted);
    return verdict.reason;
  };
  Plan edited = plan;
  edited.stages[1].time.compute += Nanoseconds(5);
  EXPECT_THAT(reason_of(edited), HasSubstr("stage 1 takes"));
  edited = plan;
  edited.predicted.bottleneck -= Nanoseconds(1);
  EXPECT_THAT(reason_of(edited), HasSubstr("predictions"));
  edited = plan;
  edited.bound->devices = 5;
  EXPECT_THAT(reason_of(edited), HasSubstr("uses 6 devices, but its bound is for 5"));
  edited = plan;
  edited.bound->max_replicas = 1;
  EXPECT_THAT(reason_of(edited), HasSubstr("replicas, but its bound is for 1"));
  edited = plan;
  edited.bound->max_latency = Nanoseconds(1000);
  EXPECT_THAT(reason_of(edited), HasSubstr("the latency is"));
  edited = plan;
  edited.bound->is_proven = false;
  EXPECT_THAT(reason_of(edited), HasSubstr("not proven"));
  edited.bound->value += Nanoseconds(1);
  EXPECT_THAT(reason_of(edited), HasSubstr("the plan reaches"));
}

TEST(Certificate, BoundForFewerDevicesIsAccepted) {
  const Model model = open_model("zoo:conv5-f702");
  const Graph graph(model);
  const DevicePool fast{find_device("edgetpu-pcie"), 2, false};
  const OptimalSegmentation best = segment_optimal(graph, std::span(&fast, 1));
  // Two slower devices would help, but the bound holds for two devices only.
  const std::vector<DevicePool> pools{{find_device("edgetpu-usb2"), 2, false}, fast};
  std::vector<PoolCounts> devices;
  for (const PoolCounts& counts : best.devices) devices.push_back({0, counts[0]});
  Plan plan = make_plan(graph, best.segmentation, pools, Strategy::kOptimal, devices);
  plan.bound = Bound{plan.predicted.bottleneck, true, 2, 0};
  const CertificateVerdict verdict = check_certificate(plan, graph, pools);
  EXPECT_TRUE(verdict.is_accepted) << verdict.reason;
  plan.bound->devices = 4;
  EXPECT_FALSE(check_certificate(plan, graph, pools).is_accepted);
}

TEST(Certificate, TooManyIdealsUseWorkBoundOrFail) {
  const Model model = open_model("zoo:nasnetmobile");
  const Graph graph(model);
  const DevicePool pool{find_device("edgetpu-pcie"), 4, false};
  const std::span pools(&pool, 1);
  EXPECT_TRUE(check_certificate(best_plan(graph, pools), graph, pools).is_accepted);
  Plan plan = make_plan(graph, segment_as_vendor(graph, 2), pools, Strategy::kOptimal,
                        std::vector<PoolCounts>{{1}, {1}});
  plan.bound = Bound{plan.predicted.bottleneck, true, 4, 1};
  testing::expect_error(ErrorCode::kUnsupported,
                        [&] { (void)check_certificate(plan, graph, pools); },
                        {"more than 6000 ideals", "was not verified"});
}

TEST(Certificate, WorkLimitLeavesProofUnverified) {
  const Model model = open_model("zoo:resnet50");
  const Graph graph(model);
  const DevicePool pool{find_device("edgetpu-pcie"), 4, false};
  const std::span pools(&pool, 1);
  testing::expect_error(
      ErrorCode::kUnsupported,
      [&] { (void)check_certificate(best_plan(graph, pools), graph, pools, {.work = 100'000}); },
      {"resnet50", "was not verified"});
}

// If only some ideals are listed, cuts elsewhere cost nothing. The checker must reject a bound if
// any pipeline is below it, and accept one if no pipeline with such free cuts is below it.
TEST(Certificate, FreeCutBoundNeverExceedsOptimum) {
  std::mt19937 random(24);
  int passed = 0;
  for (int round = 0; round < 200; ++round) {
    const Model model = testing::random_model(random, 9, round % 2 == 1);
    const Graph graph(model);
    const DevicePool pool{testing::random_device(random), static_cast<std::uint32_t>(1 + round % 4),
                          false};
    const auto best = segment_optimal(graph, {&pool, 1}, {.max_replicas = 1});
    Bound bound = best.bound;
    bound.value = best.bottleneck + Nanoseconds(1);
    EXPECT_FALSE(look_below(graph, pool, bound, 8).is_none_below) << "round " << round;
    bound.value = best.bottleneck / 2;
    if (look_below(graph, pool, bound, 8).is_none_below) ++passed;
  }
  EXPECT_GT(passed, 50);
}

TEST(Certificate, WideGraphIsAcceptedOrUnverified) {
  testing::ModelBuilder b;
  auto x = b.input("x", {1, 40, 40, 64});
  for (int i = 0; i < 6; ++i) x = b.conv(x, "a" + std::to_string(i), 64, 3);
  std::vector<testing::TensorIndex> ends;
  for (int chain = 0; chain < 5; ++chain) {
    auto y = x;
    for (int i = 0; i < 8; ++i)
      y = b.conv(y, "b" + std::to_string(chain) + "_" + std::to_string(i), 16, 3);
    ends.push_back(y);
  }
  x = b.concat(ends, "c");
  for (int i = 0; i < 6; ++i) x = b.conv(x, "d" + std::to_string(i), 64, 3);
  b.output(x);
  const Model model = b.build("wide");
  const Graph graph(model);
  const DevicePool pool{find_device("edgetpu-pcie"), 3};
  Plan plan = best_plan(graph, {&pool, 1}, {.max_replicas = 2});
  EXPECT_GT(plan.bound->value, plan.predicted.bottleneck * 7 / 10);
  const CertificateVerdict verdict = check_certificate(plan, graph, {&pool, 1});
  EXPECT_TRUE(verdict.is_accepted) << verdict.reason;
  // A bound that the checker can neither prove nor refute is an error.
  plan.bound = Bound{plan.predicted.bottleneck, true, 8, 2};
  testing::expect_error(ErrorCode::kUnsupported,
                        [&] {
                          (void)check_certificate(plan, graph, {&pool, 1});
                        },
                        {"wide", "was not verified"});
}

}  // namespace
}  // namespace segue
