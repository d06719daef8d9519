#include "segue/compiler.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "expect.h"
#include "model_builder.h"
#include "reference/random_device.h"
#include "reference/random_model.h"
#include "segue/segmentation.h"
#include "segue/units.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using testing::ModelBuilder;
using testing::TensorIndex;

const DeviceSpec& device() { return find_device("edgetpu-pcie"); }

MemoryReport report_on(const Graph& graph, std::span<const OperatorId> operators) {
  return make_simulated_compiler(device())->compile(graph, operators);
}

MemoryReport report_on_all(const Model& model) {
  const Graph graph(model);
  return report_on(graph, graph.operators_between(1, graph.depth()));
}

ParameterFootprint footprint_of(const ModelBuilder& builder, std::uint32_t op) {
  const Model model = builder.build();
  return parameter_footprint(model, OperatorId{op}, device());
}

TEST(ParameterFootprint, ConvolutionIsPaddedTo64OutputsAnd4Inputs) {
  ModelBuilder b;
  b.output(b.conv(b.input("x", {1, 8, 8, 3}), "y", 32, 3));
  // 64 * (4 * 3 * 3 + 8) on chip; 4 of the 8 bytes per channel when streamed
  EXPECT_EQ(footprint_of(b, 0).cached_bytes, 64U * 44U);
  EXPECT_EQ(footprint_of(b, 0).streamed_bytes, 64U * 40U);
}

TEST(ParameterFootprint, DepthwiseTakesAnInputLaneGroupPerChannelAndTap) {
  ModelBuilder b;
  b.output(b.depthwise(b.input("x", {1, 8, 8, 65}), "y"));
  EXPECT_EQ(footprint_of(b, 0).cached_bytes, 128U * 44U);
  EXPECT_EQ(footprint_of(b, 0).streamed_bytes, 128U * 40U);
}

// Seen in the reports, not understood: 8 bytes per channel travel when 64x64 maps of 512 channels
// exceed the tiles, 4 when maps fit.
TEST(ParameterFootprint, LayersOfSeveralPassesStreamAllTheirChannelData) {
  ModelBuilder b;
  b.output(b.conv(b.input("x", {1, 64, 64, 512}), "y", 512));
  EXPECT_EQ(footprint_of(b, 0).cached_bytes, 512U * 520U);
  EXPECT_EQ(footprint_of(b, 0).streamed_bytes, 512U * 520U);
}

TEST(ParameterFootprint, DenseHasChannelDataOnlyWithABias) {
  ModelBuilder b;
  const TensorIndex x = b.dense(b.input("x", {1, 5}), "a", 10, false);
  b.output(b.dense(x, "b", 10, true));
  EXPECT_EQ(footprint_of(b, 0).cached_bytes, 64U * 8U);
  EXPECT_EQ(footprint_of(b, 1).cached_bytes, 64U * 12U + 64U * 8U);
}

TEST(ParameterFootprint, ElementwiseConstantsAreNeverCached) {
  ModelBuilder b;
  const TensorIndex x = b.input("x", {1, 2, 2, 12});
  b.output(b.add(x, b.constant("offset", tflite::TensorType::INT8, {12}), "y"));
  EXPECT_FALSE(footprint_of(b, 0).is_cacheable);
  EXPECT_EQ(footprint_of(b, 0).streamed_bytes, 12U);
}

TEST(ParameterFootprint, OperatorsWithoutParametersTakeNothing) {
  ModelBuilder b;
  b.output(b.relu(b.input("x", {1, 4}), "y"));
  EXPECT_EQ(footprint_of(b, 0).cached_bytes, 0U);
  EXPECT_EQ(footprint_of(b, 0).streamed_bytes, 0U);
  EXPECT_TRUE(footprint_of(b, 0).is_cacheable);
}

