#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "expect.h"
#include "model_builder.h"
#include "planner/optimal/equal_devices.h"
#include "planner/optimal/ideal_costs.h"
#include "planner/optimal/ideals.h"
#include "planner/optimal/lattice_stages.h"
#include "planner/optimal/range_stages.h"
#include "planner/optimal/work_bounds.h"
#include "reference/best_pipeline.h"
#include "reference/random_device.h"
#include "reference/random_model.h"
#include "segue/plan.h"
#include "segue/planner.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using testing::operators;

const DeviceSpec& pcie() { return find_device("edgetpu-pcie"); }

using testing::BestPipeline;
using testing::random_device;

// Tests with random graphs, devices and limits, which the reference searches completely.
class OptimalBySeed : public ::testing::TestWithParam<unsigned> {};

TEST_P(OptimalBySeed, EqualDevicesMatchBestPipeline) {
  std::mt19937 random(GetParam());
  for (int round = 0; round < 40; ++round) {
    const Model model = testing::random_model(random, 2 + static_cast<int>(random() % 4));
    if (model.operators().size() > 9) continue;
    const Graph graph(model);
    const DevicePool pool{random_device(random), static_cast<std::uint32_t>(1 + random() % 5),
                          random() % 4 == 0};
    const std::span pools(&pool, 1);
    const auto replicas = static_cast<std::uint32_t>(random() % (pool.count + 1));
    BestPipeline best(graph, pools, replicas);
    const auto found = segment_optimal(graph, pools, {replicas});
    EXPECT_EQ(found.bottleneck.count(), best.bottleneck())
        << "round " << round << ": " << pool.count << " devices, " << replicas << " replicas, "
        << (pool.shares_link ? "shared" : "own") << " links";
    EXPECT_TRUE(found.bound.is_proven);
    const auto quick = segment_optimal(graph, pools, {replicas, Objective::kLatency});
    EXPECT_EQ(quick.latency.count(), best.latency()) << "round " << round;
    const Nanoseconds between = quick.latency + (found.latency - quick.latency) / 2;
    const auto limited =
        segment_optimal(graph, pools, {.max_replicas = replicas, .max_latency = between});
    EXPECT_EQ(limited.bottleneck.count(), best.bottleneck(between.count())) << "round " << round;
    EXPECT_LE(limited.latency, between);
  }
}

TEST_P(OptimalBySeed, UnequalDevicesMatchBestPipeline) {
  std::mt19937 random(GetParam() + 1000);
  for (int round = 0; round < 25; ++round) {
    const Model model = testing::random_model(random, 2 + static_cast<int>(random() % 3));
    if (model.operators().size() > 7) continue;
    const Graph graph(model);
    const auto pools = testing::random_pools(random);
    const auto replicas = static_cast<std::uint32_t>(random() % 4);
    BestPipeline best(graph, pools, replicas);
    const auto found = segment_optimal(graph, pools, {replicas});
    EXPECT_EQ(found.bottleneck.count(), best.bottleneck()) << "round " << round;
    const auto quick = segment_optimal(graph, pools, {replicas, Objective::kLatency});
    EXPECT_EQ(quick.latency.count(), best.latency()) << "round " << round;
    const Plan plan =
        make_plan(graph, found.segmentation, pools, Strategy::kOptimal, found.devices);
    EXPECT_EQ(plan.predicted.bottleneck, found.bottleneck);
    EXPECT_EQ(plan.predicted.latency, found.latency);
  }
}

std::uint32_t used_by(const OptimalSegmentation& found) {
  std::uint32_t used = 0;
  for (const PoolCounts& counts : found.devices)
    used = std::accumulate(counts.begin(), counts.end(), used);
  return used;
}

