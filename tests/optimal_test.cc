#include "segue/optimal.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <random>

#include "expect.h"
#include "model_builder.h"
#include "optimal/ideal_costs.h"
#include "optimal/ideals.h"
#include "reference/random_model.h"
#include "segue/plan.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using testing::operators;

const DeviceSpec& pcie() { return find_device("edgetpu-pcie"); }

// Every convex segmentation with every number of replicas, by recursion over sets of operators.
class BruteForce {
 public:
  BruteForce(const Graph& graph, const DeviceSpec& device)
      : graph_(graph),
        device_(device),
        compiler_(make_simulated_compiler(device)),
        full_((1U << graph.operator_count()) - 1),
        hop_(std::llround(device.timing.hop_ns.value)) {}

  [[nodiscard]] std::int64_t best_bottleneck(std::uint32_t devices, std::uint32_t max_replicas) {
    devices_ = devices;
    max_replicas_ = max_replicas;
    best_ = time(0, full_);  // alone, without a runner
    extend(0, devices, 0, 0);
    return best_;
  }

  [[nodiscard]] std::int64_t best_latency(std::uint32_t devices) {
    best_ = time(0, full_);
    add_up(0, devices, 0, 0);
    return best_;
  }

 private:
  [[nodiscard]] bool is_ideal(unsigned set) const {
    for (std::size_t op = 0; op < graph_.operator_count(); ++op) {
      if ((set >> op & 1U) == 0) continue;
      for (const OperatorId writer : graph_.writers(operator_id(op))) {
        if ((set >> index(writer) & 1U) == 0) return false;
      }
    }
    return true;
  }

  std::int64_t time(unsigned from, unsigned to) {
    const auto [entry, is_new] = times_.try_emplace({from, to}, 0);
    if (is_new) {
      std::vector<OperatorId> ids;
      for (std::size_t op = 0; op < graph_.operator_count(); ++op) {
        if ((to & ~from) >> op & 1U) ids.push_back(operator_id(op));
      }
      entry->second =
          simulate_segment(graph_, ids, compiler_->compile(graph_, ids), device_).total().count();
    }
    return entry->second;
  }

  template <typename Visit>
  void for_larger(unsigned from, Visit visit) {
    for (unsigned to = from + 1; to <= full_; ++to) {
      if ((from & ~to) == 0 && is_ideal(to)) visit(to);
    }
  }

  void extend(unsigned from, std::uint32_t devices, std::int64_t stages, std::int64_t slowest) {
    if (slowest >= best_) return;
    if (from == full_) {
      if (stages > 1 || devices < devices_ - 1)
        best_ = std::min(best_, std::max(slowest, stages * hop_));
      return;
    }
    for_larger(from, [&](unsigned to) {
      for (std::uint32_t r = 1; r <= std::min(devices, max_replicas_); ++r)
        extend(to, devices - r, stages + 1, std::max(slowest, time(from, to) / r));
    });
  }

  void add_up(unsigned from, std::uint32_t devices, std::int64_t stages, std::int64_t sum) {
    if (sum >= best_) return;
    if (from == full_) {
      if (stages > 1) best_ = sum;
      return;
    }
    if (devices == 0) return;
    for_larger(from, [&](unsigned to) {
      add_up(to, devices - 1, stages + 1, sum + time(from, to) + hop_);
    });
  }

  const Graph& graph_;
  const DeviceSpec& device_;
  std::unique_ptr<Compiler> compiler_;
  unsigned full_;
  std::int64_t hop_;
  std::uint32_t devices_ = 0;
  std::uint32_t max_replicas_ = 0;
  std::int64_t best_ = 0;
  std::map<std::pair<unsigned, unsigned>, std::int64_t> times_;
};