TEST(SimulatedCompiler, EveryByteIsOnChipOrStreamed) {
  for (const char* name : {"zoo:resnet50", "zoo:densenet121", "zoo:conv5-f602", "zoo:mobilenet"}) {
    const Model model = open_model(name);
    const MemoryReport report = report_on_all(model);
    std::uint64_t on_chip = 0;
    std::uint64_t host = 0;
    for (const OperatorMemory& op : report.operators)
      (op.residency == Residency::kCached ? on_chip : host) += op.bytes;
    EXPECT_EQ(on_chip, report.on_chip_bytes) << name;
    EXPECT_EQ(host, report.host_bytes) << name;
    EXPECT_LE(report.on_chip_bytes, report.capacity_bytes) << name;
    EXPECT_EQ(report.operators.size(), model.operators().size()) << name;
  }
}

TEST(SimulatedCompiler, WholeOperatorsAreStreamed) {
  const Model model = open_model("zoo:conv5-f602");
  for (const OperatorMemory& op : report_on_all(model).operators) {
    const auto footprint = parameter_footprint(model, op.op, device());
    if (op.residency == Residency::kCached) {
      EXPECT_EQ(op.bytes, footprint.cached_bytes);
    } else {
      EXPECT_EQ(op.bytes, footprint.streamed_bytes);
    }
  }
}

TEST(SimulatedCompiler, LargeInputsTakeCapacity) {
  const Model model = open_model("zoo:conv5-f602");
  const Graph graph(model);
  const auto first = report_on(graph, graph.operators_between(1, 1));
  const auto last = report_on(graph, graph.operators_between(5, 5));
  // 64 * 64 * 3 against 64 * 64 * 602 bytes of input
  EXPECT_EQ(first.capacity_bytes, static_cast<std::uint64_t>(7.74 * 1048576 - 0.6 * 12288));
  EXPECT_EQ(last.capacity_bytes, static_cast<std::uint64_t>(7.74 * 1048576 - 0.6 * 2465792));
}

TEST(SimulatedCompiler, CapacityNeverGoesBelowZero) {
  ModelBuilder b;
  b.output(b.conv(b.input("x", {1, 4096, 4096, 3}), "y", 4));
  const MemoryReport report = report_on_all(b.build());
  EXPECT_EQ(report.capacity_bytes, 0U);
  EXPECT_EQ(report.on_chip_bytes, 0U);
  EXPECT_GT(report.host_bytes, 0U);
}

TEST(SimulatedCompiler, RecurrentMatricesAreDenseLayers) {
  ModelBuilder b;
  const TensorIndex x = b.input("x", {1, 28, 28});
  std::vector<TensorIndex> inputs{x};
  for (int gate = 0; gate < 4; ++gate)
    inputs.push_back(b.constant("w" + std::to_string(gate), tflite::TensorType::INT8, {20, 28}));
  const TensorIndex y = b.tensor("y", {1, 28, 20});
  b.op(tflite::BuiltinOperator::UNIDIRECTIONAL_SEQUENCE_LSTM, inputs, {y})
      .builtin_options.Set(tflite::UnidirectionalSequenceLSTMOptionsT{});
  b.output(y);
  EXPECT_EQ(footprint_of(b, 0).cached_bytes, 4U * 64U * 28U);
}

struct Sweep {
  const char* model;
  double on_chip_mib;
  double host_mib;
};

class MeasuredOnOneDevice : public ::testing::TestWithParam<Sweep> {};

// edgetpu_compiler 16 reports, Jorgitou98/EdgeTPU-QuantRL-Evaluation: CONV_MACs (five 3x3
// convolutions of F filters on 64x64x3) and FC_MACs (64 -> N four times -> 10).
TEST_P(MeasuredOnOneDevice, AgreesWithinThePrintRounding) {
  const Model model = open_model(std::string("zoo:") + GetParam().model);
  const MemoryReport report = report_on_all(model);
  EXPECT_NEAR(to_mib(report.on_chip_bytes), GetParam().on_chip_mib, 0.01);
  EXPECT_NEAR(to_mib(report.host_bytes), GetParam().host_mib, 0.01);
}

