// Tests laws that hold for every graph, segmentation and pipeline on random ones. The expected
// values are computed from the definitions, without the tested code.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "reference/random_device.h"
#include "reference/random_model.h"
#include "segue/cost.h"
#include "segue/graph.h"
#include "segue/plan.h"
#include "segue/planner.h"
#include "segue/segmentation.h"
#include "segue/timeline.h"

namespace segue {
namespace {

constexpr unsigned kRounds = 200;

// A random graph, which its number determines.
struct RandomCase {
  explicit RandomCase(unsigned number) : random(number) {}
  std::mt19937 random;
  Model model =
      testing::random_model(random, static_cast<int>(2 + random() % 20), random() % 3 == 0);
  Graph graph{model};
};

// Calls `law` with this many random graphs; a failure shows the number of the graph.
template <typename Law>
void for_all(unsigned rounds, const Law& law) {
  for (unsigned number = 0; number < rounds; ++number) {
    SCOPED_TRACE(number);
    RandomCase random_case(number);
    law(random_case.random, random_case.model, random_case.graph);
  }
}

// Computes depths by their definition: one more than the depth of the deepest writer.
std::vector<std::uint32_t> depths_of(const Model& model) {
  std::vector<std::uint32_t> depths;
  for (const Operator& op : model.operators()) {
    std::uint32_t depth = 1;
    for (const std::int32_t input : op.inputs) {
      const auto writer = input < 0 ? std::nullopt : model.producer(tensor_id(input));
      if (writer) depth = std::max(depth, depths[index(*writer)] + 1);
    }
    depths.push_back(depth);
  }
  return depths;
}

TEST(Property, DepthExceedsDeepestWriterByOne) {
  for_all(kRounds, []([[maybe_unused]] std::mt19937& random, [[maybe_unused]] const Model& model,
                      const Graph& graph) {
    const auto depths = depths_of(model);
    for (std::size_t i = 0; i < depths.size(); ++i)
      EXPECT_EQ(graph.stats(operator_id(i)).depth, depths[i]) << i;
    EXPECT_EQ(graph.depth(), *std::ranges::max_element(depths));
  });
}

TEST(Property, LevelsSumToModel) {
  for_all(kRounds, []([[maybe_unused]] std::mt19937& random, [[maybe_unused]] const Model& model,
                      const Graph& graph) {
    std::uint64_t parameters = 0;
    std::uint64_t macs = 0;
    std::size_t operators = 0;
    for (const Level& level : graph.levels()) {
      parameters += level.parameter_bytes;
      macs += level.macs;
      operators += level.operator_count;
      EXPECT_EQ(graph.operators_between(level.depth, level.depth).size(), level.operator_count);
    }
    EXPECT_EQ(parameters, graph.parameter_bytes());
    EXPECT_EQ(macs, graph.macs());
    EXPECT_EQ(operators, graph.operator_count());
  });
}

TEST(Property, CutCrossingsMatchDefinition) {
  for_all(kRounds, []([[maybe_unused]] std::mt19937& random, [[maybe_unused]] const Model& model,
                      const Graph& graph) {
    const auto depths = depths_of(model);
    for (std::uint32_t cut = 1; cut < graph.depth(); ++cut) {
      std::set<std::size_t> crossing;
      for (std::size_t reader = 0; reader < depths.size(); ++reader) {
        if (depths[reader] <= cut) continue;
        for (const std::int32_t input : model.operators()[reader].inputs) {
          if (input < 0 || model.tensor(tensor_id(input)).is_constant()) continue;
          const auto writer = model.producer(tensor_id(input));
          if (!writer || depths[index(*writer)] <= cut)
            crossing.insert(static_cast<std::size_t>(input));
        }
      }
      std::set<std::size_t> found;
      for (const TensorId id : graph.crossing(cut)) found.insert(index(id));
      EXPECT_EQ(found, crossing) << "cut " << cut;
      EXPECT_EQ(graph.levels()[cut - 1].crossing_tensors, crossing.size());
    }
  });
}

TEST(Property, ReadersAndWritersAreSymmetric) {
  for_all(kRounds, []([[maybe_unused]] std::mt19937& random, [[maybe_unused]] const Model& model,
                      const Graph& graph) {
    for (std::size_t i = 0; i < graph.operator_count(); ++i) {
      for (const OperatorId reader : graph.readers(operator_id(i)))
        EXPECT_EQ(std::ranges::count(graph.writers(reader), operator_id(i)), 1);
      for (const OperatorId writer : graph.writers(operator_id(i)))
        EXPECT_EQ(std::ranges::count(graph.readers(writer), operator_id(i)), 1);
    }
  });
}

TEST(Property, StrategiesCoverOperatorsInOrder) {
  for_all(kRounds, []([[maybe_unused]] std::mt19937& random, [[maybe_unused]] const Model& model,
                      const Graph& graph) {
    const auto count = static_cast<std::uint32_t>(1 + random() % std::min(4U, graph.depth()));
    const DevicePool pool{testing::random_device(random), count};
    for (const StrategyRow& strategy : strategy_table()) {
      const Plan plan = plan_by_strategy(graph, {&pool, 1}, strategy).plan;
      std::map<std::size_t, std::size_t> home;
      for (std::size_t s = 0; s < plan.stages.size(); ++s) {
        for (const OperatorId op : plan.stages[s].operators)
          EXPECT_TRUE(home.emplace(index(op), s).second) << strategy.key;
      }
      EXPECT_EQ(home.size(), graph.operator_count());
      for (const auto& [op, stage] : home) {
        for (const OperatorId writer : graph.writers(operator_id(op)))
          EXPECT_LE(home[index(writer)], stage) << strategy.key;
      }
      EXPECT_LE(plan.device_count(), count);
    }
  });
}

TEST(Property, OptimalIsFastestAndMonotoneInDevices) {
  for_all(kRounds / 4, []([[maybe_unused]] std::mt19937& random,
                          [[maybe_unused]] const Model& model, const Graph& graph) {
    const DeviceSpec device = testing::random_device(random);
    Nanoseconds before = Nanoseconds::max();
    for (std::uint32_t count = 1; count <= std::min(4U, graph.depth()); ++count) {
      const DevicePool pool{device, count};
      const auto optimal = plan_by_strategy(graph, {&pool, 1}, Strategy::kOptimal).plan;
      EXPECT_LE(optimal.predicted.bottleneck, before);
      before = optimal.predicted.bottleneck;
      for (const StrategyRow& strategy : strategy_table()) {
        EXPECT_LE(optimal.predicted.bottleneck,
                  plan_by_strategy(graph, {&pool, 1}, strategy).plan.predicted.bottleneck);
      }
    }
  });
}

TEST(Property, SegmentsParseWithSameParameters) {
  for_all(kRounds, []([[maybe_unused]] std::mt19937& random, [[maybe_unused]] const Model& model,
                      const Graph& graph) {
    const auto cut = static_cast<std::uint32_t>(1 + random() % graph.depth());
    for (const auto& operators :
         {graph.operators_between(1, cut), graph.operators_between(cut + 1, graph.depth())}) {
      if (operators.empty()) continue;
      const Model segment = parse_model(extract_segment(model, operators).to_bytes(), "segment");
      std::uint64_t parameters = 0;
      std::uint64_t macs = 0;
      for (const OperatorId id : operators) {
        parameters += graph.stats(id).parameter_bytes;
        macs += graph.stats(id).macs;
      }
      const Graph of_segment(segment);
      EXPECT_EQ(of_segment.parameter_bytes(), parameters);
      EXPECT_EQ(of_segment.macs(), macs);
      const SegmentBorder border = segment_border(model, operators);
      EXPECT_EQ(segment.inputs().size(), border.inputs.size());
      EXPECT_EQ(segment.outputs().size(), border.outputs.size());
    }
  });
}

std::vector<StageLoad> random_loads(std::mt19937& random) {
  std::vector<StageLoad> loads(1 + random() % 5);
  for (StageLoad& load : loads) {
    load.time.fixed = Nanoseconds(random() % 1000);
    load.time.input = Nanoseconds(random() % 5000);
    load.time.compute = Nanoseconds(1 + random() % 20000);
    load.time.streaming = Nanoseconds(random() % 3 == 0 ? random() % 20000 : 0);
    load.time.output = Nanoseconds(random() % 5000);
    load.time.output_on_link = load.time.output / 2;
    load.replicas = static_cast<std::uint32_t>(1 + random() % 3);
  }
  return loads;
}

TEST(TimelineProperty, InputAndPipelineRespectStageTimes) {
  std::mt19937 random(5);
  for (unsigned round = 0; round < kRounds; ++round) {
    const auto loads = random_loads(random);
    TimelineOptions options;
    options.inputs = 1 + random() % 40;
    options.queue_capacity = static_cast<std::uint32_t>(random() % 4);
    options.hop = Nanoseconds(random() % 500);
    const Timeline timeline = simulate_timeline(loads, options);
    Nanoseconds all{0};
    Nanoseconds slowest{0};
    for (const StageLoad& load : loads) {
      all += load.time.total() + options.hop;
      slowest = std::max(slowest, load.time.total() / load.replicas);
    }
    ASSERT_EQ(timeline.results.size(), options.inputs);
    EXPECT_TRUE(std::ranges::is_sorted(timeline.results));
    EXPECT_EQ(timeline.makespan, timeline.results.back());
    for (const Nanoseconds latency : timeline.latencies) EXPECT_GE(latency, all);
    if (options.hop.count() == 0) {
      EXPECT_EQ(timeline.latencies.front(), all);
    }
    // A device computes one input after another.
    EXPECT_GE(timeline.makespan, slowest * static_cast<std::int64_t>(options.inputs));
    for (const StageStatistics& stage : timeline.stages) {
      for (const double share : stage.utilisation) EXPECT_LE(share, 1.0 + 1e-9);
    }
  }
}

TEST(TimelineProperty, SteadyPeriodIsSlowestStage) {
  std::mt19937 random(6);
  for (unsigned round = 0; round < kRounds; ++round) {
    auto loads = random_loads(random);
    Nanoseconds slowest{0};
    for (StageLoad& load : loads) {
      load.replicas = 1;
      slowest = std::max(slowest, load.time.total());
    }
    TimelineOptions options;
    options.inputs = 200;
    EXPECT_EQ(simulate_timeline(loads, options).steady_period(), slowest) << round;
  }
}

TEST(TimelineProperty, LargerQueueNeverSlowsPureStream) {
  std::mt19937 random(7);
  for (unsigned round = 0; round < kRounds; ++round) {
    auto loads = random_loads(random);
    for (StageLoad& load : loads) load.replicas = 1;
    Nanoseconds before = Nanoseconds::max();
    for (const std::uint32_t room : {1U, 2U, 8U, 0U}) {
      TimelineOptions options;
      options.inputs = 30;
      options.queue_capacity = room;
      const Nanoseconds makespan = simulate_timeline(loads, options).makespan;
      EXPECT_LE(makespan, before);
      before = makespan;
    }
  }
}

TEST(TimelineProperty, DeviceEventsSumToStageTime) {
  std::mt19937 random(8);
  for (unsigned round = 0; round < kRounds; ++round) {
    const auto loads = random_loads(random);
    TimelineOptions options;
    options.inputs = 12;
    options.records_events = true;
    const Timeline timeline = simulate_timeline(loads, options);
    std::map<std::pair<std::uint32_t, std::uint64_t>, Nanoseconds> spent;  // by stage and input
    std::map<std::uint32_t, Nanoseconds> free;                             // by device
    for (const TimelineEvent& event : timeline.events) {
      if (event.device == TimelineEvent::kHost) continue;
      EXPECT_GE(event.begin, free[event.device]);
      free[event.device] = event.end;
      spent[{event.stage, event.input}] += event.end - event.begin;
    }
    for (std::uint32_t stage = 0; stage < loads.size(); ++stage) {
      for (std::uint64_t input = 0; input < options.inputs; ++input)
        EXPECT_EQ((spent[{stage, input}]), loads[stage].time.total());
    }
  }
}

}  // namespace
}  // namespace segue
