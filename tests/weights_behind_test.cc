// Tests weights that are stored after the flatbuffer, at an offset.
#include <gtest/gtest.h>

#include <algorithm>

#include "environment.h"
#include "expect.h"
#include "model_builder.h"
#include "segue/verify.h"
#include "split_model.h"

namespace segue {
namespace {

namespace fs = std::filesystem;
using testing::cpu_backend;
using testing::expect_error;
using testing::ModelBuilder;
using testing::operators;
using testing::ScratchFolder;
using testing::skipping;
using testing::TensorIndex;

tflite::Buffer* buffer_of(std::vector<std::byte>& file, std::uint32_t number) {
  return const_cast<tflite::Buffer*>(tflite::GetModel(file.data())->buffers()->Get(number));
}

// Overwrites a field of a table in the file.
void set_field(const void* table, flatbuffers::voffset_t field, std::uint64_t value) {
  auto* address =
      const_cast<std::uint8_t*>(static_cast<const flatbuffers::Table*>(table)->GetAddressOf(field));
  ASSERT_NE(address, nullptr);
  flatbuffers::WriteScalar(address, value);
}

TEST(WeightsBehind, TensorsAndSegmentsEqualInlineOnes) {
  const Model inside = skipping().build();
  const Model behind = parse_model(skipping().bytes_with_weights_behind(), "model");
  for (std::size_t i = 0; i < inside.tensors().size(); ++i)
    EXPECT_TRUE(std::ranges::equal(inside.tensors()[i].data, behind.tensors()[i].data)) << i;
  // Both forms of the model give the same segment files.
  for (const auto& set : {operators(0, 3), operators(1, 2)})
    EXPECT_EQ(extract_segment(behind, set).to_bytes(), extract_segment(inside, set).to_bytes());
}

TEST(WeightsBehind, SegmentsViewWeightsWithoutCopy) {
  const Model model = parse_model(skipping().bytes_with_weights_behind(), "model");
  const ModelImage image = extract_segment(model, operators(0, 3));
  std::uint64_t viewed = 0;
  for (const auto& piece : image.pieces()) {
    const bool is_view = piece.data() >= model.bytes().data() &&
                         piece.data() < model.bytes().data() + model.bytes().size();
    viewed += is_view ? piece.size() : 0;
  }
  std::uint64_t weights = 0;
  for (const Tensor& tensor : model.tensors()) weights += tensor.data.size();
  EXPECT_EQ(viewed, weights);
}

TEST(WeightsBehind, SplitVerifiesAndFindsChange) {
  const ScratchFolder scratch;
  const Model model = parse_model(skipping().bytes_with_weights_behind(), "model");
  testing::split(model, {{operators(0, 1), operators(2, 3)}}, scratch.path());
  const auto files = find_segments(scratch.path());
  EXPECT_EQ(verify_segments(model, files, cpu_backend(), {}).mismatch, "");
  ModelBuilder other = skipping();
  other.raw().buffers[1]->data[0] ^= 1U;
  const Model changed = parse_model(other.bytes_with_weights_behind(), "model");
  EXPECT_THAT(verify_segments(changed, files, cpu_backend(), {}).mismatch,
              ::testing::HasSubstr("constant 'a/kernel' differs"));
}

TEST(WeightsBehind, SharedBytesAreWrittenOnce) {
  ModelBuilder b;
  const TensorIndex x = b.input("x", {1, 64});
  const TensorIndex c = b.constant("c", tflite::TensorType::INT8, {1, 64});
  const TensorIndex d = b.constant("d", tflite::TensorType::INT8, {1, 64});
  b.output(b.add(b.add(x, c, "y"), d, "z"));
  auto file = b.bytes_with_weights_behind();
  const std::uint64_t shared = buffer_of(file, 1)->offset();
  set_field(buffer_of(file, 2), tflite::Buffer::VT_OFFSET, shared);
  const Model model = parse_model(file, "model");
  const Model copy = parse_model(extract_segment(model, operators(0, 1)).to_bytes(), "copy");
  EXPECT_EQ(copy.tensor(*copy.find_tensor("c")).buffer, copy.tensor(*copy.find_tensor("d")).buffer);
  EXPECT_TRUE(std::ranges::equal(copy.tensor(*copy.find_tensor("d")).data,
                                 model.tensor(*model.find_tensor("c")).data));
}

TEST(WeightsBehind, CustomOptionsAreRead) {
  ModelBuilder b;
  const TensorIndex y = b.tensor("y", {1, 4});
  b.op(tflite::BuiltinOperator::CUSTOM, {b.input("x", {1, 4})}, {y}).custom_options = {1, 2, 3};
  b.raw().operator_codes[0]->custom_code = "Mine";
  b.output(y);
  const Model model = parse_model(b.bytes_with_weights_behind(), "model");
  EXPECT_TRUE(std::ranges::equal(model.op(OperatorId{0}).custom_data,
                                 b.build().op(OperatorId{0}).custom_data));
  EXPECT_EQ(model.op(OperatorId{0}).custom_data.size(), 3U);
  const Model copy = parse_model(extract_segment(model, operators(0, 0)).to_bytes(), "copy");
  EXPECT_TRUE(same_operation(model, OperatorId{0}, copy, OperatorId{0}));
}

TEST(WeightsBehind, OutOfRangeOffsetsAreRefused) {
  constexpr std::uint64_t kHuge = ~std::uint64_t{0};
  const auto expect = [](std::uint64_t offset, std::uint64_t size, const char* message) {
    auto file = skipping().bytes_with_weights_behind();
    set_field(buffer_of(file, 1), tflite::Buffer::VT_OFFSET, offset);
    set_field(buffer_of(file, 1), tflite::Buffer::VT_SIZE, size);
    expect_error(ErrorCode::kInvalidModel, [&] { (void)parse_model(file, "hostile"); }, {message});
  };
  const std::uint64_t end = skipping().bytes_with_weights_behind().size();
  expect(end - 15, 16, "are beyond the end of the file");
  expect(end + 16, 16, "are beyond the end of the file");
  expect(kHuge, 16, "are beyond the end of the file");
  expect(16, kHuge, "are beyond the end of the file");
  expect(kHuge - 7, 16, "are beyond the end of the file");
  expect(16, 16, "byte 16 are inside the flatbuffer");
  expect(2, 16, "byte 2 are inside the flatbuffer");
}

// The file has a hole: the weights of the last buffer are 3 GB after the others.
TEST(WeightsBehind, FileOver2GbIsRead) {
  constexpr std::uint64_t kFar = 3'000'000'000;
  auto file = skipping().bytes_with_weights_behind();
  const auto last = tflite::GetModel(file.data())->buffers()->size() - 1;
  const std::uint64_t size = buffer_of(file, last)->size();
  set_field(buffer_of(file, last), tflite::Buffer::VT_OFFSET, kFar);
  const ScratchFolder scratch;
  const fs::path path = scratch.path() / "far.tflite";
  testing::write_bytes(path, file);
  fs::resize_file(path, kFar + size);
  const Model model = read_model(path);
  EXPECT_EQ(model.bytes().size(), kFar + size);
  EXPECT_LT(extract_segment(model, operators(0, 3)).size_bytes(), 10'000U);
}

TEST(WeightsBehind, SegmentOver2GbIsRefused) {
  constexpr std::int32_t kWide = 1 << 15;
  ModelBuilder b;
  TensorIndex x = b.input("x", {1, 4});
  for (const char* name : {"a", "b", "c"}) {
    const TensorIndex weights = b.constant(std::string(name) + "/w", tflite::TensorType::INT8, {1});
    b.at(weights).shape = {kWide, kWide};
    const TensorIndex y = b.tensor(name, {1, kWide});
    b.op(tflite::BuiltinOperator::FULLY_CONNECTED, {x, weights, -1}, {y});
    x = y;
  }
  b.output(x);
  // Each buffer has its own hole of 1 GB, because three buffers over the same hole would count
  // once.
  auto file = b.bytes_with_weights_behind();
  constexpr std::uint64_t kBytes = std::uint64_t{kWide} * kWide;
  for (std::uint32_t i = 1; i <= 3; ++i)
    set_field(buffer_of(file, i), tflite::Buffer::VT_SIZE, kBytes);
  for (std::uint64_t i = 1; i <= 3; ++i)
    set_field(buffer_of(file, static_cast<std::uint32_t>(i)), tflite::Buffer::VT_OFFSET,
              file.size() + (i - 1) * kBytes);
  const ScratchFolder scratch;
  testing::write_bytes(scratch.path() / "m.tflite", file);
  fs::resize_file(scratch.path() / "m.tflite", file.size() + 3 * kBytes);
  const Model model = read_model(scratch.path() / "m.tflite");
  EXPECT_GT(extract_segment(model, operators(0, 0)).size_bytes(), kBytes);
  expect_error(ErrorCode::kUnsupported, [&] { (void)extract_segment(model, operators(0, 1)); },
               {"2 GB", "more segments"});
}

// The converter records the location of buffers in metadata, which would be wrong in a segment.
TEST(WeightsBehind, BufferLocationMetadataIsDropped) {
  ModelBuilder b = skipping();
  b.raw().metadata.push_back(std::make_unique<tflite::MetadataT>());
  b.raw().metadata[0]->name = "buffer_location";
  const Model model = parse_model(b.bytes_with_weights_behind(), "model");
  const auto bytes = extract_segment(model, operators(0, 3)).to_bytes();
  EXPECT_EQ(tflite::GetModel(bytes.data())->metadata()->size(), 0U);
}

}  // namespace
}  // namespace segue