INSTANTIATE_TEST_SUITE_P(Rows, MeasuredOnOneDevice,
                         ::testing::ValuesIn(std::vector<Sweep>{
                             Sweep{"conv5-f32", 0.0749512, 0},   Sweep{"conv5-f102", 0.466309, 0},
                             Sweep{"conv5-f202", 1.81, 0},       Sweep{"conv5-f302", 3.36, 0},
                             Sweep{"conv5-f442", 6.86, 0},       Sweep{"conv5-f452", 5.99, 1.99},
                             Sweep{"conv5-f512", 6.78, 2.25},    Sweep{"conv5-f522", 5.21, 5.19},
                             Sweep{"conv5-f602", 6.67, 6.65},    Sweep{"conv5-f632", 6.98, 6.95},
                             Sweep{"conv5-f642", 3.93, 11.69},   Sweep{"conv5-f702", 4.29, 12.78},
                             Sweep{"dense4-n100", 0.0505371, 0}, Sweep{"dense4-n500", 0.794189, 0},
                             Sweep{"dense4-n980", 2.99, 0},      Sweep{"dense4-n1260", 4.77, 0},
                             Sweep{"dense4-n1580", 7.43, 0},     Sweep{"dense4-n1620", 5.34, 2.57},
                             Sweep{"dense4-n1900", 7.19, 3.48},  Sweep{"dense4-n2020", 4.19, 7.89},
                             Sweep{"dense4-n2260", 5.24, 9.93},  Sweep{"dense4-n2300", 5.33, 10.11},
                             Sweep{"dense4-n2620", 6.88, 13.11},
                         }),
                         [](const auto& row) {
                           std::string name = row.param.model;
                           std::erase(name, '-');
                           return name;
                         });

struct Tail {
  const char* model;
  const char* after;
  double host_mib;
  double tolerance_mib;
};

class MeasuredTails : public ::testing::TestWithParam<Tail> {};

// Host bytes when everything behind a tensor is one segment; pm2550/TPU_Models,
// five_models/baselines/models_compilation.txt.
TEST_P(MeasuredTails, AgreeWithinTheStatedError) {
  const Model model = open_model(std::string("zoo:") + GetParam().model);
  const Graph graph(model);
  const std::vector<std::string> cut{GetParam().after};
  const auto tail = segment_at(graph, cut).segments.at(1);
  EXPECT_NEAR(to_mib(report_on(graph, tail).host_bytes), GetParam().host_mib,
              GetParam().tolerance_mib);
}

// Keras' "conv4_block1_add" and its activation are one operator in the converted model.
INSTANTIATE_TEST_SUITE_P(
    Rows, MeasuredTails,
    ::testing::Values(Tail{"resnet50", "conv4_block1_out", 14.12, 0.01},
                      Tail{"resnet50", "conv4_block4_out", 10.92, 0.01},
                      Tail{"resnet50", "conv4_block5_out", 9.85, 0.01},
                      Tail{"resnet50", "conv4_block6_out", 8.78, 0.01},
                      Tail{"resnet50", "conv5_block1_out", 3.01, 0.01},
                      Tail{"resnet50", "conv5_block2_out", 0.00, 0.01},
                      Tail{"resnet101", "conv4_block3_out", 30.15, 0.01},
                      Tail{"resnet101", "conv4_block8_out", 24.81, 0.01},
                      Tail{"resnet101", "conv4_block13_out", 19.46, 0.01},
                      Tail{"resnet101", "conv4_block18_out", 14.12, 0.01},
                      Tail{"resnet101", "conv4_block23_out", 8.78, 0.01},
                      Tail{"resnet101", "conv5_block1_out", 3.01, 0.01},
                      // Xception keeps 0.6 MiB more free than the law says, for a reason unknown;
                      // docs/cost-model.md has the residual of each row.
                      Tail{"xception", "add_3", 14.02, 0.81},
                      Tail{"xception", "add_5", 10.26, 0.27}, Tail{"xception", "add_7", 6.79, 0.55},
                      Tail{"xception", "add_9", 3.57, 0.73}, Tail{"xception", "add_10", 1.97, 0.73},
                      Tail{"xception", "block14_sepconv1_act", 0.00, 0.05}),
    [](const auto& row) { return std::string(row.param.model) + "_" + row.param.after; });

