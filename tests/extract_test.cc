// Tests extract_segment: what a segment keeps, and which segments it refuses.
#include <gtest/gtest.h>

#include <limits>

#include "environment.h"
#include "expect.h"
#include "model_builder.h"
#include "segue/model.h"

namespace segue {
namespace {

using testing::expect_error;
using testing::ModelBuilder;
using testing::operators;
using testing::TensorIndex;

Model segment(const Model& model, const std::vector<OperatorId>& ids) {
  return parse_model(extract_segment(model, ids).to_bytes(), "segment");
}

std::vector<std::string> names(const Model& model, std::span<const TensorId> ids) {
  std::vector<std::string> result;
  for (const TensorId id : ids) result.push_back(model.unique_name(id));
  return result;
}

using Names = std::vector<std::string>;

std::unique_ptr<tflite::ModelT> unpack(const ModelImage& image) {
  const auto bytes = image.to_bytes();
  return std::unique_ptr<tflite::ModelT>(tflite::UnPackModel(bytes.data()));
}

// x -> a -> b -> c -> sum(a, c): `a` skips over b.
Model with_skip() {
  ModelBuilder b;
  const TensorIndex a = b.conv(b.input("x", {1, 4, 4, 4}), "a", 4);
  const TensorIndex c = b.conv(b.conv(a, "b", 4), "c", 4);
  b.output(b.add(a, c, "sum"));
  return b.build();
}

TEST(ExtractSegment, WholeModelIsCopiedExactly) {
  const Model model = with_skip();
  const Model copy = segment(model, operators(0, 3));
  ASSERT_EQ(copy.tensors().size(), model.tensors().size());
  for (std::size_t i = 0; i < model.tensors().size(); ++i) {
    const Tensor& a = model.tensors()[i];
    const Tensor& b = copy.tensors()[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.type, b.type);
    EXPECT_TRUE(std::ranges::equal(a.shape, b.shape));
    EXPECT_TRUE(std::ranges::equal(a.data, b.data));
    EXPECT_TRUE(std::ranges::equal(a.quantization.scales, b.quantization.scales));
    EXPECT_TRUE(std::ranges::equal(a.quantization.zero_points, b.quantization.zero_points));
    EXPECT_EQ(a.quantization.dimension, b.quantization.dimension);
  }
  for (const OperatorId id : operators(0, 3)) {
    EXPECT_TRUE(same_operation(model, id, copy, id));
    EXPECT_EQ(model.op(id).version, copy.op(id).version);
  }
  EXPECT_EQ(copy.description(), "built by a test");
}

TEST(ExtractSegment, SkipTensorIsInputOfItsReader) {
  const Model model = with_skip();
  EXPECT_EQ(names(model, segment_border(model, operators(0, 0)).outputs), Names{"a"});
  EXPECT_EQ(names(model, segment_border(model, operators(1, 2)).inputs), Names{"a"});
  const Model last = segment(model, operators(3, 3));
  EXPECT_EQ(names(last, last.inputs()), (Names{"a", "c"}));
  EXPECT_EQ(names(last, last.outputs()), Names{"sum"});
}

TEST(ExtractSegment, NonConvexSetIsRefused) {
  const Model model = with_skip();
  expect_error(ErrorCode::kInvalidArgument,
               [&] {
                 (void)extract_segment(model, std::vector{OperatorId{0}, OperatorId{3}});
               },
               {"not convex", "CONV_2D #2 'c'", "ADD #3 'sum'"});
}

TEST(ExtractSegment, OperatorCodesAreUnique) {
  const auto raw = unpack(extract_segment(with_skip(), operators(1, 3)));
  ASSERT_EQ(raw->operator_codes.size(), 2U);
  EXPECT_EQ(raw->operator_codes[0]->builtin_code, tflite::BuiltinOperator::CONV_2D);
  EXPECT_EQ(raw->operator_codes[1]->builtin_code, tflite::BuiltinOperator::ADD);
}

TEST(ExtractSegment, EmptyOrDuplicateSetIsRefused) {
  const Model model = with_skip();
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)extract_segment(model, {}); });
  expect_error(ErrorCode::kInvalidArgument,
               [&] {
                 (void)extract_segment(model, std::vector{OperatorId{1}, OperatorId{1}});
               },
               {"twice"});
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)extract_segment(model, operators(4, 4)); },
               {"#4 of 4"});
}

