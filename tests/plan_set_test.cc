// Several models on one set of TPUs: memory, waiting, the search, and set.json.
#include "segue/plan_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "device/edgetpu/internal/room.h"
#include "expect.h"
#include "model_builder.h"
#include "planner/set/response.h"
#include "reference/best_set.h"
#include "reference/random_device.h"
#include "reference/random_model.h"
#include "reference/set_simulation.h"
#include "segue/error.h"
#include "segue/report.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using testing::expect_error;
using ::testing::HasSubstr;

// Models with their graphs, which stay where they are.
class Models {
 public:
  explicit Models(const std::vector<std::string>& names) {
    for (const std::string& name : names) add(open_model(name));
  }
  Models() = default;
  void add(Model model) {
    models_.push_back(std::make_unique<const Model>(std::move(model)));
    graphs_.push_back(std::make_unique<const Graph>(*models_.back()));
  }
  [[nodiscard]] std::vector<const Graph*> graphs() const {
    std::vector<const Graph*> result;
    for (const auto& graph : graphs_) result.push_back(graph.get());
    return result;
  }

 private:
  std::vector<std::unique_ptr<const Model>> models_;
  std::vector<std::unique_ptr<const Graph>> graphs_;
};

SetRequest request_of(std::vector<ModelDemand> demands, const std::string& device) {
  return {.demands = std::move(demands), .pool = open_devices(device, 0)[0]};
}

std::vector<OperatorId> all_of(const Graph& graph) {
  return graph.operators_between(1, graph.depth());
}

// --- Memory

// mobilenet_v2_1.0_224_quant_cocompiled_with_mobilenet_v1_1.0_224_quant_edgetpu.tflite of
// google-coral/test_data caches 2,849,024 bytes and streams 1,051,840: MobileNetV1 came first. The
// prediction also streams, and caches 0.64 MiB more, 8 % of the memory (docs/cost-model.md).
TEST(SetMemory, SecondModelGetsRestAsPublished) {
  const Models models({"zoo:mobilenet", "zoo:mobilenetv2"});
  const DeviceSpec& device = find_device("edgetpu-usb3");
  const auto graphs = models.graphs();
  std::uint64_t room = std::min(parameter_room(*graphs[0], all_of(*graphs[0]), device),
                                parameter_room(*graphs[1], all_of(*graphs[1]), device));
  const MemoryReport first = compile_in_room(*graphs[0], all_of(*graphs[0]), device, room);
  EXPECT_EQ(first.host_bytes, 0U);
  const MemoryReport second =
      compile_in_room(*graphs[1], all_of(*graphs[1]), device, room - first.on_chip_bytes);
  EXPECT_NEAR(static_cast<double>(second.on_chip_bytes), 2'849'024, 0.085 * kMiB * 8);
  EXPECT_NEAR(static_cast<double>(second.host_bytes), 1'051'840, 0.085 * kMiB * 8);
  EXPECT_GT(second.host_bytes, 0U);
}

TEST(SetMemory, OwnRoomEqualsSimulatedCompiler) {
  const Models models({"zoo:resnet50"});
  const Graph& graph = *models.graphs()[0];
  const DeviceSpec& device = find_device("edgetpu-pcie");
  const MemoryReport alone = make_simulated_compiler(device)->compile(graph, all_of(graph));
  const std::uint64_t room = parameter_room(graph, all_of(graph), device);
  const MemoryReport report = compile_in_room(graph, all_of(graph), device, room);
  EXPECT_EQ(room, alone.capacity_bytes);
  EXPECT_EQ(report.on_chip_bytes, alone.on_chip_bytes);
  EXPECT_GT(report.host_bytes, 0U);
  EXPECT_EQ(compile_in_room(graph, all_of(graph), device, 0).on_chip_bytes, 0U);
}

// --- Waiting

TEST(SetResponse, SparseArrivalsWaitForEachModelOnce) {
  const std::vector<Arrivals> models{{2e6, 100e6}, {5e6, 50e6}, {1e6, 30e6}};
  EXPECT_EQ(longest_response(models).count(), 8'000'000);
}