// The order of caching explains Xception too: with less capacity, for a reason unknown, exactly the
// reported layers stream in every row.
TEST(MeasuredTails, OrderOfCachingHoldsForXceptionWithLessCapacity) {
  DeviceSpec smaller = device();
  smaller.memory.capacity_bytes.value = 7.05 * 1024 * 1024;
  smaller.memory.input_share.value = 0;
  const auto compiler = make_simulated_compiler(smaller);
  const Model model = open_model("zoo:xception");
  const Graph graph(model);
  const std::vector<std::pair<std::string, double>> rows{
      {"add_3", 14.02}, {"add_5", 10.26}, {"add_7", 6.79},
      {"add_9", 3.57},  {"add_10", 1.97}, {"block14_sepconv1_act", 0.00}};
  for (const auto& [after, host_mib] : rows) {
    const auto tail = segment_at(graph, std::vector{after}).segments.at(1);
    EXPECT_NEAR(to_mib(compiler->totals(graph, tail).host_bytes), host_mib, 0.01) << after;
  }
}

TEST(DeviceCatalogue, EveryConstantNamesItsUnitAndSource) {
  for (const DeviceSpec& spec : device_catalogue()) {
    for (const Constant& constant :
         {spec.memory.capacity_bytes, spec.memory.input_share, spec.memory.output_lanes,
          spec.memory.input_lanes, spec.memory.channel_bytes, spec.memory.streamed_channel_bytes,
          spec.memory.small_layer_bytes}) {
      EXPECT_FALSE(constant.unit.empty()) << spec.name;
      EXPECT_FALSE(constant.source.empty()) << spec.name;
    }
  }
}

TEST(FindDevice, UnknownNamesListTheCatalogue) {
  testing::expect_error(ErrorCode::kInvalidArgument, [] { (void)find_device("edgetpu"); },
                        {"'edgetpu'", "edgetpu-usb3", "edgetpu-devboard"});
}

// Every range of depths of graphs with skips, several readers and operators on the host.
TEST(DepthHostBytes, EqualWhatTheCompilerReportsOfEveryRange) {
  std::mt19937 random(12);
  int streamed = 0;
  int with_inputs_that_matter = 0;
  for (int round = 0; round < 150; ++round) {
    const Model model = testing::random_model(random, 14, round % 2 == 1);
    const Graph graph(model);
    DeviceSpec device = testing::random_device(random);
    device.memory.input_share.value = static_cast<double>(random() % 3) * 500;
    const auto compiler = make_simulated_compiler(device);
    const auto host_bytes = compiler->depth_host_bytes(graph);
    for (std::uint32_t first = 1; first <= graph.depth(); ++first) {
      for (std::uint32_t last = first; last <= graph.depth(); ++last) {
        const auto report = compiler->compile(graph, graph.operators_between(first, last));
        ASSERT_EQ(host_bytes(first, last), report.host_bytes)
            << "round " << round << ", depths " << first << " to " << last;
        streamed += report.host_bytes > 0 ? 1 : 0;
        const auto largest = static_cast<std::uint64_t>(device.memory.capacity_bytes.value);
        with_inputs_that_matter += report.capacity_bytes + 1000 < largest ? 1 : 0;
      }
    }
  }
  EXPECT_GT(streamed, 1000);
  EXPECT_GT(with_inputs_that_matter, 1000);
}

// Few of many candidates are inside, so they are sorted on their own.
TEST(DepthHostBytes, EqualCompiledShortRangesOfADeepModel) {
  std::mt19937 random(13);
  std::vector<std::int32_t> filters(120);
  for (auto& count : filters) count = static_cast<std::int32_t>(1 + random() % 500);
  const Model model = testing::conv_chain(filters);
  const Graph graph(model);
  DeviceSpec device = testing::random_device(random);
  device.memory.capacity_bytes.value = 200'000;
  const auto compiler = make_simulated_compiler(device);
  const auto host_bytes = compiler->depth_host_bytes(graph);
  for (std::uint32_t first = 1; first + 6 <= graph.depth(); ++first) {
    for (const std::uint32_t last : {first, first + 3, first + 6, graph.depth()}) {
      EXPECT_EQ(host_bytes(first, last),
                compiler->totals(graph, graph.operators_between(first, last)).host_bytes);
    }
  }
}

}  // namespace
}  // namespace segue
