// Tests a device kind, a strategy and a runtime from outside the library. Only public headers are
// used.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>

#include "expect.h"
#include "model_builder.h"
#include "segue/cost.h"
#include "segue/pipeline.h"
#include "segue/planner.h"
#include "segue/report.h"

namespace segue {
namespace {

using ::testing::HasSubstr;

// An accelerator with 4 MiB that computes one 8-bit product per lane. It keeps the parameters of a
// segment only if all of them fit. Otherwise it swaps: every inference loads the whole segment.
class SwappingModel : public DeviceModel {
 public:
  static constexpr std::uint64_t kMemoryBytes = std::uint64_t{4} << 20U;
  static constexpr double kMacsPerNs = 500;

  [[nodiscard]] bool supports(const Model& model, OperatorId id) const override {
    return model.op(id).code != OpCode::kSoftmax;
  }
  [[nodiscard]] std::unique_ptr<Compiler> compiler(const DeviceSpec& /*device*/) const override {
    return std::make_unique<SwappingCompiler>();
  }
  [[nodiscard]] SegmentTime time(const Graph& graph, std::span<const OperatorId> operators,
                                 const MemoryReport& memory,
                                 const DeviceSpec& device) const override {
    const double ns_per_byte = 1e9 / device.timing.link_bytes_per_s.value;
    const auto link = [&](std::uint64_t bytes) {
      return Nanoseconds(static_cast<std::int64_t>(static_cast<double>(bytes) * ns_per_byte));
    };
    SegmentTime time;
    for (const OperatorId id : operators) time.compute += least_time(graph, id, device);
    const SegmentBorder border = segment_border(graph.model(), operators);
    for (const TensorId id : border.inputs) time.input += link(graph.model().tensor(id).bytes);
    for (const TensorId id : border.outputs) time.output += link(graph.model().tensor(id).bytes);
    time.streaming = link(memory.host_bytes);
    return time;
  }
  [[nodiscard]] Nanoseconds least_time(const Graph& graph, OperatorId id,
                                       const DeviceSpec& /*device*/) const override {
    return Nanoseconds(
        static_cast<std::int64_t>(static_cast<double>(graph.stats(id).macs) / kMacsPerNs));
  }