// Returns the smallest number of devices from the pools on which a pipeline reaches this
// bottleneck.
std::uint32_t fewest_devices(const Graph& graph, std::vector<DevicePool> pools,
                             std::uint32_t replicas, std::int64_t bottleneck) {
  std::uint32_t fewest = device_count(pools);
  if (BestPipeline(graph, pools, replicas).bottleneck() > bottleneck) return fewest + 1;
  for (std::size_t pool = 0; pool < pools.size(); ++pool) {
    std::vector<DevicePool> fewer = pools;
    if (--fewer[pool].count == 0) fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(pool));
    if (!fewer.empty())
      fewest = std::min(fewest, fewest_devices(graph, fewer, replicas, bottleneck));
  }
  return fewest;
}

TEST_P(OptimalBySeed, UsesTheFewestDevicesOfEqualPace) {
  std::mt19937 random(GetParam() + 2000);
  int with_fewer = 0;
  for (int round = 0; round < 40; ++round) {
    const Model model = testing::random_model(random, 2 + static_cast<int>(random() % 3));
    if (model.operators().size() > 6) continue;
    const Graph graph(model);
    const bool is_equal = round % 2 == 0;
    const auto pools =
        is_equal ? std::vector<DevicePool>{{random_device(random),
                                            static_cast<std::uint32_t>(2 + random() % 5), false}}
                 : testing::random_pools(random);
    const auto replicas = static_cast<std::uint32_t>(random() % 3);
    const auto found = segment_optimal(graph, pools, {replicas});
    const std::uint32_t fewest = fewest_devices(graph, pools, replicas, found.bottleneck.count());
    EXPECT_EQ(used_by(found), fewest) << "round " << round;
    if (fewest < device_count(pools)) ++with_fewer;
  }
  EXPECT_GT(with_fewer, 5);
}

INSTANTIATE_TEST_SUITE_P(Seeds, OptimalBySeed, ::testing::Range(0U, 3U));

// One device computes slowly and has a fast link; the other computes fast and has a slow link.
// Together they are better than either alone, and no bound may exclude this.
TEST(Optimal, ComplementaryDevicesAreBothUsed) {
  DevicePool slow{pcie(), 1, false};
  slow.device.timing.clock_hz.value = 20e6;
  DevicePool far{pcie(), 1, false};
  far.device.timing.link_bytes_per_s.value = 20e6;
  far.device.timing.output_ns_per_byte.value = 50;
  const std::vector<DevicePool> pools{slow, far};
  const Model model = open_model("zoo:squeezenet");
  const Graph graph(model);
  const auto best = segment_optimal(graph, pools);
  Plan plan = make_plan(graph, best.segmentation, pools, Strategy::kOptimal, best.devices);
  plan.bound = best.bound;
  EXPECT_TRUE(best.bound.is_proven);
  const CertificateVerdict verdict = check_certificate(plan, graph, pools);
  EXPECT_TRUE(verdict.is_accepted) << verdict.reason;
}

TEST(Optimal, UnreachableLatencyNamesSmallest) {
  const Model model = open_model("zoo:resnet50");
  const Graph graph(model);
  testing::expect_error(
      ErrorCode::kInfeasible,
      [&] { (void)segment_optimal(graph, pcie(), 4, {.max_latency = Nanoseconds(1'000'000)}); },
      {"resnet50", "latency of 1.00 ms", "smallest is 10.15 ms"});
}

TEST(Optimal, SegmentationIsValidWithinDeviceCount) {
  std::mt19937 random(18);
  for (int round = 0; round < 40; ++round) {
    const Model model = testing::random_model(random, 8);
    const Graph graph(model);
    const DeviceSpec device = random_device(random);
    for (std::uint32_t devices = 1; devices <= 6; ++devices) {
      const auto best = segment_optimal(graph, device, devices);
      check_segmentation(graph, best.segmentation);
      std::size_t used = 0;
      for (const PoolCounts& counts : best.devices) used += counts[0];
      EXPECT_LE(used, devices);
      EXPECT_LE(best.bound.value, best.bottleneck);
    }
  }
}