// At 0: 2 + 9 ms. The short inference of 5 ms comes when 6 ms are left, that of 10 ms finds 3.
TEST(SetResponse, FrequentArrivalsQueueUp) {
  const std::vector<Arrivals> models{{2e6, 5e6}, {9e6, 100e6}};
  EXPECT_EQ(longest_response(models).count(), 11'000'000);
  // With 4 ms every 5 ms: 13 at 0, then 12, 11, ... until the long one has been worked off.
  EXPECT_EQ(longest_response(std::vector<Arrivals>{{4e6, 5e6}, {9e6, 100e6}}).count(), 13'000'000);
  // An earlier stage that delays by 4.9 ms lets two come together.
  EXPECT_EQ(longest_response(std::vector<Arrivals>{{4e6, 5e6, 5e6}, {9e6, 100e6}}).count(),
            17'000'000);
}

TEST(SetResponse, OverloadHasNoLimit) {
  const std::vector<Arrivals> models{{6e6, 10e6}, {5e6, 10e6}};
  EXPECT_EQ(longest_response(models), kLongestWait);
}

// Sets that share, with their predicted latencies: in no run of the simulation is one exceeded.
TEST(SetResponse, SimulationNeverExceedsPrediction) {
  std::mt19937 random(3);
  int shared = 0;
  for (int round = 0; round < 60; ++round) {
    Models models;
    const std::size_t count = 2 + random() % 2;
    for (std::size_t m = 0; m < count; ++m)
      models.add(testing::random_model(random, 2 + static_cast<int>(random() % 4)));
    SetRequest request{
        .pool = {testing::random_device(random), 1 + static_cast<unsigned>(round) % 2, false}};
    for (std::size_t m = 0; m < count; ++m)
      request.demands.push_back(
          {.name = std::to_string(m), .weight = 1.0 + static_cast<double>(random() % 5)});
    SetPlan plan = plan_set(models.graphs(), request);
    const bool is_shared =
        std::ranges::any_of(plan.tpus, [](const SetTpu& tpu) { return tpu.residents.size() > 1; });
    if (!is_shared) continue;
    ++shared;
    const double hop = plan.tpus.size() == 1
                           ? 0
                           : static_cast<double>(runner_hop(request.pool.device.timing).count());
    const double seconds =
        300 / std::ranges::min(plan.models, {}, &SetModel::rate_per_s).rate_per_s;
    for (int run = 0; run < 5; ++run) {
      std::vector<double> phases(count);
      if (run > 0)
        for (double& phase : phases) phase = static_cast<double>(random() % 1000) / 1000;
      const auto measured = testing::simulate_set(plan, seconds, phases, hop);
      for (std::size_t m = 0; m < count; ++m) {
        EXPECT_LE(measured.longest_ns[m], static_cast<double>(plan.models[m].latency.count()) + 2)
            << "round " << round << ", model " << m;
      }
      for (std::size_t t = 0; t < plan.tpus.size(); ++t) {
        if (plan.tpus[t].residents.size() < 2) continue;
        EXPECT_LE(measured.busy[t], plan.tpus[t].utilisation * 1.02 + 0.02);
      }
    }
  }
  EXPECT_GE(shared, 20);
}

// The prediction is reached when all models arrive at once.
TEST(SetResponse, SimulationReachesPredictionOnOneTpu) {
  const Models models({"zoo:mobilenet", "zoo:mobilenetv2"});
  const SetRequest request = request_of(
      {{.name = "a", .rate_per_s = 40}, {.name = "b", .rate_per_s = 90}}, "1xedgetpu-usb3");
  const SetPlan plan = plan_set(models.graphs(), request);
  const auto measured = testing::simulate_set(plan, 60, std::vector<double>{0, 0}, 0);
  EXPECT_NEAR(std::ranges::max(measured.longest_ns),
              static_cast<double>(plan.models[0].latency.count()), 2);
  EXPECT_EQ(plan.models[0].latency, plan.models[1].latency);
}

// --- The search

class SetBruteForce : public ::testing::TestWithParam<unsigned> {};