 private:
  class SwappingCompiler : public Compiler {
   public:
    [[nodiscard]] MemoryReport compile(const Graph& graph,
                                       std::span<const OperatorId> operators) const override {
      std::uint64_t bytes = 0;
      for (const OperatorId id : operators) bytes += graph.stats(id).parameter_bytes;
      MemoryReport report;
      report.capacity_bytes = kMemoryBytes;
      (bytes <= kMemoryBytes ? report.on_chip_bytes : report.host_bytes) = bytes;
      return report;
    }
  };
};

const SwappingModel kSwapping;

// The built-in devices and the accelerator, on the link and host of a PCIe card.
std::vector<DeviceSpec> catalogue() {
  std::vector<DeviceSpec> devices(device_catalogue().begin(), device_catalogue().end());
  devices.push_back(find_device("edgetpu-pcie"));
  devices.back().name = "swapping";
  devices.back().model = &kSwapping;
  return devices;
}

std::vector<DevicePool> swapping(std::uint32_t count) {
  return open_devices("swapping", count, catalogue());
}

// Makes 1x1 convolutions with 0.5, 1, 2, 1, 0.75, 3 and 0.75 MiB of weights.
Model heavy_chain() { return testing::conv_chain({1024, 512, 2048, 1024, 1024, 768, 4096, 192}); }

// Tries all cuts and replicas and returns the smallest time between two results.
Nanoseconds best_by_brute_force(const Graph& graph, std::uint32_t devices) {
  const DeviceSpec device = swapping(1)[0].device;
  const auto compiler = kSwapping.compiler(device);
  const auto last = static_cast<std::uint32_t>(graph.operator_count()) - 1;
  Nanoseconds best = Nanoseconds::max();
  // Bit i means a cut after operator i.
  for (std::uint32_t cuts = 0; cuts < 1U << last; ++cuts) {
    std::vector<Nanoseconds> times;
    std::uint32_t first = 0;
    for (std::uint32_t op = 0; op <= last; ++op) {
      if (op < last && (cuts >> op & 1U) == 0) continue;
      const auto segment = testing::operators(first, op);
      times.push_back(
          kSwapping.time(graph, segment, compiler->compile(graph, segment), device).total());
      first = op + 1;
    }
    if (times.size() > devices) continue;
    std::vector<std::uint32_t> replicas(times.size(), 1);
    const auto pace = [&](std::size_t stage) { return times[stage] / replicas[stage]; };
    for (std::size_t spare = devices - times.size();; --spare) {
      std::size_t slowest = 0;
      for (std::size_t stage = 1; stage < times.size(); ++stage)
        if (pace(stage) > pace(slowest)) slowest = stage;
      best = std::min(best, pace(slowest));
      if (spare == 0) break;
      ++replicas[slowest];
    }
  }
  return best;
}

TEST(ForeignDevice, OptimalEqualsBruteForce) {
  const Model model = heavy_chain();
  const Graph graph(model);
  for (std::uint32_t devices = 1; devices <= 6; ++devices) {
    const PlanResult result = plan_model(graph, {.pools = swapping(devices)});
    EXPECT_EQ(result.plan.predicted.bottleneck, best_by_brute_force(graph, devices)) << devices;
    EXPECT_TRUE(result.plan.bound->is_proven) << devices;
    EXPECT_TRUE(check_certificate(result.plan, graph, swapping(devices)).is_accepted) << devices;
  }
}

// Chains of up to some hundred operators are searched completely.
TEST(ForeignDevice, LongChainIsProven) {
  const Model model = testing::conv_chain(std::vector<std::int32_t>(90, 16));
  const Graph graph(model);
  EXPECT_EQ(graph.operator_count(), 90U);
  const auto best = segment_optimal(graph, swapping(2), {.max_replicas = 1});
  EXPECT_TRUE(best.bound.is_proven);
}

// A model that uses the Edge TPU's compiler for an array of another speed.
TEST(ForeignDevice, CompilerOfEdgeTpuCanBeReused) {
  class Delegating : public SwappingModel {
   public:
    [[nodiscard]] std::unique_ptr<Compiler> compiler(const DeviceSpec& device) const override {
      return edgetpu_model().compiler(device);
    }
  };
  const Delegating delegating;
  DeviceSpec device = find_device("edgetpu-pcie");
  device.model = &delegating;
  const Model model = testing::conv_chain({2048, 2048, 2048, 2048});
  const Graph graph(model);
  const auto compiler = delegating.compiler(device);
  const auto operators = graph.operators_between(1, graph.depth());
  EXPECT_GT(compiler->compile(graph, operators).host_bytes, 0U);
  EXPECT_EQ(compiler->depth_host_bytes(graph)(1, graph.depth()),
            compiler->compile(graph, operators).host_bytes);
}

TEST(ForeignDevice, TooHighBoundIsRejected) {
  const Model model = heavy_chain();
  const Graph graph(model);
  const std::vector<PoolCounts> devices{{1}, {1}};
  const Segmentation uneven{{testing::operators(0, 0), testing::operators(1, 7)}};
  Plan plan = make_plan(graph, uneven, swapping(2), Strategy::kOptimal, devices);
  plan.bound = Bound{plan.predicted.bottleneck, true, 2};
  const CertificateVerdict verdict = check_certificate(plan, graph, swapping(2));
  EXPECT_FALSE(verdict.is_accepted);
  EXPECT_THAT(verdict.reason, HasSubstr("a pipeline takes less than the bound"));
}

TEST(ForeignDevice, SwapsWholeSegments) {
  const Model model = heavy_chain();
  const Graph graph(model);
  const Plan one = plan_model(graph, {.pools = swapping(1)}).plan;
  EXPECT_EQ(one.stages[0].host_bytes, graph.parameter_bytes());
  EXPECT_EQ(one.stages[0].on_chip_bytes, 0U);
  const Plan four = plan_model(graph, {.pools = swapping(4)}).plan;
  EXPECT_EQ(four.host_bytes(), 0U);
}

TEST(ForeignDevice, PlanFileKeepsDeviceName) {
  const Model model = heavy_chain();
  const Graph graph(model);
  const Plan plan = plan_model(graph, {.pools = swapping(2)}).plan;
  EXPECT_FALSE(plan.predicted.range) << "no error of this kind of device is known";
  const Plan read = parse_plan(to_json(plan), "plan");
  EXPECT_EQ(read.device_text(), "swapping");
  const auto pools = open_devices(read.devices, read.device_count(), catalogue());
  EXPECT_EQ(evaluate_plan(read, graph, pools).predicted.bottleneck, plan.predicted.bottleneck);
  EXPECT_EQ(evaluate_plan(read, graph, pools).strategy, Strategy::kOptimal);
  EXPECT_THAT(plan_text(plan, {}), HasSubstr("swapping"));
  EXPECT_THAT(plans_page({graph, std::vector<ComparedPlan>{{2, plan}}, 0, pools}),
              HasSubstr("swapping"));
}

TEST(ForeignDevice, MixesWithEdgeTpus) {
  const Model model = heavy_chain();
  const Graph graph(model);
  const auto pools = open_devices("1xswapping,1xedgetpu-pcie", 0, catalogue());
  const Plan plan = plan_model(graph, {.pools = pools}).plan;
  for (const char* alone : {"swapping", "edgetpu-pcie"}) {
    const auto one = open_devices(alone, 1, catalogue());
    EXPECT_LE(plan.predicted.bottleneck,
              plan_model(graph, {.pools = one}).plan.predicted.bottleneck);
  }
  const CertificateVerdict verdict = check_certificate(plan, graph, pools);
  EXPECT_TRUE(verdict.is_accepted) << verdict.reason;
}

TEST(ForeignDevice, UnsupportedModelIsRefused) {
  testing::ModelBuilder builder;
  const auto x = builder.input("x", {1, 8});
  const auto y = builder.tensor("y", {1, 8});
  builder.op(tflite::BuiltinOperator::SOFTMAX, {x}, {y});
  builder.output(y);
  const Model model = builder.build();
  const Graph graph(model);
  testing::expect_error(ErrorCode::kUnsupported,
                        [&] { (void)plan_model(graph, {.pools = swapping(1)}); }, {"'swapping'"});
}

// --- Strategy

StrategyPlan halves(const StrategyTask& task) {
  const auto half = static_cast<std::uint32_t>(task.graph.operator_count() / 2);
  const auto last = static_cast<std::uint32_t>(task.graph.operator_count() - 1);
  const Segmentation cuts{{testing::operators(0, half - 1), testing::operators(half, last)}};
  return {make_plan(task.graph, cuts, task.pools, Strategy::kCustom,
                    std::vector<PoolCounts>{{1}, {1}})};
}

std::vector<StrategyRow> strategies() {
  std::vector<StrategyRow> rows(strategy_table().begin(), strategy_table().end());
  rows.push_back({.key = "halves", .summary = "two segments of equal length", .plan = halves});
  return rows;
}

TEST(ForeignStrategy, RequestSelectsRowByKey) {
  const Model model = heavy_chain();
  const Graph graph(model);
  PlanRequest request{.pools = open_devices("edgetpu-pcie", 2)};
  request.strategy = find_strategy("halves", strategies());
  const Plan plan = plan_model(graph, request).plan;
  EXPECT_EQ(plan.strategy_key(), "halves");
  EXPECT_EQ(plan.stages[0].operators.size(), graph.operator_count() / 2);
  EXPECT_THAT(plan_text(plan, {}), HasSubstr("halves"));
}

TEST(ForeignStrategy, IsComparedWithOthers) {
  const Model model = heavy_chain();
  const Graph graph(model);
  const auto table = strategies();
  const auto rows =
      compare_strategies(graph, find_device("edgetpu-pcie"), 2, 2, {.strategies = table});
  ASSERT_EQ(rows.size(), table.size());
  EXPECT_EQ(rows.back().plan.strategy_key(), "halves");
  EXPECT_THAT(compare_text("chain", rows), HasSubstr("halves"));
  EXPECT_THAT(compare_json("chain", rows), HasSubstr("\"halves\""));
}

TEST(ForeignStrategy, PlanFileKeepsItsKey) {
  const Model model = heavy_chain();
  const Graph graph(model);
  const auto pools = open_devices("edgetpu-pcie", 2);
  const Plan plan = plan_by_strategy(graph, pools, find_strategy("halves", strategies())).plan;
  const Plan read = parse_plan(to_json(plan), "plan");
  EXPECT_EQ(read.strategy, Strategy::kCustom);
  EXPECT_EQ(evaluate_plan(read, graph, pools).strategy_key(), "halves");
}

// --- Runtime

// A TensorFlow Lite backend that counts inferences.
class CountingBackend : public Backend {
 public:
  explicit CountingBackend(std::shared_ptr<std::atomic<int>> runs) : runs_(std::move(runs)) {}
  [[nodiscard]] std::string description() const override { return "counting"; }
  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> model,
                                              const std::string& name) const override {
    return std::make_unique<CountingSession>(cpu_->open(model, name), runs_);
  }

