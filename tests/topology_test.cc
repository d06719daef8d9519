// Topologies: the law of the network, the exact search on it, plans and certificates.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "expect.h"
#include "model_builder.h"
#include "reference/network_pace.h"
#include "reference/random_model.h"
#include "segue/planner.h"
#include "segue/timeline.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using testing::BestOnTopology;
using testing::expect_error;
using ::testing::HasSubstr;
using testing::random_topology;

// Rounding of times, boundary by boundary.
constexpr double kRoundingNs = 20;

// --- The law

// A random pipeline of a model, as a chain of operators in file order.
Plan random_plan(std::mt19937& random, const Graph& graph, const Topology& topology) {
  const auto pools = open_devices(topology);
  std::vector<std::uint32_t> left;
  for (const DevicePool& pool : pools) left.push_back(pool.count);
  Segmentation cuts;
  std::vector<PoolCounts> devices;
  const std::size_t operators = graph.operator_count();
  std::size_t begin = 0;
  while (begin < operators) {
    PoolCounts counts(pools.size());
    for (std::size_t pool = 0; pool < pools.size(); ++pool) {
      counts[pool] = static_cast<std::uint32_t>(random() % (left[pool] + 1));
      left[pool] -= counts[pool];
    }
    const bool is_last = std::ranges::all_of(left, [](std::uint32_t n) { return n == 0; });
    if (std::ranges::all_of(counts, [](std::uint32_t n) { return n == 0; })) continue;
    const std::size_t end = is_last ? operators : begin + 1 + random() % (operators - begin);
    cuts.segments.emplace_back();
    for (; begin < end; ++begin) cuts.segments.back().push_back(operator_id(begin));
    devices.push_back(counts);
  }
  return make_plan(graph, cuts, topology, Strategy::kManual, devices);
}

testing::PlacedPace read_pace(const Plan& plan) {
  const testing::NetworkReading reading(plan.network->topology);
  const std::size_t pools = reading.pools().size();
  std::vector<testing::PlacedStage> stages;
  const auto devices = devices_of(plan, pools);
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    const Stage& stage = plan.stages[s];
    testing::PlacedStage& placed = stages.emplace_back();
    placed.devices = devices[s];
    placed.time_ns.resize(pools, stage.time.total().count());
    placed.link_ns.resize(pools, stage.time.link().count());
    for (const StageDevices& kind : stage.devices) {
      placed.time_ns[kind.pool] = kind.time.total().count();
      placed.link_ns[kind.pool] = kind.time.link().count();
    }
  }
  return reading.pace(stages, plan.network->boundary_bytes);
}

TEST(TopologyLaw, PredictionEqualsSlowReading) {
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    const Model model = testing::random_model(random, 2 + static_cast<int>(random() % 6));
    const Graph graph(model);
    const Topology topology = random_topology(random);
    const Plan plan = random_plan(random, graph, topology);
    const testing::PlacedPace pace = read_pace(plan);
    EXPECT_NEAR(static_cast<double>(plan.predicted.bottleneck.count()), pace.period_ns, kRoundingNs)
        << "round " << round;
    EXPECT_NEAR(static_cast<double>(plan.predicted.latency.count()), pace.latency_ns, kRoundingNs)
        << "round " << round;
  }
}

