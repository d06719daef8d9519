// Tests read_model and parse_model: views, checks, names.
#include "segue/model.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <cstring>
#include <limits>

#include "environment.h"
#include "expect.h"
#include "model_builder.h"

namespace segue {
namespace {

using testing::expect_error;
using testing::ModelBuilder;
using testing::TensorIndex;

// x -> conv -> y
ModelBuilder one_conv() {
  ModelBuilder b;
  b.output(b.conv(b.input("x", {1, 4, 4, 3}), "y", 8));
  return b;
}

Model parse(const ModelBuilder& builder) { return builder.build("m"); }

std::vector<std::byte> as_bytes(std::string_view text) {
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

TEST(Model, ViewsMatchFileContents) {
  const Model model = parse(one_conv());
  ASSERT_EQ(model.operators().size(), 1U);
  const Operator& op = model.op(OperatorId{0});
  EXPECT_EQ(op.code, OpCode::kConv2D);
  EXPECT_EQ(op.name, "CONV_2D");
  EXPECT_EQ(op.version, 3);
  const Tensor& weights = model.tensor(TensorId{1});
  EXPECT_EQ(weights.name, "y/kernel");
  EXPECT_EQ(weights.data.size(), 8U * 3U);
  EXPECT_EQ(weights.quantization.scales.size(), 8U);
  EXPECT_TRUE(weights.is_constant());
  EXPECT_EQ(model.tensor(model.outputs()[0]).bytes, 4U * 4U * 8U);
  EXPECT_EQ(model.producer(model.outputs()[0]), OperatorId{0});
  EXPECT_EQ(model.producer(model.inputs()[0]), std::nullopt);
  EXPECT_EQ(model.describe(OperatorId{0}), "CONV_2D #0 'y'");
  EXPECT_EQ(model.description(), "built by a test");
}

TEST(Model, NameIsFileNameWithoutSuffix) {
  const testing::ScratchFolder scratch;
  testing::write_bytes(scratch.path() / "net.v2.tflite", one_conv().bytes());
  EXPECT_EQ(read_model(scratch.path() / "net.v2.tflite").name(), "net.v2");
}

TEST(Model, DuplicateTensorNamesBecomeUnique) {
  ModelBuilder b;
  const TensorIndex x = b.input("same", {1, 4});
  const TensorIndex y = b.relu(x, "same");
  b.output(b.relu(y, ""));
  const Model model = parse(b);
  EXPECT_EQ(model.unique_name(TensorId{0}), "same_t0");
  EXPECT_EQ(model.unique_name(TensorId{1}), "same_t1");
  EXPECT_EQ(model.unique_name(TensorId{2}), "_t2");
  EXPECT_EQ(model.find_tensor("same_t1"), TensorId{1});
  EXPECT_EQ(model.find_tensor("same"), std::nullopt);
}

TEST(Model, GeneratedNamesAvoidCollisions) {
  ModelBuilder b;
  TensorIndex x = b.input("a", {1, 4});
  x = b.relu(x, "a");
  b.output(b.relu(x, "a_t0"));
  const Model model = parse(b);
  EXPECT_EQ(model.unique_name(TensorId{0}), "a_t0_");
  EXPECT_EQ(model.unique_name(TensorId{2}), "a_t0");
}

TEST(Model, OneByteOperatorCodesAreRead) {
  ModelBuilder b = one_conv();
  b.raw().operator_codes[0]->builtin_code = tflite::BuiltinOperator::ADD;  // absent in old files
  EXPECT_EQ(parse(b).op(OperatorId{0}).code, OpCode::kConv2D);
}

TEST(Model, BufferZeroMeansNoData) {
  ModelBuilder b = one_conv();
  b.raw().buffers[0]->data = {1, 2, 3};
  EXPECT_FALSE(parse(b).tensor(TensorId{0}).is_constant());
}

TEST(ReadModel, MissingFileAndFolderAreIoErrors) {
  const testing::ScratchFolder scratch;
  expect_error(ErrorCode::kIo, [&] { (void)read_model(scratch.path() / "none.tflite"); },
               {"none.tflite"});
  expect_error(ErrorCode::kIo, [&] { (void)read_model(scratch.path()); }, {"a folder"});
}

TEST(ReadModel, PipeIsRefusedWithoutBlocking) {
  const testing::ScratchFolder scratch;
  ASSERT_EQ(::mkfifo((scratch.path() / "pipe").c_str(), 0600), 0);
  expect_error(ErrorCode::kIo, [&] { (void)read_model(scratch.path() / "pipe"); }, {"not a file"});
}

TEST(ReadModel, EmptyAndForeignFilesAreNamed) {
  const testing::ScratchFolder scratch;
  testing::write_bytes(scratch.path() / "empty.tflite", {});
  expect_error(ErrorCode::kInvalidModel, [&] { (void)read_model(scratch.path() / "empty.tflite"); },
               {"empty.tflite", "empty"});
  expect_error(
      ErrorCode::kInvalidModel,
      [] { (void)parse_model(as_bytes("This is a text file, not a model at all."), "text"); },
      {"not a TensorFlow Lite model"});
}

TEST(ReadModel, UnknownSchemaVersionIsRefused) {
  ModelBuilder b = one_conv();
  b.raw().version = 4;
  expect_error(ErrorCode::kUnsupported, [&] { (void)parse(b); }, {"version 4"});
}

TEST(ReadModel, NewerOperatorIsNamed) {
  ModelBuilder b = one_conv();
  b.raw().operator_codes[0]->builtin_code = static_cast<tflite::BuiltinOperator>(9999);
  expect_error(ErrorCode::kUnsupported, [&] { (void)parse(b); }, {"9999", "update segue"});
}

// The table has one field more than our schema, as in a newer format.
TEST(ReadModel, UnknownFieldIsNamed) {
  flatbuffers::FlatBufferBuilder builder;
  const auto subgraphs = builder.CreateVector(std::vector<flatbuffers::Offset<tflite::SubGraph>>{});
  const auto start = builder.StartTable();
  builder.AddElement<std::uint32_t>(tflite::Model::VT_VERSION, 3, 0);
  builder.AddOffset(tflite::Model::VT_SUBGRAPHS, subgraphs);
  builder.AddElement<std::uint32_t>(tflite::Model::VT_EXTERNAL_BUFFERS + 2, 7, 0);
  builder.Finish(flatbuffers::Offset<tflite::Model>(builder.EndTable(start)), "TFL3");
  std::vector<std::byte> bytes(builder.GetSize());
  std::memcpy(bytes.data(), builder.GetBufferPointer(), bytes.size());
  expect_error(ErrorCode::kUnsupported, [&] { (void)parse_model(bytes, "newer"); },
               {"Model has the unknown field #10"});
}

struct Damage {
  const char* name;
  void (*apply)(ModelBuilder&);
  const char* message;
};

class ReadModelDamage : public ::testing::TestWithParam<Damage> {};

TEST_P(ReadModelDamage, DamagedFieldIsNamed) {
  ModelBuilder b = one_conv();
  GetParam().apply(b);
  expect_error(ErrorCode::kInvalidModel, [&] { (void)parse(b); }, {GetParam().message});
}

INSTANTIATE_TEST_SUITE_P(
    All, ReadModelDamage,
    ::testing::Values(
        Damage{"NoOperators", [](ModelBuilder& b) { b.graph().operators.clear(); }, "no operators"},
        Damage{"NoOutputs", [](ModelBuilder& b) { b.graph().outputs.clear(); }, "no outputs"},
        Damage{"TensorOutOfRange", [](ModelBuilder& b) { b.graph().operators[0]->inputs[0] = 99; },
               "uses tensor 99, but the subgraph has 4"},
        Damage{"NegativeTensor", [](ModelBuilder& b) { b.graph().operators[0]->inputs[0] = -7; },
               "uses tensor -7"},
        Damage{"NegativeOutput", [](ModelBuilder& b) { b.graph().operators[0]->outputs[0] = -1; },
               "uses tensor -1"},
        Damage{"CodeOutOfRange", [](ModelBuilder& b) { b.graph().operators[0]->opcode_index = 5; },
               "uses code 5, but the file has 1"},
        Damage{"BufferOutOfRange", [](ModelBuilder& b) { b.at(1).buffer = 77; },
               "uses buffer 77, but the file has"},
        Damage{"ShortBuffer", [](ModelBuilder& b) { b.raw().buffers[1]->data.pop_back(); },
               "needs 24 bytes, but its buffer has 23"},
        Damage{"NegativeExtent", [](ModelBuilder& b) { b.at(0).shape[1] = -2; }, "extent -2"},
        Damage{"HugeShape",
               [](ModelBuilder& b) {
                 b.at(0).shape = {1 << 30, 1 << 30, 1 << 30, 1 << 30};
               },
               "larger than the address space"},
        Damage{"ScalesWithoutDimension",
               [](ModelBuilder& b) { b.at(1).quantization->quantized_dimension = 9; },
               "8 scales along dimension 9"},
        Damage{"ZeroPointsMissing",
               [](ModelBuilder& b) { b.at(1).quantization->zero_point.pop_back(); },
               "8 scales and 7 zero points"},
        Damage{"ReadBeforeWritten", [](ModelBuilder& b) { b.graph().inputs.clear(); },
               "before it is written"},
        Damage{"WrittenTwice",
               [](ModelBuilder& b) {
                 b.graph().operators.push_back(
                     std::make_unique<tflite::OperatorT>(*b.graph().operators[0]));
               },
               "a second time"},
        Damage{"OutputNeverWritten",
               [](ModelBuilder& b) {
                 b.output(b.tensor("lost", {1, 2}));
               },
               "no operator writes"},
        Damage{"SignatureOutOfRange",
               [](ModelBuilder& b) {
                 auto signature = std::make_unique<tflite::SignatureDefT>();
                 signature->inputs.push_back(std::make_unique<tflite::TensorMapT>());
                 signature->inputs[0]->tensor_index =
                     static_cast<std::uint32_t>(b.graph().tensors.size());
                 b.raw().signature_defs.push_back(std::move(signature));
               },
               "a signature uses tensor"},
        Damage{"MetadataOutOfRange",
               [](ModelBuilder& b) {
                 b.raw().metadata.push_back(std::make_unique<tflite::MetadataT>());
                 b.raw().metadata[0]->buffer = 50;
               },
               "metadata uses buffer 50"}),
    [](const auto& row) { return row.param.name; });

// y reads z, which is computed later from y. Both are empty, like strings of unknown length.
TEST(ReadModel, CycleThroughEmptyTensorsIsRefused) {
  ModelBuilder b;
  const TensorIndex x = b.input("x", {1, 4});
  const TensorIndex z = b.tensor("z", {0});
  const TensorIndex y = b.add(x, z, "y");
  b.op(tflite::BuiltinOperator::RELU, {y}, {z});
  b.output(y);
  expect_error(ErrorCode::kInvalidModel, [&] { (void)parse(b); }, {"'z' before it is written"});
}

// Builds a model of these tables, which may share lists. Tensor #1 is its input and output.
std::vector<std::byte> finished(
    flatbuffers::FlatBufferBuilder& builder,
    const std::vector<flatbuffers::Offset<tflite::Tensor>>& tensors,
    const std::vector<flatbuffers::Offset<tflite::Operator>>& operators) {
  const std::vector<std::int32_t> border{1};
  const std::vector subgraphs{
      tflite::CreateSubGraphDirect(builder, &tensors, &border, &border, &operators)};
  const std::vector codes{tflite::CreateOperatorCode(builder)};
  const std::vector buffers{tflite::CreateBuffer(builder)};
  tflite::FinishModelBuffer(
      builder, tflite::CreateModelDirect(builder, 3, &codes, &subgraphs, nullptr, &buffers));
  std::vector<std::byte> bytes(builder.GetSize());
  std::memcpy(bytes.data(), builder.GetBufferPointer(), bytes.size());
  return bytes;
}

TEST(ReadModel, SharedListsAreRefused) {
  flatbuffers::FlatBufferBuilder builder;
  const auto inputs = builder.CreateVector(std::vector<std::int32_t>(1000, 0));
  const auto outputs = builder.CreateVector(std::vector<std::int32_t>{1});
  const std::vector operators(100, tflite::CreateOperator(builder, 0, inputs, outputs));
  const std::vector<std::int32_t> shape{1};
  const std::vector tensors{tflite::CreateTensorDirect(builder, &shape),
                            tflite::CreateTensorDirect(builder, &shape)};
  const auto bytes = finished(builder, tensors, operators);
  expect_error(ErrorCode::kInvalidModel, [&] { (void)parse_model(bytes, "shared"); },
               {"more than twice the memory of the file", "inputs"});
}

// Ten thousand tensors share one shape of ten thousand extents. The file has some 100 KB, which
// would be 400 MB in memory.
TEST(ReadModel, SharedTableContentsAreRefused) {
  flatbuffers::FlatBufferBuilder builder;
  const auto shape = builder.CreateVector(std::vector<std::int32_t>(10'000, 1));
  const auto name = builder.CreateString("t");
  const std::vector tensors(
      10'000, tflite::CreateTensor(builder, shape, tflite::TensorType::INT8, 0, name));
  const std::vector operators{tflite::CreateOperatorDirect(builder)};
  const auto bytes = finished(builder, tensors, operators);
  expect_error(ErrorCode::kInvalidModel, [&] { (void)parse_model(bytes, "shared"); },
               {"more than twice the memory of the file", "shape"});
}

// The verifier requires only that a list's length is aligned.
TEST(ReadModel, MisalignedInt64ListIsRefused) {
  ModelBuilder b = one_conv();
  b.at(0).quantization->zero_point = {1};
  std::vector<std::byte> bytes = b.bytes();
  const auto* quantization =
      tflite::GetModel(bytes.data())->subgraphs()->Get(0)->tensors()->Get(0)->quantization();
  const auto& table = reinterpret_cast<const flatbuffers::Table&>(*quantization);
  const auto* field = reinterpret_cast<const std::byte*>(
      table.GetAddressOf(tflite::QuantizationParameters::VT_ZERO_POINT));
  // Four bytes later, the number itself is read as the length.
  std::byte* offset = bytes.data() + (field - bytes.data());
  flatbuffers::WriteScalar(offset, flatbuffers::ReadScalar<flatbuffers::uoffset_t>(offset) + 4);
  expect_error(ErrorCode::kInvalidModel, [&] { (void)parse_model(bytes, "crooked"); },
               {"tensors[0].quantization.zero_point", "aligned"});
}

TEST(ReadModel, EveryTruncationIsAnError) {
  const auto bytes = one_conv().bytes();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<std::byte> part(bytes.begin(),
                                      bytes.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_THROW((void)parse_model(part, "cut"), Error) << size;
  }
}

TEST(Sha256, HashMatchesPublishedTestVector) {
  // FIPS 180-2, appendix B.1
  EXPECT_EQ(sha256(as_bytes("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Model, ConstantOrVariableInputIsRefused) {
  ModelBuilder constant = one_conv();
  constant.graph().inputs.push_back(1);
  expect_error(ErrorCode::kUnsupported, [&] { (void)parse(constant); },
               {"'y/kernel' is a constant", "remove it"});
  ModelBuilder variable = one_conv();
  variable.at(0).is_variable = true;
  expect_error(ErrorCode::kUnsupported, [&] { (void)parse(variable); }, {"'x' is a variable"});
}

TEST(Model, NonFiniteScaleIsRefused) {
  for (const float scale :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    ModelBuilder b = one_conv();
    b.at(0).quantization->scale = {scale};
    expect_error(ErrorCode::kInvalidModel, [&] { (void)parse(b); }, {"'x'", "not a finite number"});
  }
}

TEST(Model, ExternalBufferGroupsAreRefused) {
  ModelBuilder b = one_conv();
  b.raw().external_buffer_groups.push_back(std::make_unique<tflite::ExternalBufferGroupT>());
  expect_error(ErrorCode::kUnsupported, [&] { (void)parse(b); }, {"one file"});
}

}  // namespace
}  // namespace segue