 private:
  class CountingSession : public Session {
   public:
    CountingSession(std::unique_ptr<Session> session, std::shared_ptr<std::atomic<int>> runs)
        : session_(std::move(session)), runs_(std::move(runs)) {}
    [[nodiscard]] std::span<const Port> inputs() const override { return session_->inputs(); }
    [[nodiscard]] std::span<const Port> outputs() const override { return session_->outputs(); }
    void run_into(std::span<const std::span<const std::byte>> inputs,
                  std::vector<TensorBytes>& outputs) override {
      ++*runs_;
      session_->run_into(inputs, outputs);
    }

   private:
    std::unique_ptr<Session> session_;
    std::shared_ptr<std::atomic<int>> runs_;
  };

  std::shared_ptr<const Backend> cpu_ = make_cpu_backend({.libraries = {SEGUE_TEST_RUNTIME}});
  std::shared_ptr<std::atomic<int>> runs_;
};

TEST(ForeignRuntime, RunsAPipeline) {
  const auto runs = std::make_shared<std::atomic<int>>(0);
  std::vector<RuntimeRow> runtimes(runtime_table().begin(), runtime_table().end());
  runtimes.push_back({.key = "counting", .summary = "counts", .open = [&](const auto& request) {
                        return std::vector<PipelineDevice>(
                            request.devices, {"counting", std::make_shared<CountingBackend>(runs)});
                      }});
  const Model model = testing::conv_chain({8, 16, 32, 8});
  const Graph graph(model);
  const PlanRequest request{.pools = open_devices("edgetpu-pcie", 3),
                            .strategy = find_strategy("balanced")};
  PipelineLayout layout = pipeline_layout(model, plan_model(graph, request).plan);
  auto devices = find_runtime("counting", runtimes).open({.devices = layout.device_count()});
  Pipeline pipeline(std::move(layout), std::move(devices), {});
  auto values = random_inputs(pipeline.inputs(), 1);
  const std::vector<std::span<const std::byte>> inputs(values.begin(), values.end());
  const auto whole = make_cpu_backend({.libraries = {SEGUE_TEST_RUNTIME}})
                         ->open(model.bytes(), model.name())
                         ->run(inputs);
  ASSERT_EQ(pipeline.push(std::move(values)), Flow::kOk);
  PipelineResult result;
  ASSERT_EQ(pipeline.pop(result), Flow::kOk);
  EXPECT_EQ(result.outputs, whole);
  EXPECT_EQ(*runs, 3);
}

TEST(RuntimeTable, UnknownKeyListsAllKeys) {
  testing::expect_error(ErrorCode::kInvalidArgument, [] { (void)find_runtime("gpu"); },
                        {"'gpu'", "cpu, simulated, edgetpu"});
}

}  // namespace
}  // namespace segue
