// Tests which operators Google's compiler leaves to the host, why, and the effect on plans.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "expect.h"
#include "model_builder.h"
#include "segue/cost.h"
#include "segue/planner.h"
#include "segue/report.h"
#include "segue/timeline.h"

namespace segue {
namespace {

using testing::expect_error;
using ::testing::HasSubstr;
using testing::ModelBuilder;
using testing::TensorIndex;
using B = tflite::BuiltinOperator;
using TensorShape = std::vector<std::int32_t>;

struct Case {
  const char* name;
  HostCause cause;
  void (*build)(ModelBuilder&);
  const char* reason;
  const char* remedy;
};

// Adds an operator of this version from "x" to "y", which have the same shape.
void unary(ModelBuilder& b, B code, int version, std::vector<std::int32_t> shape) {
  const auto y = b.tensor("y", shape);
  b.op(code, {b.input("x", std::move(shape))}, {y});
  b.raw().operator_codes.back()->version = version;
  b.output(y);
}

// Adds a convolution with this version and shape.
void convolution(ModelBuilder& b, int version, std::vector<std::int32_t> shape) {
  b.output(b.conv(b.input("x", std::move(shape)), "y", 8));
  b.raw().operator_codes.back()->version = version;
}

// Two maps joined along an additional dimension.
TensorIndex pack(ModelBuilder& b, std::vector<std::int32_t> shape) {
  const auto x = b.input("x", {1, 16, 16, 3});
  const auto y = b.tensor("packed", std::move(shape));
  b.op(B::PACK, {x, x}, {y});
  b.output(y);
  return y;
}

// As SSD with FPN enlarges maps.
void reshape_of_packed(ModelBuilder& b) {
  const auto packed = pack(b, {1, 16, 2, 16, 3});
  const auto y = b.tensor("y", {1, 32, 16, 3});
  b.op(B::RESHAPE, {packed}, {y});
  b.output(y);
}

class Placement : public ::testing::TestWithParam<Case> {};

TEST_P(Placement, OperatorHasHostCauseAndRemedy) {
  ModelBuilder b;
  GetParam().build(b);
  const Model model = b.build();
  const OperatorId last = operator_id(model.operators().size() - 1);
  EXPECT_EQ(host_cause(model, last), GetParam().cause);
  EXPECT_THAT(host_reason(model, last).reason, HasSubstr(GetParam().reason));
  EXPECT_THAT(host_reason(model, last).remedy, HasSubstr(GetParam().remedy));
}

INSTANTIATE_TEST_SUITE_P(
    All, Placement,
    ::testing::Values(Case{"Convolution", HostCause::kNone,
                           [](ModelBuilder& b) {
                             convolution(b, 5, {1, 4, 4, 4});
                           },
                           "", ""},
                      Case{"ConvolutionVersion", HostCause::kVersion,
                           [](ModelBuilder& b) {
                             convolution(b, 6, {1, 4, 4, 4});
                           },
                           "version 6", "older TensorFlow"},
                      Case{"QuantizeVersion", HostCause::kVersion,
                           [](ModelBuilder& b) {
                             unary(b, B::QUANTIZE, 3, {1, 4});
                           },
                           "version 3", ""},
                      Case{"PadVersion", HostCause::kVersion,
                           [](ModelBuilder& b) {
                             unary(b, B::PAD, 4, {1, 4, 4, 4});
                           },
                           "version 4", ""},
                      Case{"TransposeConvVersion", HostCause::kVersion,
                           [](ModelBuilder& b) {
                             unary(b, B::TRANSPOSE_CONV, 4, {1, 4, 4, 4});
                           },
                           "version 4", ""},
                      Case{"Gelu", HostCause::kOperation,
                           [](ModelBuilder& b) {
                             unary(b, B::GELU, 1, {1, 4});
                           },
                           "does not support this operation", "supported operations"},
                      Case{"Exp", HostCause::kOperation,
                           [](ModelBuilder& b) {
                             unary(b, B::EXP, 2, {1, 4});
                           },
                           "", ""},
                      Case{"BatchOfMaps", HostCause::kBatch,
                           [](ModelBuilder& b) {
                             convolution(b, 3, {4, 4, 4, 4});
                           },
                           "batch", "batch size 1"},
                      Case{"BatchOfVectors", HostCause::kBatch,
                           [](ModelBuilder& b) {
                             b.output(b.dense(b.input("x", {4, 8}), "y", 8));
                           },
                           "batch", "batch size 1"},
                      Case{"Matrix", HostCause::kNone,
                           [](ModelBuilder& b) {
                             unary(b, B::RELU, 2, {4, 8});
                           },
                           "", ""},
                      Case{"FourInnerDimensions", HostCause::kDimensions,
                           [](ModelBuilder& b) {
                             unary(b, B::RESHAPE, 1, {1, 16, 16, 1, 3});
                           },
                           "more than 3 inner dimensions", "reshape"},
                      Case{"ThreeInnerDimensions", HostCause::kNone,
                           [](ModelBuilder& b) {
                             unary(b, B::RESHAPE, 1, {1, 1, 16, 16, 3});
                           },
                           "", ""},
                      Case{"PackOfMaps", HostCause::kNone,
                           [](ModelBuilder& b) {
                             pack(b, {1, 16, 2, 16, 3});
                           },
                           "", ""},
                      Case{"ReshapeOfPackedMaps", HostCause::kNone,
                           [](ModelBuilder& b) { reshape_of_packed(b); }, "", ""},
                      Case{"PackAlongBatch", HostCause::kDimensions,
                           [](ModelBuilder& b) {
                             pack(b, {2, 1, 16, 16, 3});
                           },
                           "more than 3 inner dimensions", "reshape"},
                      Case{"ComputedWeights", HostCause::kWeights,
                           [](ModelBuilder& b) {
                             const TensorIndex x = b.input("x", {1, 4});
                             const TensorIndex w = b.input("w", {8, 4});
                             const TensorIndex y = b.tensor("y", {1, 8});
                             b.op(B::FULLY_CONNECTED, {x, w, -1}, {y});
                             b.output(y);
                           },
                           "computed at run time", "constants"},
                      Case{"LargeSoftmax", HostCause::kSoftmax,
                           [](ModelBuilder& b) {
                             unary(b, B::SOFTMAX, 2, {1, 16001});
                           },
                           "16000", "remove it"},
                      Case{"Softmax", HostCause::kNone,
                           [](ModelBuilder& b) {
                             unary(b, B::SOFTMAX, 2, {1, 16000});
                           },
                           "", ""},
                      Case{"Float", HostCause::kType,
                           [](ModelBuilder& b) {
                             unary(b, B::RELU, 2, {1, 4});
                             b.at(0).type = tflite::TensorType::FLOAT32;
                           },
                           "FLOAT32", "full integer quantization"}),
    [](const auto& one) { return std::string(one.param.name); });

// Makes a convolution on the TPU and a dense layer that only the host computes.
Model with_host_tail(std::int32_t units) {
  ModelBuilder b;
  const auto x = b.conv(b.input("x", {1, 8, 8, 16}), "conv", 64);
  const auto y = b.dense(b.relu(x, "relu"), "dense", units);
  b.at(b.graph().operators.back()->inputs[0]).shape = {1, 8, 8, 64};
  b.raw().operator_codes.back()->version = 10;
  b.output(y);
  return b.build();
}

TEST(HostCost, LargerOperatorsTakeLonger) {
  const auto host_ns = [](std::int32_t units) {
    const Model model = with_host_tail(units);
    const Graph graph(model);
    return host_operator_time(graph, OperatorId{2}, find_device("edgetpu-pcie")).count();
  };
  EXPECT_GT(host_ns(4000), 3 * host_ns(1000));
}

// Returns the time of the model's operator on the host, without the fixed time of an operator.
double host_ns(const Model& model) {
  const DeviceSpec device = find_device("edgetpu-pcie");
  const auto time = host_operator_time(Graph(model), OperatorId{0}, device);
  return static_cast<double>(time.count()) - device.host.operator_ns.value;
}

HostCompute host() { return find_device("edgetpu-pcie").host; }

void make_float(ModelBuilder& b, std::initializer_list<TensorIndex> tensors) {
  for (const TensorIndex tensor : tensors) {
    b.at(tensor).type = tflite::TensorType::FLOAT32;
    b.at(tensor).quantization.reset();
  }
}

TEST(HostCost, PoolingCostsWindowPerOutput) {
  ModelBuilder b;
  const auto y = b.tensor("y", {1, 4, 4, 64});
  tflite::Pool2DOptionsT pool;
  pool.filter_height = pool.filter_width = pool.stride_h = pool.stride_w = 8;
  b.op(B::AVERAGE_POOL_2D, {b.input("x", {1, 32, 32, 64})}, {y}).builtin_options.Set(pool);
  b.output(y);
  EXPECT_NEAR(host_ns(b.build()), 4 * 4 * 64 * 8 * 8 * host().element_ns.value, 2);
}

TEST(HostCost, Int8ActivationUsesLookupRate) {
  for (const B code : {B::GELU, B::LOGISTIC, B::TANH}) {
    ModelBuilder b;
    const auto x = b.input("x", {1, 64, 64, 16});
    const auto y = b.tensor("y", {1, 64, 64, 16});
    b.op(code, {x}, {y});
    b.output(y);
    constexpr double kElements = 64 * 64 * 16;
    EXPECT_NEAR(host_ns(b.build()), kElements * host().moved_element_ns.value, 2);
    make_float(b, {x, y});
    EXPECT_NEAR(host_ns(b.build()), kElements * host().element_ns.value, 2);
  }
}

// Post-processing reads each score once, which is a quarter of other arithmetic.
TEST(HostCost, PostProcessCountsScores) {
  ModelBuilder b;
  const auto boxes = b.input("boxes", {1, 1000, 4});
  const auto scores = b.input("scores", {1, 1000, 91});
  const auto y = b.tensor("y", {1, 10, 4});
  b.op(B::CUSTOM, {boxes, scores}, {y});
  b.raw().operator_codes.back()->custom_code = "TFLite_Detection_PostProcess";
  b.output(y);
  EXPECT_NEAR(host_ns(b.build()), 91000 * host().element_ns.value / 4, 2);
  b.raw().operator_codes.back()->custom_code = "Another";
  EXPECT_NEAR(host_ns(b.build()), 91000 * host().element_ns.value, 2);
}

// The first input is the output's shape.
TEST(HostCost, FloatTransposeConvUsesFloatRate) {
  ModelBuilder b;
  const auto shape = b.int32_constant("shape", {1, 16, 16, 32});
  const auto weights = b.constant("w", tflite::TensorType::INT8, {32, 2, 2, 64});
  const auto x = b.input("x", {1, 8, 8, 64});
  const auto y = b.tensor("y", {1, 16, 16, 32});
  b.op(B::TRANSPOSE_CONV, {shape, weights, x}, {y});
  b.output(y);
  constexpr double kMacs = 8 * 8 * 64 * 32 * 2 * 2;
  EXPECT_NEAR(host_ns(b.build()), kMacs / host().int8_macs_per_s.value * 1e9, 2);
  make_float(b, {x, y});
  EXPECT_NEAR(host_ns(b.build()), kMacs / host().float_macs_per_s.value * 1e9, 2);
}

TEST(HostCost, TransposedMatMulHasSameCost) {
  const auto product = [](bool is_transposed) {
    ModelBuilder b;
    const auto left =
        b.input("left", is_transposed ? TensorShape{2, 512, 16} : TensorShape{2, 16, 512});
    const auto right = b.input("right", {2, 512, 32});
    const auto y = b.tensor("y", {2, 16, 32});
    tflite::BatchMatMulOptionsT options;
    options.adj_x = is_transposed;
    b.op(B::BATCH_MATMUL, {left, right}, {y}).builtin_options.Set(options);
    b.output(y);
    return b.build();
  };
  constexpr double kMacs = 2 * 16 * 32 * 512;
  for (const bool is_transposed : {false, true}) {
    EXPECT_NEAR(host_ns(product(is_transposed)), kMacs / host().int8_macs_per_s.value * 1e9, 2)
        << is_transposed;
  }
}

TEST(HostCost, OptimalPlanIsNotProven) {
  const Model model = with_host_tail(1000);
  const Graph graph(model);
  const DevicePool pool{find_device("edgetpu-pcie"), 2};
  const Plan plan = plan_by_strategy(graph, {&pool, 1}, Strategy::kOptimal).plan;
  ASSERT_TRUE(plan.bound.has_value());
  EXPECT_EQ(plan.host_operators(), 1U);
  EXPECT_FALSE(plan.bound->is_proven);
  EXPECT_GE(plan.predicted.bottleneck, plan.host_time() / 2);
  EXPECT_THAT(plan_text(plan, {}), HasSubstr("times on the host are estimates"));
}

// Four copies run at the same time on four cores, and one after the other on one core.
TEST(HostCost, CoreCountLimitsThroughput) {
  const Model model = with_host_tail(1000);
  const Graph graph(model);
  DevicePool pool{find_device("edgetpu-pcie"), 4};
  pool.device.host.cores.value = 1;
  pool.device.host.measured[2] = Nanoseconds(1'000'000);
  const Segmentation whole{{{OperatorId{0}, OperatorId{1}, OperatorId{2}}}};
  const std::vector<PoolCounts> devices{{4}};
  const Plan plan = make_plan(graph, whole, {&pool, 1}, Strategy::kManual, devices);
  EXPECT_GE(plan.predicted.bottleneck, plan.host_time());
  EXPECT_GT(plan.host_time(), plan.stages[0].time.total() / 4);
  EXPECT_THAT(plan_text(plan, {}), HasSubstr("host CPU is the bottleneck"));
  TimelineOptions options = timeline_options(plan, {&pool, 1});
  options.inputs = 400;
  const Timeline timeline = simulate_timeline(stage_loads(plan), options);
  EXPECT_NEAR(to_s(timeline.steady_period()), to_s(plan.predicted.bottleneck),
              0.02 * to_s(plan.host_time()));
}

TEST(HostCost, MeasuredTimesStayInPlan) {
  const Model model = with_host_tail(1000);
  const Graph graph(model);
  DevicePool pool{find_device("edgetpu-pcie"), 2};
  pool.device.host.measured[2] = Nanoseconds(1'234'567);
  Plan plan = plan_by_strategy(graph, {&pool, 1}, Strategy::kOptimal).plan;
  EXPECT_EQ(plan.host_time(), Nanoseconds(1'234'567));
  EXPECT_THAT(plan_text(plan, {}), HasSubstr("(measured; "));
  identify_model(plan, model);
  const Plan read = parse_plan(to_json(plan), "plan.json");
  pool.device.host.measured.clear();
  EXPECT_EQ(evaluate_plan(read, graph, {&pool, 1}).host_time(), Nanoseconds(1'234'567));
  EXPECT_TRUE(check_certificate(read, graph, {&pool, 1}).is_accepted);
}

TEST(HostCost, ReportsShowHostTime) {
  const Model model = with_host_tail(1000);
  const Graph graph(model);
  const auto rows = compare_strategies(graph, find_device("edgetpu-pcie"), 1, 2);
  const std::string csv = compare_table(rows).to_csv();
  EXPECT_GT(rows[0].plan.host_time().count(), 0);
  EXPECT_THAT(csv, HasSubstr("host_ns"));
  EXPECT_THAT(csv, HasSubstr("," + std::to_string(rows[0].plan.host_time().count()) + ","));
  EXPECT_THAT(compare_json("m", rows),
              HasSubstr("\"host_ns\": " + std::to_string(rows[0].plan.host_time().count())));
  EXPECT_THAT(to_json(rows[0].plan),
              HasSubstr("\"host\": " + std::to_string(rows[0].plan.host_time().count())));
  EXPECT_THAT(plan_text(rows[0].plan, {}), HasSubstr("1 operator runs on the host CPU"));
  EXPECT_THAT(plan_table(rows[0].plan).to_csv(), HasSubstr("host_ns"));
}

// Makes a model of float operators with weights of this type.
Model float_model(tflite::TensorType weights) {
  ModelBuilder b;
  const auto y = b.conv(b.input("x", {1, 4, 4, 4}), "y", 8);
  b.output(y);
  for (auto& tensor : b.graph().tensors) {
    tensor->quantization.reset();
    if (tensor->type != tflite::TensorType::INT8) continue;
    tensor->type = tensor->buffer == 0 ? tflite::TensorType::FLOAT32 : weights;
    if (tensor->buffer == 0) continue;
    const std::size_t bytes = weights == tflite::TensorType::FLOAT32   ? 4
                              : weights == tflite::TensorType::FLOAT16 ? 2
                                                                       : 1;
    b.raw().buffers[tensor->buffer]->data.resize(32 * bytes);
  }
  return b.build();
}

TEST(UnsupportedModel, PlanIsRefusedWithAdvice) {
  const DevicePool pool{find_device("edgetpu-pcie"), 1};
  const auto plan = [&](const Model& model) {
    const Graph graph(model);
    (void)plan_by_strategy(graph, {&pool, 1}, Strategy::kBalanced);
  };
  expect_error(ErrorCode::kUnsupported, [&] { plan(float_model(tflite::TensorType::FLOAT32)); },
               {"no operator is supported by the Edge TPU (1 operator)", "float model",
                "full integer quantization"});
  expect_error(ErrorCode::kUnsupported, [&] { plan(float_model(tflite::TensorType::FLOAT16)); },
               {"float16"});
  expect_error(ErrorCode::kUnsupported, [&] { plan(float_model(tflite::TensorType::INT8)); },
               {"dynamic range"});
}

}  // namespace
}  // namespace segue