TEST(Optimal, SmallModelIsReplicatedOnAllDevices) {
  const Model model = open_model("zoo:nasnetmobile");
  const Graph graph(model);
  const auto best = segment_optimal(graph, pcie(), 8);
  EXPECT_EQ(best.devices, std::vector<PoolCounts>{{8}});
  EXPECT_TRUE(best.bound.is_proven) << "by the work that any pipeline must do";
}

TEST(Optimal, WideGraphIsCutWhereFewBytesCross) {
  const Model model = open_model("zoo:nasnetmobile");
  const Graph graph(model);
  EXPECT_LE(segment_optimal(graph, pcie(), 4, {.max_replicas = 1}).bottleneck,
            std::chrono::microseconds(4570));
}

// Two branches side by side, too many operators for pairs of ideals.
TEST(Optimal, LargeGraphTakesBestOfAllOrders) {
  constexpr int kBlocks = 1100;
  testing::ModelBuilder b;
  TensorIndex left = b.relu(b.input("x", {1, 64}), "start");
  TensorIndex right = left;
  for (int i = 0; i < kBlocks; ++i) {
    left = b.relu(left, "left" + std::to_string(i));
    right = b.relu(right, "right" + std::to_string(i));
  }
  b.output(b.add(left, right, "end"));
  const Model model = b.build();
  const Graph graph(model);
  const auto best = segment_optimal(graph, pcie(), 4, {.max_replicas = 1});
  check_segmentation(graph, best.segmentation);
  EXPECT_LE(used_by(best), 4U);
  EXPECT_LE(best.bound.value, best.bottleneck);
  const Plan vendor = make_plan(graph, segment_as_vendor(graph, 4),
                                *make_simulated_compiler(pcie()), pcie(), Strategy::kCompiler);
  EXPECT_LE(best.bottleneck, vendor.predicted.bottleneck);
}

TEST(Optimal, EqualPaceTakesFewestDevices) {
  const Model model = open_model("zoo:resnet101");
  const Graph graph(model);
  const OptimalPlanner planner(graph, pcie(), 16);
  const OptimalOptions pairs{.max_replicas = 2};
  const auto of_16 = planner.segment(16, pairs);
  EXPECT_EQ(used_by(of_16), 13U);
  EXPECT_EQ(of_16.bottleneck, planner.segment(13, pairs).bottleneck);
  EXPECT_GT(planner.segment(12, pairs).bottleneck, of_16.bottleneck);
}

TEST(Optimal, ZeroDevicesAreRefused) {
  const Model model = testing::conv_chain({8});
  const Graph graph(model);
  testing::expect_error(ErrorCode::kInvalidArgument,
                        [&] { (void)segment_optimal(graph, pcie(), 0); }, {"0 devices"});
}

//      a
//     / \        ideals: {} {a} {a,b} {a,c} {a,b,c} {a,b,c,d}
//    b   c
//     \ /
//      d
TEST(Optimal, LongSearchReturnsPlanAndBound) {
  const Model model = open_model("zoo:inceptionv4");
  const Graph graph(model);
  const auto best = segment_optimal(graph, find_device("edgetpu-pcie"), 1000, {});
  EXPECT_LE(best.bound.value, best.bottleneck);
  EXPECT_LE(best.bottleneck, Nanoseconds(3'000'000));
}