// Removes a field from the table's list of fields, as in a file in which it was never written.
void remove_field(std::vector<std::byte>& bytes, const void* table, flatbuffers::voffset_t field) {
  const std::uint8_t* fields = static_cast<const flatbuffers::Table*>(table)->GetVTable();
  auto* start = reinterpret_cast<std::uint8_t*>(bytes.data());
  flatbuffers::WriteScalar(start + (fields - start) + field, flatbuffers::voffset_t{0});
}

TEST(ExtractSegment, EmptyUnionIsReadAndWritten) {
  ModelBuilder b;
  const TensorIndex y = b.tensor("y", {1, 4});
  b.op(tflite::BuiltinOperator::L2_NORMALIZATION, {b.input("x", {1, 4})}, {y})
      .builtin_options.Set(tflite::L2NormOptionsT());
  b.at(y).quantization->details.Set(tflite::CustomQuantizationT());
  b.output(y);
  std::vector<std::byte> bytes = b.bytes();
  const auto* graph = tflite::GetModel(bytes.data())->subgraphs()->Get(0);
  remove_field(bytes, graph->operators()->Get(0), tflite::Operator::VT_BUILTIN_OPTIONS);
  remove_field(bytes, graph->tensors()->Get(static_cast<flatbuffers::uoffset_t>(y))->quantization(),
               tflite::QuantizationParameters::VT_DETAILS);
  const Model model = parse_model(bytes, "model");
  const Model copy = segment(model, operators(0, 0));
  EXPECT_TRUE(same_operation(model, OperatorId{0}, copy, OperatorId{0}));
}

// No reader accepts a model without outputs.
TEST(ExtractSegment, SegmentWithoutOutputsIsRefused) {
  ModelBuilder b;
  const TensorIndex a = b.relu(b.input("x", {1, 4}), "a");
  b.relu(b.relu(a, "unused"), "unused_too");
  b.output(a);
  const Model model = b.build();
  expect_error(ErrorCode::kUnsupported, [&] { (void)extract_segment(model, operators(1, 2)); },
               {"RELU #1", "and 1 more", "no outputs"});
  EXPECT_EQ(names(model, segment(model, operators(0, 2)).outputs()), Names{"a"});
}

TEST(ExtractSegment, ModelOutputReadLaterStaysAnOutput) {
  ModelBuilder b;
  const TensorIndex a = b.relu(b.input("x", {1, 4}), "a");
  b.output(b.relu(a, "late"));
  b.output(a);
  const Model model = b.build();
  EXPECT_EQ(names(model, segment_border(model, operators(0, 0)).outputs), Names{"a"});
  EXPECT_EQ(names(model, segment_border(model, operators(1, 1)).outputs), Names{"late"});
}

TEST(ExtractSegment, InputsAndOutputsKeepModelOrder) {
  ModelBuilder b;
  const TensorIndex p = b.input("p", {1, 4});
  const TensorIndex q = b.input("q", {1, 4});
  b.graph().inputs = {q, p};
  const TensorIndex u = b.relu(p, "u");
  const TensorIndex v = b.relu(q, "v");
  b.output(v);
  b.output(u);
  const Model model = b.build();
  const Model copy = segment(model, operators(0, 1));
  EXPECT_EQ(names(copy, copy.inputs()), (Names{"q", "p"}));
  EXPECT_EQ(names(copy, copy.outputs()), (Names{"v", "u"}));
}

TEST(ExtractSegment, OutputsOfOneOperatorMayPart) {
  ModelBuilder b;
  const auto parts = b.split(b.input("x", {1, 8}), "half");
  const TensorIndex early = b.relu(parts[0], "early");
  b.output(b.concat({early, parts[1]}, "y"));
  const Model model = b.build();
  EXPECT_EQ(names(model, segment_border(model, operators(0, 0)).outputs),
            (Names{"half_a", "half_b"}));
  const Model last = segment(model, operators(2, 2));
  EXPECT_EQ(names(last, last.inputs()), (Names{"half_b", "early"}));
}

