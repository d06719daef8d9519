// Tests models whose shapes are known at run time only. A batch is taken as 1; everything else is
// refused.
#include <gtest/gtest.h>

#include "command.h"
#include "environment.h"
#include "expect.h"
#include "model_builder.h"
#include "segue/graph.h"
#include "segue/report.h"
#include "segue/verify.h"
#include "split_model.h"

namespace segue {
namespace {

using testing::cpu_backend;
using testing::expect_error;
using testing::expect_failure;
using testing::kModel;
using testing::ModelBuilder;
using testing::operators;
using testing::run_segue;
using testing::ScratchFolder;
using testing::TensorIndex;

using Shape = std::vector<std::int32_t>;

Shape shape_of(const Model& model, const char* name) {
  const auto shape = model.tensor(*model.find_tensor(name)).shape;
  return {shape.begin(), shape.end()};
}

// Expects that every cut of the model into two segments computes the same values as the whole
// model.
void expect_every_cut_agrees(const Model& model) {
  const auto count = static_cast<std::uint32_t>(model.operators().size());
  for (std::uint32_t cut = 1; cut < count; ++cut) {
    const ScratchFolder scratch;
    testing::split(model, {{operators(0, cut - 1), operators(cut, count - 1)}}, scratch.path());
    const auto report =
        verify_segments(model, find_segments(scratch.path()), cpu_backend(), {.inputs = 2});
    EXPECT_EQ(report.mismatch, "") << "cut " << cut;
    EXPECT_GT(report.bytes_compared, 0U);
  }
}

// Makes a convolution, a map that is flattened at run time, and a dense layer.
ModelBuilder with_flatten() {
  ModelBuilder b;
  const TensorIndex y = b.flatten(b.conv(b.input("x", {1, 4, 4, 3}), "map", 8), "flat");
  b.output(b.dense(y, "scores", 5));
  b.open_batch();
  return b;
}

TEST(OpenBatch, BatchIsSetToOneAndNoted) {
  const Model model = with_flatten().build("net");
  EXPECT_NO_THROW(check_static_shapes(model));
  EXPECT_EQ(open_batch_inputs(model), std::vector{TensorId{0}});
  EXPECT_EQ(shape_of(model, "scores"), (Shape{1, 5}));
  const auto notes = model_notes(model);
  ASSERT_EQ(notes.size(), 2U);
  EXPECT_THAT(notes[0], ::testing::HasSubstr("'x' (-1x4x4x3)"));
  // After it come RESHAPE and the dense layer, with 640 bytes of weights and 20 bytes of bias.
  for (const char* part : {"SHAPE #1", "4 operators after it", "tf.TensorSpec([1,4,4,3])"})
    EXPECT_THAT(notes[1], ::testing::HasSubstr(part));
}

TEST(OpenBatch, SegmentsMatchWholeModel) { expect_every_cut_agrees(with_flatten().build()); }

TEST(OpenBatch, SegmentsHaveNoShapeSignature) {
  const Model model = with_flatten().build();
  const auto bytes = extract_segment(model, operators(0, 5)).to_bytes();
  for (const auto* tensor : *tflite::GetModel(bytes.data())->subgraphs()->Get(0)->tensors())
    EXPECT_EQ(tensor->shape_signature(), nullptr) << tensor->name()->str();
}

// Makes a dilated convolution as Keras writes it, which moves pixels into the batch.
ModelBuilder dilated() {
  ModelBuilder b;
  const TensorIndex x = b.input("x", {1, 8, 8, 4});
  const TensorIndex block = b.int32_constant("block", {2, 2});
  const TensorIndex paddings = b.int32_constant("paddings", {0, 0, 0, 0});
  b.at(paddings).shape = {2, 2};
  const TensorIndex parts = b.tensor("parts", {4, 4, 4, 4});
  b.op(tflite::BuiltinOperator::SPACE_TO_BATCH_ND, {x, block, paddings}, {parts});
  const TensorIndex y = b.conv(parts, "conv", 6, 3);
  const TensorIndex whole = b.tensor("whole", {1, 8, 8, 6});
  b.op(tflite::BuiltinOperator::BATCH_TO_SPACE_ND, {y, block, paddings}, {whole});
  b.output(b.relu(whole, "z"));
  return b;
}

TEST(OpenBatch, SpaceToBatchMultipliesBatch) {
  ModelBuilder b = dilated();
  const Model fixed = b.build();
  b.open_batch();  // sets the extent to 1, although 4 is right
  const Model open = b.build();
  EXPECT_EQ(shape_of(open, "parts"), (Shape{4, 4, 4, 4}));
  EXPECT_EQ(shape_of(open, "conv"), (Shape{4, 4, 4, 6}));
  EXPECT_EQ(shape_of(open, "whole"), (Shape{1, 8, 8, 6}));
  EXPECT_EQ(Graph(open).macs(), Graph(fixed).macs());
  expect_every_cut_agrees(open);
}

// The extent inferred from each operator's inputs equals the one in the model with a fixed batch.
TEST(OpenBatch, BatchIsInferredFromInputs) {
  ModelBuilder b;
  const TensorIndex x = b.input("x", {1, 4, 4, 4});
  const auto add = [&](tflite::BuiltinOperator code, std::vector<TensorIndex> inputs,
                       const char* name, Shape shape) -> tflite::OperatorT& {
    return b.op(code, std::move(inputs), {b.tensor(name, std::move(shape))});
  };
  using Code = tflite::BuiltinOperator;
  add(Code::RESHAPE, {x, b.int32_constant("rows", {-1, 4})}, "reshape", {16, 4});
  const TensorIndex pads = b.int32_constant("pads", {1, 2, 0, 0, 0, 0, 0, 0});
  b.at(pads).shape = {4, 2};
  add(Code::PAD, {x, pads}, "pad", {4, 4, 4, 4});
  add(Code::TILE, {x, b.int32_constant("times", {3, 1, 1, 1})}, "tile", {3, 4, 4, 4});
  add(Code::MEAN, {x, b.int32_constant("axes", {1, 2})}, "mean", {1, 4});
  tflite::ConcatenationOptionsT last;
  last.axis = 3;
  add(Code::CONCATENATION, {x, x}, "concat", {1, 4, 4, 8}).builtin_options.Set(last);
  add(Code::SLICE,
      {x, b.int32_constant("from", {0, 1, 1, 0}), b.int32_constant("size", {-1, 2, 2, 4})}, "slice",
      {1, 2, 2, 4});
  add(Code::TRANSPOSE, {x, b.int32_constant("order", {0, 3, 1, 2})}, "transpose", {1, 4, 4, 4});
  add(Code::ADD, {x, b.constant("bias", tflite::TensorType::INT8, {4})}, "add", {1, 4, 4, 4});
  add(Code::FULLY_CONNECTED, {x, b.constant("w", tflite::TensorType::INT8, {5, 4}), -1}, "dense",
      {16, 5});
  for (TensorIndex t = 1; t < static_cast<TensorIndex>(b.graph().tensors.size()); ++t) {
    if (b.at(t).buffer == 0) b.output(t);
  }
  const Model fixed = b.build();
  b.open_batch();
  const Model open = b.build();
  ASSERT_NO_THROW(check_static_shapes(open));
  for (std::size_t i = 0; i < fixed.tensors().size(); ++i) {
    const Tensor& expected = fixed.tensors()[i];
    EXPECT_TRUE(std::ranges::equal(open.tensors()[i].shape, expected.shape)) << expected.name;
    EXPECT_EQ(open.tensors()[i].bytes, expected.bytes) << expected.name;
  }
}

// A negative axis counts from the end of the input's two dimensions, although the output has three.
TEST(OpenBatch, NegativeGatherAxisCountsFromInput) {
  ModelBuilder b;
  const TensorIndex places = b.int32_constant("places", {0, 0});
  b.at(places).shape = {1, 2};
  const TensorIndex y = b.tensor("y", {1, 2, 4});
  tflite::GatherOptionsT first;
  first.axis = -2;
  b.op(tflite::BuiltinOperator::GATHER, {b.input("x", {1, 4}), places}, {y})
      .builtin_options.Set(first);
  b.output(y);
  b.open_batch();
  const Model model = b.build();
  expect_error(ErrorCode::kUnsupported, [&] { check_static_shapes(model); }, {"'y'", "GATHER"});
}

TEST(OpenBatch, NegativePackAxisCountsFromOutput) {
  const auto packed = [](std::int32_t axis) {
    ModelBuilder b;
    const TensorIndex x = b.input("x", {1, 4});
    const TensorIndex y = b.tensor("y", axis == -3 ? Shape{2, 1, 4} : Shape{1, 2, 4});
    tflite::PackOptionsT options;
    options.axis = axis;
    options.values_count = 2;
    b.op(tflite::BuiltinOperator::PACK, {x, x}, {y}).builtin_options.Set(options);
    b.output(y);
    b.open_batch();
    return b.build();
  };
  EXPECT_NO_THROW(check_static_shapes(packed(-2)));
  EXPECT_THROW(check_static_shapes(packed(-3)), Error);
}

struct Undecided {
  const char* name;
  void (*change)(ModelBuilder&);
};
class OpenBatchUndecided : public ::testing::TestWithParam<Undecided> {};

// The batch of 'y' does not follow from that of 'x'.
TEST_P(OpenBatchUndecided, AmbiguousOperatorIsRefused) {
  ModelBuilder b;
  b.input("x", {1, 4});
  b.output(b.tensor("y", {1, 4}));
  GetParam().change(b);
  b.open_batch();
  const Model model = b.build();
  expect_error(ErrorCode::kUnsupported, [&] { check_static_shapes(model); },
               {"'y'", "-1x4", "tf.TensorSpec([1,4])"});
}

INSTANTIATE_TEST_SUITE_P(
    All, OpenBatchUndecided,
    ::testing::Values(
        Undecided{"ConcatenationOfBatches",
                  [](ModelBuilder& b) {
                    b.op(tflite::BuiltinOperator::CONCATENATION, {0, 0}, {1})
                        .builtin_options.Set(tflite::ConcatenationOptionsT());
                  }},
        Undecided{"SumOverTheBatch",
                  [](ModelBuilder& b) {
                    b.op(tflite::BuiltinOperator::SUM, {0, b.int32_constant("axis", {0})}, {1});
                  }},
        Undecided{"SliceOfTheBatch",
                  [](ModelBuilder& b) {
                    b.op(tflite::BuiltinOperator::SLICE,
                         {0, b.int32_constant("from", {1, 0}), b.int32_constant("size", {-1, 4})},
                         {1});
                  }},
        Undecided{"MatrixProduct",
                  [](ModelBuilder& b) {
                    b.op(tflite::BuiltinOperator::BATCH_MATMUL,
                         {0, b.constant("m", tflite::TensorType::INT8, {4, 4})}, {1});
                  }},
        Undecided{"CustomOperator",
                  [](ModelBuilder& b) {
                    b.op(tflite::BuiltinOperator::CUSTOM, {0}, {1});
                    b.raw().operator_codes[0]->custom_code = "Mine";
                  }}),
    [](const auto& row) { return row.param.name; });

ModelBuilder with_open_sides() {
  ModelBuilder b;
  b.output(b.conv(b.input("x", {1, 1, 1, 3}), "y", 8));
  for (const auto& tensor : b.graph().tensors) {
    if (tensor->name.size() == 1) tensor->shape_signature = {-1, -1, -1, tensor->shape[3]};
  }
  return b;
}

TEST(OpenShapes, OpenHeightIsRefusedWithRemedy) {
  const Model model = with_open_sides().build("net");
  EXPECT_TRUE(open_batch_inputs(model).empty());
  for (const auto& call :
       std::vector<std::function<void()>>{[&] { check_static_shapes(model); },
                                          [&] { (void)extract_segment(model, operators(0, 0)); }}) {
    expect_error(ErrorCode::kUnsupported, call,
                 {"net", "'x'", "-1x-1x-1x3", "tf.TensorSpec([1,?,?,3])", "keras_to_tflite.py"});
  }
}

// Makes a model with WHERE, whose output has as many rows as there are values that are not zero.
ModelBuilder with_where() {
  ModelBuilder b;
  const TensorIndex y = b.relu(b.input("x", {1, 4}), "y");
  const TensorIndex rows = b.tensor("rows", {1, 2});
  b.at(rows).type = tflite::TensorType::INT64;
  b.at(rows).quantization.reset();
  b.at(rows).shape_signature = {-1, 2};
  b.op(tflite::BuiltinOperator::WHERE, {y}, {rows});
  b.output(rows);
  return b;
}

TEST(OpenShapes, DataDependentShapeIsRefused) {
  const Model model = with_where().build();
  expect_error(ErrorCode::kUnsupported, [&] { check_static_shapes(model); },
               {"'rows'", "WHERE #1", "-1x2", "values"});
}

TEST(OpenShapes, InspectNamesOpenShapes) {
  const ScratchFolder scratch;
  testing::write_bytes(scratch.path() / "m.tflite", with_where().bytes());
  const auto result = run_segue({"inspect", "m.tflite"}, scratch.path());
  EXPECT_EQ(result.status, 0);
  EXPECT_THAT(result.out, ::testing::HasSubstr("WHERE"));
  EXPECT_THAT(result.err, ::testing::HasSubstr("'rows' (of WHERE #1"));
}

TEST(OpenShapes, PlanningCommandsRefuseOpenShapes) {
  const ScratchFolder scratch;
  testing::write_bytes(scratch.path() / "m.tflite", with_where().bytes());
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"plan", "m.tflite", "--tpus", "2"},
        {"split", "m.tflite", "--tpus", "2", "-o", "p"},
        {"split", "m.tflite", "--at", "y", "-o", "p"},
        {"simulate", "m.tflite"},
        {"compare", "m.tflite"},
        {"report", "m.tflite"}})
    expect_failure(run_segue(command, scratch.path()), kModel, "'rows'");
  const auto swept = run_segue({"sweep", "m.tflite", "--tpus", "2"}, scratch.path());
  EXPECT_THAT(swept.out,
              ::testing::AllOf(::testing::HasSubstr("\"feasible\":false"),
                               ::testing::Not(::testing::HasSubstr("\"feasible\":true"))));
}

TEST(OpenShapes, CommandsNoteOpenBatch) {
  const ScratchFolder scratch;
  testing::write_bytes(scratch.path() / "m.tflite", with_flatten().bytes());
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"inspect", "m.tflite"},
        {"plan", "m.tflite", "--tpus", "2"},
        {"split", "m.tflite", "--tpus", "2", "-o", "p"}}) {
    const auto result = run_segue(command, scratch.path());
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_THAT(result.err, ::testing::HasSubstr("'x' (-1x4x4x3) is not fixed; segue uses 1"));
    EXPECT_THAT(result.err, ::testing::HasSubstr("tf.TensorSpec([1,4,4,3])"));
  }
}

}  // namespace
}  // namespace segue