IdealLattice all_ideals(const Graph& graph) {
  std::vector<IdealGap> gaps;
  IdealLattice lattice = IdealLattice::narrow(graph, 100'000, gaps);
  EXPECT_TRUE(gaps.empty());
  return lattice;
}

TEST(IdealLattice, DiamondGraphHasSixIdeals) {
  testing::ModelBuilder b;
  const auto a = b.relu(b.input("x", {1, 4}), "a");
  b.output(b.add(b.relu(a, "b"), b.relu(a, "c"), "d"));
  const Model model = b.build();
  const Graph graph(model);
  const IdealLattice lattice = all_ideals(graph);
  EXPECT_EQ(lattice.size(), 6U);
  EXPECT_EQ(lattice.operators_in(0), 0U);
  EXPECT_EQ(lattice.operators_in(5), 4U);
  EXPECT_FALSE(lattice.is_subset(2, 3));
  EXPECT_EQ(lattice.difference(1, 4), operators(1, 2));
  EXPECT_EQ(lattice.last_of_difference(1, 4), 2U);
  std::vector<IdealGap> gaps;
  EXPECT_EQ(IdealLattice::narrow(graph, 5, gaps).size(), 4U);
  EXPECT_EQ(gaps.size(), 1U);
}

TEST(FewestBytesOrder, WritersComeBeforeReaders) {
  std::mt19937 random(51);
  for (int round = 0; round < 200; ++round) {
    const Model model = testing::random_model(random, 12);
    const Graph graph(model);
    std::vector<bool> is_placed(graph.operator_count());
    for (const OperatorId id : fewest_bytes_order(graph)) {
      EXPECT_FALSE(is_placed[index(id)]);
      for (const OperatorId writer : graph.writers(id)) EXPECT_TRUE(is_placed[index(writer)]);
      is_placed[index(id)] = true;
    }
    EXPECT_EQ(std::ranges::count(is_placed, true), std::ssize(is_placed));
  }
}

// The file alternates between the branches. The order ends one of them first: as long as both are
// open, each cut is crossed by two tensors in either order.
TEST(FewestBytesOrder, BranchThatShrinksEndsFirst) {
  testing::ModelBuilder b;
  const auto x = b.input("x", {1, 64});
  const auto wide1 = b.dense(x, "wide1", 256);
  const auto thin1 = b.dense(x, "thin1", 8);
  const auto wide2 = b.dense(wide1, "wide2", 256);
  const auto thin2 = b.dense(thin1, "thin2", 8);
  b.output(b.concat({wide2, thin2}, "end"));
  const Model model = b.build();
  const Graph graph(model);
  const auto order = fewest_bytes_order(graph);
  EXPECT_EQ(order, (std::vector{OperatorId{1}, OperatorId{3}, OperatorId{0}, OperatorId{2},
                                OperatorId{4}}));
}

TEST(IdealCosts, CostsMatchSegmentsAndBoundsHold) {
  std::mt19937 random(19);
  for (int round = 0; round < 60; ++round) {
    const Model model = testing::random_model(random, 6, round % 2 == 1);
    const Graph graph(model);
    const DeviceSpec device = random_device(random);
    const auto compiler = make_simulated_compiler(device);
    const IdealLattice lattice = all_ideals(graph);
    const SegmentCosts operators(graph, device);
    const std::vector<IdealCosts> costs{{operators, lattice}};
    const WorkBounds bounds(lattice, costs, graph.operator_count(), 3);
    for (int sample = 0; sample < 50; ++sample) {
      const std::size_t from = random() % (lattice.size() - 1);
      const std::size_t to = from + 1 + random() % (lattice.size() - 1 - from);
      if (!lattice.is_subset(from, to)) continue;
      const auto ids = lattice.difference(from, to);
      const MemoryReport report = compiler->compile(graph, ids);
      const SegmentTime time = simulate_segment(graph, ids, report, device);
      const auto cost = costs[0](from, to);
      EXPECT_EQ(cost.time_ns, time.total().count());
      EXPECT_EQ(cost.link_ns, time.link().count());
      EXPECT_EQ(cost.host_bytes, report.host_bytes);
      EXPECT_LE(bounds.least_ns(from, to), time.total().count());
      EXPECT_LE(bounds.least_sum_ns(from, to, 3), bounds.least_sum_ns(from, to, 1));
    }
  }
}

// Returns the simulator's time of these operators as one segment.
std::int64_t time_alone(const Graph& graph, std::span<const OperatorId> ids,
                        const DeviceSpec& device) {
  const MemoryReport report = make_simulated_compiler(device)->compile(graph, ids);
  return simulate_segment(graph, ids, report, device).total().count();
}

TEST(NarrowPrefixes, PrefixesAreIdealsComparableToAll) {
  std::mt19937 random(31);
  for (int round = 0; round < 200; ++round) {
    const Model model = testing::random_model(random, 2 + static_cast<int>(random() % 8));
    const Graph graph(model);
    const IdealLattice lattice = all_ideals(graph);
    std::vector<std::uint32_t> expected;
    for (std::size_t i = 0; i < lattice.size(); ++i) {
      bool is_narrow = true;
      for (std::size_t j = 0; j < lattice.size(); ++j)
        is_narrow &= lattice.is_subset(i, j) || lattice.is_subset(j, i);
      if (is_narrow) expected.push_back(lattice.operators_in(i));
    }
    EXPECT_EQ(narrow_prefixes(graph), expected) << "round " << round;
  }
}

TEST(RangeStages, TimesMatchSegmentsAlone) {
  std::mt19937 random(32);
  for (int round = 0; round < 100; ++round) {
    const Model model = testing::random_model(random, 40);
    const Graph graph(model);
    const DeviceSpec device = random_device(random);
    const auto order = graph.vendor_order();
    const SegmentCosts costs(graph, device);
    const auto stages = RangeStages::along(costs, order, 3);
    ASSERT_TRUE(stages);
    for (int sample = 0; sample < 50; ++sample) {
      const std::size_t from = random() % order.size();
      const std::size_t to = from + 1 + random() % (order.size() - from);
      const std::int64_t time = time_alone(graph, stages->operators(from, to), device);
      EXPECT_EQ(stages->time_ns(from, to), time) << "round " << round;
      EXPECT_TRUE(stages->may_take(from, to, time));
      EXPECT_GE(stages->last_within(from, time), to);
    }
  }
}

// The relaxed problem allows everything that the real one allows.
TEST(EqualDevices, GapBoundIsBelowOptimum) {
  std::mt19937 random(33);
  int with_gaps = 0;
  int tight = 0;
  for (int round = 0; round < 300; ++round) {
    const Model model = testing::random_model(random, 9, round % 2 == 1);
    const Graph graph(model);
    const DeviceSpec device = random_device(random);
    const auto devices = static_cast<std::uint32_t>(1 + random() % 5);
    const auto replicas = static_cast<std::uint32_t>(1 + random() % devices);
    std::vector<IdealGap> gaps;
    IdealLattice narrow = IdealLattice::narrow(graph, 8, gaps);
    std::vector<IdealGap> none;
    IdealLattice all = IdealLattice::narrow(graph, 2000, none);
    if (gaps.empty() || !none.empty()) continue;
    ++with_gaps;
    const SegmentCosts costs(graph, device);
    const LatticeStages some({&costs, 1}, std::move(narrow), devices);
    const LatticeStages every({&costs, 1}, std::move(all), devices);
    const auto numbers = [](std::size_t count) {
      std::vector<std::uint32_t> result(count);
      std::iota(result.begin(), result.end(), 0U);
      return result;
    };
    const std::int64_t longest = every.time_ns(0, every.size() - 1);
    EqualDevices<LatticeStages> relaxed(some, numbers(some.size()), gaps, devices, replicas);
    EqualDevices<LatticeStages> exact(every, numbers(every.size()), {}, devices, replicas);
    const auto bound = relaxed.solve(0, longest);
    const auto best = exact.solve(0, longest);
    ASSERT_TRUE(bound && best);
    EXPECT_LE(*bound, *best) << "round " << round;
    if (*bound * 10 > *best * 5) ++tight;
  }
  EXPECT_GT(with_gaps, 50);
  EXPECT_GT(tight, with_gaps / 4);
}

// Three operators with a skip are repeated 1500 times, which gives too many ideals for a table of
// pairs.
TEST(Optimal, LargeGraphPlanIsNearBound) {
  testing::ModelBuilder b;
  auto x = b.input("x", {1, 56, 56, 16});
  for (int i = 0; i < 1500; ++i) {
    const std::string name = std::to_string(i);
    const auto y = b.conv(x, "a" + name, 16);
    x = b.add(b.conv(y, "b" + name, 16), x, "c" + name);
  }
  b.output(x);
  const Model model = b.build();
  const Graph graph(model);
  for (const std::uint32_t replicas : {0U, 1U}) {
    const auto best = segment_optimal(graph, pcie(), 4, {.max_replicas = replicas});
    check_segmentation(graph, best.segmentation);
    EXPECT_LE(best.bound.value, best.bottleneck);
    EXPECT_GT(best.bound.value, best.bottleneck * 97 / 100);
    const DevicePool pool{pcie(), 4};
    const Plan plan =
        make_plan(graph, best.segmentation, {&pool, 1}, Strategy::kOptimal, best.devices);
    EXPECT_EQ(plan.predicted.bottleneck, best.bottleneck);
    EXPECT_EQ(plan.predicted.latency, best.latency);
  }
}

TEST(OptimalPlanner, SharedSearchMatchesSeparateSearches) {
  std::mt19937 random(34);
  for (int round = 0; round < 20; ++round) {
    const Model model = testing::random_model(random, 8);
    const Graph graph(model);
    const DeviceSpec device = random_device(random);
    const OptimalPlanner planner(graph, device, 5);
    for (std::uint32_t count = 5; count > 0; --count) {
      const auto shared = planner.segment(count);
      const auto alone = segment_optimal(graph, device, count);
      EXPECT_EQ(shared.segmentation.segments, alone.segmentation.segments);
      EXPECT_EQ(shared.devices, alone.devices);
      EXPECT_EQ(shared.bound.value, alone.bound.value);
    }
    testing::expect_error(ErrorCode::kInvalidArgument, [&] { (void)planner.segment(6); },
                          {"6 devices", "created for 5"});
  }
}

TEST(Compare, RowsDoNotDependOnThreads) {
  const Model model = open_model("zoo:inceptionv3");
  const Graph graph(model);
  std::vector<std::string> rows;
  for (const std::uint32_t threads : {1U, 2U, 7U}) {
    std::uint64_t done = 0;
    const auto count_plans = [&](std::uint64_t so_far, std::uint64_t all) {
      EXPECT_EQ(so_far, ++done);
      EXPECT_EQ(all, 16U);
    };
    std::string text;
    for (const ComparedPlan& row :
         compare_strategies(graph, pcie(), 1, 4, {.threads = threads, .progress = count_plans}))
      text += std::to_string(row.tpus) + to_json(row.plan);
    rows.push_back(std::move(text));
    EXPECT_EQ(done, 16U);
  }
  EXPECT_EQ(rows[0], rows[1]);
  EXPECT_EQ(rows[0], rows[2]);
}

// Each of a thousand operators concatenates all before it, which gives half a million reads in a
// file of 2 MB.
TEST(Optimal, DenseChainIsProvenAndProfileRefused) {
  testing::ModelBuilder b;
  std::vector<testing::TensorIndex> tensors{b.input("x", {1, 4})};
  for (int i = 0; i < 1000; ++i) {
    tensors.push_back(b.tensor("t" + std::to_string(i), {1, 4}));
    b.op(tflite::BuiltinOperator::CONCATENATION,
         std::vector<testing::TensorIndex>(tensors.begin(), tensors.end() - 1), {tensors.back()});
  }
  b.output(tensors.back());
  const Model model = b.build("dense");
  const Graph graph(model);
  const DevicePool pool{find_device("edgetpu-pcie"), 2};
  testing::expect_error(ErrorCode::kUnsupported,
                        [&] {
                          (void)plan_by_strategy(graph, {&pool, 1}, Strategy::kProfile);
                        },
                        {"dense", "--strategy balanced"});
  EXPECT_TRUE(segment_optimal(graph, {&pool, 1}).bound.is_proven);
  EXPECT_EQ(compare_strategies(graph, pool.device, 1, 2).size(), 6U) << "all but profile";
}

}  // namespace
}  // namespace segue