// A device on which transfers, streaming and hops all weigh something for models of a few KB.
DeviceSpec random_device(std::mt19937& random) {
  DeviceSpec device = pcie();
  const auto between = [&](unsigned low, unsigned high) {
    return static_cast<double>(low + random() % (high - low));
  };
  device.memory.capacity_bytes.value = between(1'000, 300'000);
  device.timing.link_bytes_per_s.value = between(1, 400) * 1e6;
  device.timing.invoke_ns.value = between(0, 50'000);
  device.timing.hop_ns.value = random() % 2 == 0 ? 0 : between(0, 100'000);
  device.timing.output_window_bytes.value = 0;
  return device;
}

TEST(Optimal, EqualsBruteForceOnRandomGraphs) {
  std::mt19937 random(17);
  for (int round = 0; round < 250; ++round) {
    const Model model = testing::random_model(random, 2 + static_cast<int>(random() % 4));
    if (model.operators().size() > 9) continue;
    const Graph graph(model);
    const DeviceSpec device = random_device(random);
    BruteForce brute(graph, device);
    const auto devices = static_cast<std::uint32_t>(1 + random() % 5);
    const auto replicas = static_cast<std::uint32_t>(1 + random() % devices);
    const auto best = segment_optimal(graph, device, {devices, replicas, Objective::kThroughput});
    EXPECT_EQ(best.bottleneck.count(), brute.best_bottleneck(devices, replicas))
        << "round " << round << ": " << devices << " devices, " << replicas << " replicas";
    EXPECT_TRUE(best.bound.is_proven);
    const auto quick = segment_optimal(graph, device, {devices, 1, Objective::kLatency});
    EXPECT_EQ(quick.latency.count(), brute.best_latency(devices)) << "round " << round;
  }
}

TEST(Optimal, UsesNoMoreDevicesThanGivenAndEachOperatorOnce) {
  std::mt19937 random(18);
  for (int round = 0; round < 40; ++round) {
    const Model model = testing::random_model(random, 8);
    const Graph graph(model);
    const DeviceSpec device = random_device(random);
    for (std::size_t devices = 1; devices <= 6; ++devices) {
      const auto best = segment_optimal(graph, device, {devices, 0, Objective::kThroughput});
      check_segmentation(graph, best.segmentation);
      std::size_t used = 0;
      for (const std::uint32_t replicas : best.replicas) used += replicas;
      EXPECT_LE(used, devices);
      EXPECT_LE(best.bound.value, best.bottleneck);
    }
  }
}

TEST(Optimal, ModelThatFitsOneDeviceIsRunOnAllInParallel) {
  const Model model = open_model("zoo:nasnetmobile");
  const Graph graph(model);
  const auto best = segment_optimal(graph, pcie(), {8, 0, Objective::kThroughput});
  EXPECT_EQ(best.replicas, std::vector<std::uint32_t>{8});
  EXPECT_TRUE(best.bound.is_proven) << "by the work that any pipeline must do";
}

TEST(Optimal, ZeroDevicesAreRefused) {
  const Model model = testing::conv_chain({8});
  const Graph graph(model);
  testing::expect_error(ErrorCode::kInvalidArgument,
                        [&] {
                          (void)segment_optimal(graph, pcie(), {0, 0, Objective::kLatency});
                        },
                        {"0 devices"});
}

//      a
//     / \        ideals: {} {a} {a,b} {a,c} {a,b,c} {a,b,c,d}
//    b   c
//     \ /
//      d
TEST(IdealLattice, HoldsEverySetClosedUnderDependence) {
  testing::ModelBuilder b;
  const auto a = b.relu(b.input("x", {1, 4}), "a");
  b.output(b.add(b.relu(a, "b"), b.relu(a, "c"), "d"));
  const Model model = b.build();
  const Graph graph(model);
  const auto lattice = IdealLattice::all(graph, 100);
  ASSERT_TRUE(lattice);
  EXPECT_EQ(lattice->size(), 6U);
  EXPECT_EQ(lattice->operators_in(0), 0U);
  EXPECT_EQ(lattice->operators_in(5), 4U);
  EXPECT_FALSE(lattice->is_subset(2, 3));
  EXPECT_EQ(lattice->difference(1, 4), operators(1, 2));
  EXPECT_EQ(lattice->last_of_difference(1, 4), 2U);
  EXPECT_FALSE(IdealLattice::all(graph, 5));
}

TEST(IdealCosts, EqualThoseOfEachSegmentAloneAndRespectTheirLowerBound) {
  std::mt19937 random(19);
  for (int round = 0; round < 60; ++round) {
    const Model model = testing::random_model(random, 6);
    const Graph graph(model);
    const DeviceSpec device = random_device(random);
    const auto compiler = make_simulated_compiler(device);
    const auto lattice = IdealLattice::all(graph, 100'000);
    ASSERT_TRUE(lattice);
    const IdealCosts costs(graph, *lattice, device);
    for (int sample = 0; sample < 50; ++sample) {
      const std::size_t from = random() % (lattice->size() - 1);
      const std::size_t to = from + 1 + random() % (lattice->size() - 1 - from);
      if (!lattice->is_subset(from, to)) continue;
      const auto ids = lattice->difference(from, to);
      const MemoryReport report = compiler->compile(graph, ids);
      const SegmentTime time = simulate_segment(graph, ids, report, device);
      const auto cost = costs(from, to);
      EXPECT_EQ(cost.time, time.total());
      EXPECT_EQ(cost.host_bytes, report.host_bytes);
      EXPECT_LE(costs.least_ns(from, to), time.total().count());
    }
  }
}

}  // namespace
}  // namespace segue
