// Models that keep state between inputs: no stage gets replicas, whichever planner makes the plan.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "expect.h"
#include "model_builder.h"
#include "segue/plan_set.h"
#include "segue/planner.h"
#include "segue/report.h"
#include "segue/topology.h"

namespace segue {
namespace {

using ::testing::Contains;
using ::testing::Each;
using testing::expect_error;
using ::testing::HasSubstr;

// Two convolutions, and a sum with a variable tensor between them. Two TPUs with a replica each
// would be twice as fast.
Model stateful() {
  testing::ModelBuilder b;
  const auto x = b.conv(b.input("x", {1, 8, 8, 8}), "a", 8, 3);
  const auto state = b.tensor("state", {1, 8, 8, 8});
  b.at(state).is_variable = true;
  b.output(b.conv(b.add(x, state, "sum"), "b", 8, 3));
  return b.build();
}

std::vector<std::uint32_t> replicas(const Plan& plan) {
  std::vector<std::uint32_t> result;
  for (const Stage& stage : plan.stages) result.push_back(stage.replicas);
  return result;
}

TEST(State, OperatorsWithVariablesKeepIt) {
  const Model model = stateful();
  EXPECT_TRUE(keeps_state(model, std::vector{OperatorId{1}}));
  EXPECT_FALSE(keeps_state(model, std::vector{OperatorId{0}, OperatorId{2}}));
  EXPECT_THAT(model_notes(model), Contains(HasSubstr("keeps state")));
}

TEST(State, PlansHaveNoReplicas) {
  const Model model = stateful();
  const Graph graph(model);
  for (const char* devices :
       {"3xedgetpu-pcie", "2xedgetpu-usb3:shared", "2xedgetpu-pcie,2xedgetpu-usb3"}) {
    const auto pools = open_devices(devices, 0);
    const Plan plan = plan_by_strategy(graph, pools, Strategy::kOptimal).plan;
    EXPECT_THAT(replicas(plan), Each(1U)) << devices;
    EXPECT_EQ(plan.bound->max_replicas, 1U) << devices;
  }
  const auto planned = OptimalPlanner(graph, find_device("edgetpu-pcie"), 4).segment(4);
  EXPECT_THAT(planned.devices, Each(PoolCounts{1}));
}

TEST(State, TopologiesAndSetsHaveNoReplicas) {
  const Model model = stateful();
  const Graph graph(model);
  const auto devices = parse_devices("2xedgetpu-pcie");
  const Topology hosts{
      {{"left", devices, 4}, {"right", devices, 4}}, {{0, 1, 1e12, Nanoseconds(1), ""}}, 0, false};
  EXPECT_THAT(replicas(plan_on_topology(graph, hosts)), Each(1U));
  const SetRequest request{.demands = {{.name = "m", .source = "m"}},
                           .pool = {find_device("edgetpu-pcie"), 2, false}};
  const SetPlan set = plan_set(std::vector{&graph}, request);
  EXPECT_THAT(replicas(set.models[0].plan), Each(1U));
}

TEST(State, EditedReplicasAreRefused) {
  const Model model = stateful();
  const Graph graph(model);
  Plan plan = plan_by_strategy(graph, open_devices("1xedgetpu-pcie", 0), Strategy::kOptimal).plan;
  EXPECT_NO_THROW(check_plan_matches(plan, model));
  plan.stages[0].replicas = 2;
  expect_error(ErrorCode::kUnsupported, [&] { check_plan_matches(plan, model); },
               {"stage 0 keeps state between inputs", "not on 2"});
}

}  // namespace
}  // namespace segue