TEST_P(SetBruteForce, PlanEqualsBestOfAllAssignments) {
  std::mt19937 random(GetParam());
  int infeasible = 0;
  int met = 0;
  for (int round = 0; round < 12; ++round) {
    const std::size_t count = 2 + random() % 2;
    Models models;
    for (std::size_t m = 0; m < count; ++m)
      models.add(testing::random_model(random, 2 + static_cast<int>(random() % 4)));
    const auto tpus = static_cast<std::uint32_t>(1 + random() % (count == 2 ? 4 : 3));
    SetRequest request{.pool = {testing::random_device(random), tpus, random() % 3 == 0}};
    const bool has_weights = random() % 3 == 0;
    for (std::size_t m = 0; m < count; ++m) {
      ModelDemand demand{.name = std::to_string(m),
                         .weight = 1.0 + static_cast<double>(random() % 9)};
      const DevicePool one{request.pool.device, 1, false};
      const auto whole =
          plan_by_strategy(*models.graphs()[m], std::span(&one, 1), Strategy::kOptimal).plan;
      const double most = whole.predicted.throughput_per_s;
      if (!has_weights || random() % 2 == 0)
        demand.rate_per_s = most * (1 + static_cast<double>(random() % 100)) / 80;
      if (!has_weights && random() % 3 == 0)
        demand.max_latency = whole.predicted.latency * (3 + random() % 20) / 4;
      request.demands.push_back(demand);
    }
    testing::BestSet reference(models.graphs(), request);
    const testing::SetScore best = reference.search();
    try {
      const SetPlan plan = plan_set(models.graphs(), request);
      ++met;
      EXPECT_GE(best.reach, 1 - 1e-9) << "round " << round;
      double scale = std::numeric_limits<double>::infinity();
      double slack = scale;
      for (const SetModel& model : plan.models) {
        if (model.demand.rate_per_s) slack = std::min(slack, model.slack);
        if (!model.demand.rate_per_s)
          scale = std::min(scale, model.rate_per_s / model.demand.weight);
      }
      if (std::isfinite(scale)) {
        EXPECT_NEAR(scale / best.scale, 1, 1e-9) << "round " << round;
      } else {
        EXPECT_NEAR(slack / best.slack, 1, 1e-9) << "round " << round;
      }
    } catch (const Error& error) {
      ++infeasible;
      EXPECT_EQ(error.code(), ErrorCode::kInfeasible) << error.what();
      EXPECT_LT(best.reach, 1 - 1e-9) << "round " << round << ": " << error.what();
    }
  }
  EXPECT_GT(met, 0);
  EXPECT_GT(infeasible, 0);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SetBruteForce, ::testing::Range(1U, 9U));

// A model that needs little joins one that leaves time, instead of taking a TPU away.
TEST(SetPlan, LightModelSharesInsteadOfTakingTpu) {
  const Models models({"zoo:resnet50", "zoo:mobilenet"});
  const SetRequest request = request_of(
      {{.name = "a", .rate_per_s = 60}, {.name = "b", .rate_per_s = 5}}, "3xedgetpu-pcie");
  const SetPlan plan = plan_set(models.graphs(), request);
  EXPECT_GT(plan.models[0].slack, 1);
  const bool is_shared =
      std::ranges::any_of(plan.tpus, [](const SetTpu& tpu) { return tpu.residents.size() > 1; });
  EXPECT_TRUE(is_shared);
}

TEST(SetPlan, UtilisationLeavesHeadroom) {
  const Models models({"zoo:mobilenet", "zoo:mobilenetv2", "zoo:squeezenet"});
  SetRequest request =
      request_of({{.name = "a", .rate_per_s = 50}, {.name = "b"}, {.name = "c", .weight = 2}},
                 "2xedgetpu-pcie");
  request.headroom = 0.25;
  const SetPlan plan = plan_set(models.graphs(), request);
  for (const SetTpu& tpu : plan.tpus) EXPECT_LE(tpu.utilisation, 0.75 + 1e-9);
  EXPECT_EQ(plan.models[0].rate_per_s, 50);
  EXPECT_GT(plan.models[1].rate_per_s, 0);
}

// Without the limit, the models share in full; with it, the others slow down.
TEST(SetPlan, LatencyLimitSlowsModelsWithoutRate) {
  const Models models({"zoo:mobilenet", "zoo:mobilenetv2"});
  const auto plan_with = [&](std::optional<Nanoseconds> limit) {
    return plan_set(
        models.graphs(),
        request_of({{.name = "a", .rate_per_s = 100, .max_latency = limit}, {.name = "b"}},
                   "2xedgetpu-pcie"));
  };
  const SetPlan free = plan_with(std::nullopt);
  EXPECT_EQ(free.tpus[0].residents.size(), 2U);
  const Nanoseconds limit = free.models[0].latency * 9 / 10;
  const SetPlan limited = plan_with(limit);
  EXPECT_LE(limited.models[0].latency, limit);
  EXPECT_LT(limited.models[1].rate_per_s, free.models[1].rate_per_s);
}