TEST(ExtractSegment, UnreadOutputIsNotASegmentOutput) {
  ModelBuilder b;
  const auto parts = b.split(b.input("x", {1, 8}), "half");
  b.output(b.relu(parts[0], "y"));
  const Model model = b.build();
  const Model first = segment(model, operators(0, 0));
  EXPECT_EQ(names(first, first.outputs()), Names{"half_a"});
  EXPECT_EQ(first.op(OperatorId{0}).outputs.size(), 2U);
}

TEST(ExtractSegment, SharedConstantIsStoredOncePerFile) {
  ModelBuilder b;
  const TensorIndex x = b.input("x", {1, 4});
  const TensorIndex c = b.constant("c", tflite::TensorType::INT8, {1, 4});
  const TensorIndex d = b.tensor("d", {1, 4});
  b.at(d).buffer = b.at(c).buffer;  // two tensors share the same bytes
  TensorIndex y = b.add(x, c, "y0");
  y = b.add(y, d, "y1");
  b.output(b.add(y, c, "y2"));
  const Model model = b.build();
  const Model first = segment(model, operators(0, 1));
  EXPECT_EQ(first.tensor(*first.find_tensor("c")).buffer,
            first.tensor(*first.find_tensor("d")).buffer);
  const Model last = segment(model, operators(2, 2));
  EXPECT_TRUE(std::ranges::equal(last.tensor(*last.find_tensor("c")).data,
                                 model.tensor(*model.find_tensor("c")).data));
}

TEST(ExtractSegment, CustomOperatorKeepsNameAndOptions) {
  ModelBuilder b;
  const TensorIndex x = b.input("x", {1, 4});
  const TensorIndex y = b.tensor("y", {1, 4});
  auto& op = b.op(tflite::BuiltinOperator::CUSTOM, {x}, {y});
  op.custom_options = {1, 2, 3, 250};
  b.raw().operator_codes[0]->custom_code = "MyOp";
  b.output(b.relu(y, "z"));
  const Model model = b.build();
  const Model first = segment(model, operators(0, 0));
  EXPECT_EQ(first.op(OperatorId{0}).name, "MyOp");
  EXPECT_TRUE(
      std::ranges::equal(first.op(OperatorId{0}).custom_data, model.op(OperatorId{0}).custom_data));
  EXPECT_EQ(first.op(OperatorId{0}).custom_data.size(), 4U);
}

TEST(ExtractSegment, VariableStaysInItsOnlySegment) {
  ModelBuilder b;
  const TensorIndex x = b.input("x", {1, 4});
  const TensorIndex state = b.tensor("state", {1, 4});
  b.at(state).is_variable = true;
  TensorIndex y = b.add(x, state, "y");
  y = b.relu(y, "z");
  b.output(y);
  const Model model = b.build();
  const Model first = segment(model, operators(0, 0));
  EXPECT_TRUE(first.tensor(*first.find_tensor("state")).is_variable);
  EXPECT_EQ(names(first, first.inputs()), Names{"x"});
}

TEST(ExtractSegment, VariableOfTwoSegmentsIsRefused) {
  ModelBuilder b;
  const TensorIndex x = b.input("x", {1, 4});
  const TensorIndex state = b.tensor("state", {1, 4});
  b.at(state).is_variable = true;
  const TensorIndex y = b.add(x, state, "y");
  b.output(b.add(y, state, "z"));
  const Model model = b.build();
  expect_error(ErrorCode::kUnsupported, [&] { (void)extract_segment(model, operators(0, 0)); },
               {"variable tensor 'state'"});
}

TEST(ExtractSegment, OutputWithoutProducerIsRefused) {
  ModelBuilder b;
  b.output(b.relu(b.input("x", {1, 4}), "y"));
  b.output(b.constant("fixed", tflite::TensorType::INT8, {1, 4}));
  const Model model = b.build();
  expect_error(ErrorCode::kUnsupported, [&] { (void)extract_segment(model, operators(0, 0)); },
               {"'fixed'", "no operator computes"});
}