// Two computers with one TPU each, on one link.
Topology two_hosts(double bytes_per_s) {
  const auto one = parse_devices("1xedgetpu-usb3");
  return {{{"left", one, 4}, {"right", one, 4}},
          {{0, 1, bytes_per_s, Nanoseconds(50'000), ""}},
          0,
          false};
}

TEST(TopologyLaw, LinksCarryBoundariesAcrossNodes) {
  testing::ModelBuilder b;
  const auto x = b.input("x", {1, 1, 1, 100});
  const auto middle = b.conv(x, "middle", 20, 1);
  b.output(b.conv(middle, "end", 50, 1));
  const Model model = b.build();
  const Graph graph(model);
  const Segmentation cuts{{{operator_id(0)}, {operator_id(1)}}};
  const std::vector<PoolCounts> devices{{1, 0}, {0, 1}};
  const Plan plan = make_plan(graph, cuts, two_hosts(1e6), Strategy::kManual, devices);
  EXPECT_EQ(plan.network->boundary_bytes, (std::vector<std::uint64_t>{100, 20, 50}));
  const auto traffic = link_traffic(plan);
  ASSERT_EQ(traffic.size(), 2U);
  EXPECT_DOUBLE_EQ(traffic[0].bytes_per_input, 20);  // to the right
  EXPECT_DOUBLE_EQ(traffic[1].bytes_per_input, 50);  // results come back
  EXPECT_NEAR(traffic[1].busy, 50e-6 * plan.predicted.throughput_per_s, 1e-6);
}

TEST(TopologyLaw, ReplicasOnSameNodesSendNothing) {
  testing::ModelBuilder b;
  const auto x = b.input("x", {1, 1, 1, 100});
  b.output(b.conv(b.conv(x, "middle", 20, 1), "end", 50, 1));
  const Model model = b.build();
  Topology topology = two_hosts(1e6);
  for (TopologyNode& node : topology.nodes) node.devices = parse_devices("2xedgetpu-pcie");
  const Segmentation cuts{{{operator_id(0)}, {operator_id(1)}}};
  const std::vector<PoolCounts> devices{{1, 1}, {1, 1}};
  const Plan plan = make_plan(Graph(model), cuts, topology, Strategy::kManual, devices);
  const auto traffic = link_traffic(plan);
  EXPECT_NEAR(traffic[0].bytes_per_input, 50, 1e-6);  // half of the inputs
  EXPECT_NEAR(traffic[1].bytes_per_input, 25, 1e-6);  // half of the outputs
}

// --- The search

class TopologyBruteForce : public ::testing::TestWithParam<unsigned> {};

TEST_P(TopologyBruteForce, PlanIsBestOfAllPipelines) {
  std::mt19937 random(GetParam());
  int searched = 0;
  for (int round = 0; round < 40; ++round) {
    const Model model = testing::random_model(random, 2 + static_cast<int>(random() % 4));
    const Graph graph(model);
    const Topology topology = random_topology(random);
    const auto replicas = static_cast<std::uint32_t>(random() % 3);
    if (graph.operator_count() > 8) continue;
    BestOnTopology best(graph, topology, replicas);
    if (best.ideals() > 14) continue;
    ++searched;
    const Plan plan = plan_on_topology(graph, topology, {.max_replicas = replicas});
    EXPECT_TRUE(plan.bound->is_proven) << "round " << round;
    EXPECT_NEAR(static_cast<double>(plan.predicted.bottleneck.count()), best.period(), kRoundingNs)
        << "round " << round;
    const Plan quick = plan_on_topology(graph, topology, {replicas, Objective::kLatency});
    EXPECT_NEAR(static_cast<double>(quick.predicted.latency.count()), best.latency(), kRoundingNs)
        << "round " << round;
    const Nanoseconds limit = (quick.predicted.latency + plan.predicted.latency) / 2;
    const Plan within =
        plan_on_topology(graph, topology, {replicas, Objective::kThroughput, limit});
    EXPECT_LE(within.predicted.latency, limit);
    EXPECT_NEAR(static_cast<double>(within.predicted.bottleneck.count()),
                best.period(static_cast<double>(limit.count()) + 2), kRoundingNs)
        << "round " << round;
    for (const Plan* one : {&plan, &quick, &within}) {
      const auto pools = open_devices(topology);
      const CertificateVerdict verdict = check_certificate(*one, graph, pools);
      EXPECT_TRUE(verdict.is_accepted) << "round " << round << ": " << verdict.reason;
    }
  }
  EXPECT_GT(searched, 15);
}

INSTANTIATE_TEST_SUITE_P(Seeds, TopologyBruteForce, ::testing::Range(1U, 3U));

TEST(TopologySearch, CutsWhereTensorIsSmall) {
  testing::ModelBuilder b;
  auto x = b.input("x", {1, 8, 8, 8});
  x = b.conv(x, "wide1", 200, 3);
  x = b.conv(x, "narrow", 4, 3);
  x = b.conv(x, "wide2", 200, 3);
  x = b.conv(x, "wide3", 200, 3);
  b.output(b.conv(x, "end", 4, 3));
  const Model model = b.build();
  const Plan plan = plan_on_topology(Graph(model), two_hosts(5e6), {.max_replicas = 1});
  ASSERT_EQ(plan.stages.size(), 2U);
  EXPECT_EQ(plan.network->boundary_bytes[1], 8U * 8U * 4U);
}

TEST(TopologySearch, SlowLinkKeepsModelOnEntry) {
  const Model model = open_model("zoo:mobilenetv2");
  const Graph graph(model);
  const Plan far = plan_on_topology(graph, two_hosts(1e4));
  EXPECT_EQ(far.device_count(), 1U);
  EXPECT_EQ(link_traffic(far)[0].bytes_per_input, 0);
  const Plan near = plan_on_topology(graph, two_hosts(1e9));
  EXPECT_EQ(near.device_count(), 2U);
}

TEST(TopologySearch, ImpossibleLatencyNamesSmallest) {
  const Model model = testing::conv_chain({4, 4});
  const Graph graph(model);
  const Plan quick = plan_on_topology(graph, two_hosts(1e8), {0, Objective::kLatency});
  const Nanoseconds limit = quick.predicted.latency - Nanoseconds(1);
  expect_error(ErrorCode::kInfeasible,
               [&] {
                 static_cast<void>(
                     plan_on_topology(graph, two_hosts(1e8), {0, Objective::kThroughput, limit}));
               },
               {"no plan on this topology has a latency of", "the smallest is"});
}

// --- Plans

TEST(TopologyPlan, FileKeepsNodesAndTraffic) {
  const Model model = open_model("zoo:mobilenetv2");
  const Graph graph(model);
  Plan plan = plan_on_topology(graph, two_hosts(1e8));
  identify_model(plan, model);
  const std::string text = to_json(plan);
  EXPECT_THAT(text, HasSubstr(R"("node": "right")"));
  EXPECT_THAT(text, HasSubstr("bytes_per_input"));
  const Plan read = parse_plan(text, "plan.json");
  EXPECT_EQ(to_json(read), text);
  const auto pools = open_devices(read.devices, read.device_count());
  EXPECT_NO_THROW(check_plan_consistent(read, pools));
  EXPECT_EQ(to_json(evaluate_plan(read, graph, pools)), text);
}

// A plan for one kind of device has no count, its topology has one.
TEST(TopologyPlan, FileKeepsSingleHost) {
  const Model model = open_model("zoo:mobilenetv2");
  Topology topology = two_hosts(1e8);
  topology.nodes.resize(1);
  topology.links.clear();
  topology.nodes[0].devices = parse_devices("3xedgetpu-pcie");
  Plan plan = plan_on_topology(Graph(model), topology);
  identify_model(plan, model);
  const std::string text = to_json(plan);
  EXPECT_EQ(to_json(parse_plan(text, "plan.json")), text);
}

TEST(TopologyPlan, EditedNodeOrTrafficIsRefused) {
  const Model model = open_model("zoo:mobilenetv2");
  Plan plan = plan_on_topology(Graph(model), two_hosts(1e8));
  identify_model(plan, model);
  const std::string text = to_json(plan);
  const struct {
    std::string from;
    std::string to;
    std::string message;
  } edits[]{
      {R"("node": "right")", R"("node": "left")", "node: must be 'right', the node of pool 1"},
      {R"("device": "1xedgetpu-usb3,)", R"("device": "1xedgetpu-pcie,)",
       "network.topology: must have the devices of the plan"},
      {R"("bytes_per_s": 100000000.0)", R"("bytes_per_s": 2e8)",
       "network.links: must be what the boundaries"},
      {R"("boundary_bytes": [)", R"("boundary_bytes": [1,)", "network.boundary_bytes: must have"},
  };
  for (const auto& edit : edits) {
    std::string other = text;
    const std::size_t at = other.find(edit.from);
    ASSERT_NE(at, std::string::npos) << edit.from;
    other.replace(at, edit.from.size(), edit.to);
    expect_error(ErrorCode::kInvalidArgument, [&] { static_cast<void>(parse_plan(other, "p")); },
                 {edit.message});
  }
}

double simulated_pace(const Plan& plan, std::uint64_t inputs) {
  TimelineOptions options = timeline_options(plan, open_devices(plan.network->topology));
  options.inputs = inputs;
  const Timeline timeline = simulate_timeline(stage_loads(plan), options);
  if (inputs == 1) return to_s(timeline.latencies[0]) / to_s(plan.predicted.latency);
  return to_s(timeline.steady_period()) / to_s(plan.predicted.bottleneck);
}

TEST(TopologyTimeline, PaceIsNeverAbovePrediction) {
  std::mt19937 random(5);
  for (int round = 0; round < 60; ++round) {
    const Model model = testing::random_model(random, 2 + static_cast<int>(random() % 6));
    const Plan plan = plan_on_topology(Graph(model), random_topology(random));
    // Devices of very different speed take thousands of inputs to settle.
    EXPECT_GT(simulated_pace(plan, 2000), 0.97) << "round " << round;
    EXPECT_LT(simulated_pace(plan, 1), 1.001) << "round " << round;
  }
}

TEST(TopologyTimeline, PaceIsThatOfPlanOnFastLinks) {
  for (const char* name : {"zoo:mobilenetv2", "zoo:resnet50", "zoo:resnet101"}) {
    const Model model = open_model(name);
    const Plan plan = plan_on_topology(Graph(model), two_hosts(117e6));
    EXPECT_NEAR(simulated_pace(plan, 2000), 1, 0.005) << name;
    EXPECT_NEAR(simulated_pace(plan, 1), 1, 0.001) << name;
  }
}

TEST(TopologyTimeline, SlowLinkSetsPace) {
  const Model model = open_model("zoo:mobilenetv2");
  const Graph graph(model);
  const Segmentation whole{{graph.operators_between(1, graph.depth())}};
  const std::vector<PoolCounts> far{{0, 1}};
  const Plan plan = make_plan(graph, whole, two_hosts(5e6), Strategy::kManual, far);
  const double bytes = 224 * 224 * 3;
  EXPECT_NEAR(to_s(plan.predicted.bottleneck), bytes / 5e6, 1e-6);
  EXPECT_NEAR(link_traffic(plan)[0].busy, 1, 1e-6);
  EXPECT_NEAR(simulated_pace(plan, 2000), 1, 0.005);
}

TEST(TopologyCertificate, TooHighBoundIsRejected) {
  const Model model = open_model("zoo:mobilenetv2");
  const Graph graph(model);
  const Topology topology = two_hosts(4e6);
  const auto pools = open_devices(topology);
  const Plan best = plan_on_topology(graph, topology);
  ASSERT_TRUE(best.bound->is_proven);
  EXPECT_TRUE(check_certificate(best, graph, pools).is_accepted);
  const Segmentation whole{{graph.operators_between(1, graph.depth())}};
  const std::vector<PoolCounts> far{{0, 1}};
  Plan slow = make_plan(graph, whole, topology, Strategy::kOptimal, far);
  slow.bound = best.bound;
  slow.bound->value = slow.predicted.bottleneck;
  ASSERT_GT(slow.bound->value, best.bound->value);
  const CertificateVerdict verdict = check_certificate(slow, graph, pools);
  EXPECT_FALSE(verdict.is_accepted);
  EXPECT_THAT(verdict.reason, HasSubstr("a pipeline takes less"));
}

TEST(TopologyCertificate, BoundAboveBestIsRejected) {
  std::mt19937 random(17);
  int slower = 0;
  for (int round = 0; round < 40; ++round) {
    const Model model = testing::random_model(random, 2 + static_cast<int>(random() % 4));
    const Graph graph(model);
    const Topology topology = random_topology(random);
    const Plan best = plan_on_topology(graph, topology);
    Plan plan = random_plan(random, graph, topology);
    plan.bound = best.bound;
    plan.bound->value = plan.predicted.bottleneck;
    const auto pools = open_devices(topology);
    const bool is_best = plan.predicted.bottleneck == best.predicted.bottleneck;
    EXPECT_EQ(check_certificate(plan, graph, pools).is_accepted, is_best) << "round " << round;
    slower += is_best ? 0 : 1;
  }
  EXPECT_GT(slower, 20);
}

TEST(TopologyPlan, MoreThanEightGroupsAreRefused) {
  Topology topology = two_hosts(1e8);
  while (topology.nodes.size() < 9) {
    topology.links.push_back({0, topology.nodes.size(), 1e8, Nanoseconds(0), ""});
    topology.nodes.push_back(topology.nodes[1]);
    topology.nodes.back().name += std::to_string(topology.nodes.size());
  }
  const Model model = testing::conv_chain({4, 4});
  expect_error(ErrorCode::kInvalidArgument,
               [&] { static_cast<void>(plan_on_topology(Graph(model), topology)); },
               {"9 groups of equal devices on a node; at most 8"});
}

TEST(TopologyPlan, RequestRefusesWhatTopologyFixes) {
  PlanRequest request;
  request.topology = two_hosts(1e8);
  EXPECT_NO_THROW(check_request(request));
  request.strategy = find_strategy("balanced");
  expect_error(ErrorCode::kInvalidArgument, [&] { check_request(request); },
               {"requires strategy optimal"});
  request.strategy = find_strategy("optimal");
  request.count = DeviceCount::kWorthIt;
  expect_error(ErrorCode::kInvalidArgument, [&] { check_request(request); }, {"cannot be chosen"});
  request.count = DeviceCount::kAll;
  request.pools = open_devices("edgetpu-pcie", 2);
  expect_error(ErrorCode::kInvalidArgument, [&] { check_request(request); },
               {"leave out the list"});
}

}  // namespace
}  // namespace segue