TEST(SetPlan, UnmetDemandNamesModelAndTpus) {
  const Models models({"zoo:resnet50", "zoo:mobilenet"});
  const SetRequest request = request_of(
      {{.name = "a", .rate_per_s = 100}, {.name = "b", .rate_per_s = 100}}, "1xedgetpu-pcie");
  expect_error(ErrorCode::kInfeasible, [&] { (void)plan_set(models.graphs(), request); },
               {"a: 100/s requested", "b: 100/s requested", "TPUs would do"});
}

TEST(SetPlan, InvalidRequestsAreRefused) {
  const Models models({"zoo:mobilenet"});
  const auto refused = [&](SetRequest request, ErrorCode code, const std::string& message) {
    expect_error(code, [&] { (void)plan_set(models.graphs(), request); }, {message});
  };
  using enum ErrorCode;
  const SetRequest valid = request_of({{.name = "a", .rate_per_s = 1}}, "1xedgetpu-pcie");
  SetRequest request = valid;
  request.demands[0].rate_per_s = 0;
  refused(request, kInvalidArgument, "a: rate 0 per second");
  request = valid;
  request.headroom = 1;
  refused(request, kInvalidArgument, "headroom 1");
  request = valid;
  request.pool.count = 9;
  refused(request, kUnsupported, "9 TPUs");
  request = valid;
  request.pool.device = find_device("edgetpu-pcie-busy");
  refused(request, kUnsupported, "busy_stretch");
  request = valid;
  request.demands.push_back(valid.demands[0]);
  refused(request, kInvalidArgument, "1 models, but 2 demands");
}

// --- set.json

SetPlan plan_of_two() {
  const Models models({"zoo:mobilenet", "zoo:mobilenetv2"});
  SetRequest request =
      request_of({{.name = "mobilenet",
                   .source = "zoo:mobilenet",
                   .rate_per_s = 30,
                   .max_latency = std::chrono::milliseconds(50)},
                  {.name = "mobilenetv2", .source = "zoo:mobilenetv2", .weight = 2}},
                 "1xedgetpu-usb3");
  return plan_set(models.graphs(), request);
}

TEST(SetJson, ReadPlanEqualsWrittenOne) {
  const std::string text = to_json(plan_of_two());
  const SetPlan read = parse_set(text, "set.json");
  EXPECT_EQ(to_json(read), text);
  EXPECT_EQ(read.models[0].demand.max_latency, std::chrono::milliseconds(50));
  EXPECT_EQ(read.tpus[0].residents, plan_of_two().tpus[0].residents);
}

TEST(SetJson, InconsistentFilesAreRefused) {
  const std::string text = to_json(plan_of_two());
  const auto refused = [&](const std::string& what, const std::string& by,
                           const std::string& message) {
    std::string edited = text;
    const auto place = edited.find(what);
    ASSERT_NE(place, std::string::npos) << what;
    edited.replace(place, what.size(), by);
    expect_error(ErrorCode::kInvalidArgument, [&] { (void)parse_set(edited, "set.json"); },
                 {message});
  };
  refused("\"segue.set/1\"", "\"segue.set/2\"", "this segue reads \"segue.set/1\"");
  refused("\"headroom\": 0.1", "\"headroom\": 1.5", "headroom");
  refused("\"sharing\": \"cached\"", "\"sharing\": \"own\"", "tpus[0].sharing");
  refused("\"model\": 1", "\"model\": 0", "must have the stage as a resident");
  refused("\"weight\": 1.0", "\"weight\": 0.0", "models[0].demand.weight");
  refused("\"name\": \"mobilenet\"", "\"name\": \"../mobilenet\"", "without a folder");
  refused("\"name\": \"mobilenet\"", "\"name\": \"..\"", "without a folder");
  refused("\"segue.plan/2\"", "\"segue.plan/9\"", "plan of mobilenet");
  refused("1xedgetpu-usb3", "2xedgetpu-usb3", "must have 2 elements");
}

TEST(SetReport, TextNamesModelsTpusAndSharing) {
  const std::string text = set_text(plan_of_two());
  EXPECT_THAT(text, HasSubstr("2 models on 1 of 1 Edge TPU"));
  EXPECT_THAT(text, HasSubstr("mobilenetv2, mobilenet"));
  EXPECT_THAT(text, HasSubstr("cached"));
}

}  // namespace
}  // namespace segue