TEST(ExtractSegment, UnnamedMetadataIsRenumbered) {
  ModelBuilder b;
  b.output(b.dense(b.dense(b.input("x", {1, 4}), "a", 4), "b", 4));
  b.raw().buffers.push_back(std::make_unique<tflite::BufferT>());
  b.raw().buffers.back()->data = {7, 8};
  b.raw().metadata_buffer = {static_cast<std::int32_t>(b.raw().buffers.size() - 1)};
  const auto last = unpack(extract_segment(b.build(), operators(1, 1)));
  ASSERT_EQ(last->metadata_buffer.size(), 1U);
  EXPECT_EQ(last->buffers[static_cast<std::size_t>(last->metadata_buffer[0])]->data,
            (std::vector<std::uint8_t>{7, 8}));
}

TEST(ExtractSegment, OptionalInputStaysAbsent) {
  ModelBuilder b;
  b.output(b.dense(b.input("x", {1, 4}), "y", 3, false));
  const Model model = b.build();
  EXPECT_EQ(segment(model, operators(0, 0)).op(OperatorId{0}).inputs[2], -1);
}

ModelBuilder with_interface() {
  ModelBuilder b;
  const TensorIndex a = b.relu(b.input("x", {1, 4}), "a");
  b.output(b.relu(a, "b"));
  auto signature = std::make_unique<tflite::SignatureDefT>();
  signature->signature_key = "serving_default";
  for (auto* maps : {&signature->inputs, &signature->outputs})
    maps->push_back(std::make_unique<tflite::TensorMapT>());
  signature->inputs[0]->name = "image";
  signature->outputs[0]->name = "scores";
  signature->outputs[0]->tensor_index = 2;
  b.raw().signature_defs.push_back(std::move(signature));
  for (const char* name : {"TFLITE_METADATA", "min_runtime_version"}) {
    b.raw().buffers.push_back(std::make_unique<tflite::BufferT>());
    b.raw().buffers.back()->data = {'1', '.', '5'};
    b.raw().metadata.push_back(std::make_unique<tflite::MetadataT>());
    b.raw().metadata.back()->name = name;
    b.raw().metadata.back()->buffer = static_cast<std::uint32_t>(b.raw().buffers.size() - 1);
  }
  return b;
}

TEST(ExtractSegment, SignatureKeepsKeyAndTensorNames) {
  const Model model = with_interface().build();
  const auto first = unpack(extract_segment(model, operators(0, 0)));
  ASSERT_EQ(first->signature_defs.size(), 1U);
  EXPECT_EQ(first->signature_defs[0]->signature_key, "serving_default");
  EXPECT_EQ(first->signature_defs[0]->inputs.at(0)->name, "image");
  EXPECT_EQ(first->signature_defs[0]->outputs.at(0)->name, "a");
  const auto second = unpack(extract_segment(model, operators(1, 1)));
  EXPECT_EQ(second->signature_defs[0]->inputs.at(0)->name, "a");
  EXPECT_EQ(second->signature_defs[0]->outputs.at(0)->name, "scores");
}

TEST(ExtractSegment, InterfaceMetadataNeedsFullInterface) {
  const Model model = with_interface().build();
  const auto part = unpack(extract_segment(model, operators(0, 0)));
  ASSERT_EQ(part->metadata.size(), 1U);
  EXPECT_EQ(part->metadata[0]->name, "min_runtime_version");
  EXPECT_EQ(part->buffers[part->metadata[0]->buffer]->data,
            (std::vector<std::uint8_t>{49, 46, 53}));
  EXPECT_EQ(unpack(extract_segment(model, operators(0, 1)))->metadata.size(), 2U);
  EXPECT_TRUE(has_interface_metadata(model));
}

TEST(ExtractSegment, WeightsAreViewsOfSource) {
  const Model model = with_skip();
  const ModelImage image = extract_segment(model, operators(0, 3));
  const auto inside = [&](std::span<const std::byte> piece) {
    return piece.data() >= model.bytes().data() &&
           piece.data() + piece.size() <= model.bytes().data() + model.bytes().size();
  };
  std::uint64_t viewed = 0;
  for (const auto& piece : image.pieces()) viewed += inside(piece) ? piece.size() : 0;
  std::uint64_t weights = 0;
  for (const Tensor& tensor : model.tensors()) weights += tensor.data.size();
  EXPECT_EQ(viewed, weights);
}

TEST(ExtractSegment, WeightsAreAlignedTo16Bytes) {
  const Model model = with_skip();
  const auto bytes = extract_segment(model, operators(1, 2)).to_bytes();
  const auto* root = tflite::GetModel(bytes.data());
  for (const tflite::Buffer* buffer : *root->buffers()) {
    if (buffer->data() == nullptr) continue;
    const auto offset =
        buffer->data()->data() - reinterpret_cast<const std::uint8_t*>(bytes.data());
    EXPECT_EQ(offset % 16, 0);
  }
}

TEST(ExposeTensors, ComputedTensorsBecomeOutputs) {
  const Model model = with_skip();
  const Model exposed =
      parse_model(expose_tensors(model, testing::all_tensors(model)).to_bytes(), "exposed");
  EXPECT_EQ(names(exposed, exposed.outputs()), (Names{"sum", "a", "b", "c"}));
}

TEST(SameOperation, ChangedOptionDiffers) {
  ModelBuilder a;
  a.output(a.conv(a.input("x", {1, 4, 4, 4}), "y", 4));
  ModelBuilder b;
  b.output(b.conv(b.input("x", {1, 4, 4, 4}), "y", 4));
  EXPECT_TRUE(same_operation(a.build(), OperatorId{0}, b.build(), OperatorId{0}));
  b.graph().operators[0]->builtin_options.AsConv2DOptions()->stride_h = 2;
  EXPECT_FALSE(same_operation(a.build(), OperatorId{0}, b.build(), OperatorId{0}));
}

// After the cut, each of the two segments would have its own variable.
TEST(ExtractSegment, SharedResourceIsRefused) {
  ModelBuilder b;
  const auto handle = [&](const char* name) {
    const auto x = b.tensor(name, {});
    b.at(x).type = tflite::TensorType::RESOURCE;
    tflite::VarHandleOptionsT named;
    named.shared_name = "counter";
    b.op(tflite::BuiltinOperator::VAR_HANDLE, {}, {x}).builtin_options.Set(named);
    return x;
  };
  const auto read = [&](std::int32_t x, const char* name) {
    const auto value = b.tensor(name, {1, 4});
    b.op(tflite::BuiltinOperator::READ_VARIABLE, {x}, {value});
    return value;
  };
  const auto first = read(handle("h1"), "v1");
  const auto second = handle("h2");
  b.op(tflite::BuiltinOperator::ASSIGN_VARIABLE, {second, first}, {});
  b.output(b.add(first, read(second, "v2"), "y"));
  const Model model = b.build();
  testing::expect_error(ErrorCode::kUnsupported,
                        [&] { (void)extract_segment(model, testing::operators(0, 0)); },
                        {"resource 'h1'", "READ_VARIABLE #1"});
  testing::expect_error(ErrorCode::kUnsupported,
                        [&] { (void)extract_segment(model, testing::operators(0, 1)); },
                        {"resource variable 'counter'", "VAR_HANDLE #2"});
  EXPECT_NO_THROW((void)extract_segment(model, testing::operators(0, 4)));
}

TEST(SameOperation, NanOptionEqualsItself) {
  ModelBuilder b;
  b.output(b.relu(b.input("x", {1, 4}), "y"));
  const auto with_beta = [&](float beta) {
    tflite::SoftmaxOptionsT options;
    options.beta = beta;
    b.graph().operators[0]->builtin_options.Set(options);
    return b.build();
  };
  const Model nan = with_beta(std::numeric_limits<float>::quiet_NaN());
  const Model same = with_beta(std::numeric_limits<float>::quiet_NaN());
  const Model other = with_beta(2);
  EXPECT_TRUE(same_operation(nan, OperatorId{0}, same, OperatorId{0}));
  EXPECT_FALSE(same_operation(nan, OperatorId{0}, other, OperatorId{0}));
}

TEST(ExposeTensors, UnreadInputIsKept) {
  ModelBuilder b;
  const auto x = b.input("x", {1, 4});
  b.input("unread", {1, 4});
  b.output(b.relu(x, "y"));
  const Model model = b.build();
  const Model exposed =
      parse_model(expose_tensors(model, testing::all_tensors(model)).to_bytes(), "exposed");
  ASSERT_EQ(exposed.inputs().size(), 2U);
  EXPECT_EQ(exposed.unique_name(exposed.inputs()[1]), "unread");
}

}  // namespace
}  // namespace segue
