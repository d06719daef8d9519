// Tests folders of segment files without a plan, which are found by name and compared with each
// other.
#include <gtest/gtest.h>

#include "environment.h"
#include "expect.h"
#include "model_builder.h"
#include "segue/file.h"
#include "segue/pipeline.h"
#include "segue/verify.h"
#include "split_model.h"
#include "stand_in.h"

namespace segue {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::ModelBuilder;
using testing::operators;
using testing::ScratchFolder;
using testing::skipping;
using testing::split;
using testing::TensorIndex;

// Makes a segment of one operator that reads and writes tensors with these names.
ModelBuilder segment(const std::vector<std::string>& reads, const std::vector<std::string>& gives,
                     bool is_compiled = false) {
  ModelBuilder b;
  std::vector<TensorIndex> inputs;
  for (const std::string& name : reads) inputs.push_back(b.input(name, {1, 8}));
  std::vector<TensorIndex> outputs;
  for (const std::string& name : gives) outputs.push_back(b.tensor(name, {1, 8}));
  b.op(tflite::BuiltinOperator::CUSTOM, inputs, outputs);
  b.raw().operator_codes[0]->custom_code = is_compiled ? "edgetpu-custom-op" : "other";
  for (const TensorIndex output : outputs) b.output(output);
  return b;
}

void write(const fs::path& folder, const std::string& name, const ModelBuilder& model) {
  testing::write_bytes(folder / name, model.bytes());
}

// Writes m_segment_0_of_2, which reads x and writes a, and the given m_segment_1_of_2.
void write_two(const fs::path& folder, const ModelBuilder& second) {
  write(folder, "m_segment_0_of_2.tflite", segment({"x"}, {"a"}));
  write(folder, "m_segment_1_of_2.tflite", second);
}

void expect_refused(const ModelBuilder& second, std::initializer_list<std::string> parts) {
  const ScratchFolder scratch;
  write_two(scratch.path(), second);
  expect_error(
      ErrorCode::kInvalidArgument, [&] { (void)read_split(scratch.path()); }, parts);
}

TEST(SegmentSets, CompiledFilesAloneAreRead) {
  const ScratchFolder scratch;
  write(scratch.path(), "m_segment_0_of_2_edgetpu.tflite", segment({"x"}, {"a"}, true));
  write(scratch.path(), "m_segment_1_of_2_edgetpu.tflite", segment({"a"}, {"y"}, true));
  for (const SegmentFiles files : {SegmentFiles::kCompiled, SegmentFiles::kAny}) {
    const Split found = read_split(scratch.path(), files);
    ASSERT_EQ(found.files.size(), 2U);
    EXPECT_EQ(found.files[1].filename(), "m_segment_1_of_2_edgetpu.tflite");
    EXPECT_FALSE(found.plan);
  }
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)read_split(scratch.path()); },
               {"m_segment_I_of_2_edgetpu.tflite", "--backend edgetpu", "m_segment_I_of_2.tflite"});
}

TEST(SegmentSets, CompleteCutFilesArePreferred) {
  const ScratchFolder scratch;
  write_two(scratch.path(), segment({"a"}, {"y"}));
  for (const int i : {0, 1}) {
    write(scratch.path(), "m_segment_" + std::to_string(i) + "_of_2_edgetpu.tflite",
          segment({i == 0 ? "x" : "a"}, {i == 0 ? "a" : "y"}, true));
  }
  const auto first = [&](SegmentFiles files) {
    return find_split(scratch.path(), files).files.at(0).filename().string();
  };
  EXPECT_EQ(first(SegmentFiles::kAny), "m_segment_0_of_2.tflite");
  EXPECT_EQ(first(SegmentFiles::kCompiled), "m_segment_0_of_2_edgetpu.tflite");
  fs::remove(scratch.path() / "m_segment_1_of_2.tflite");
  EXPECT_EQ(first(SegmentFiles::kAny), "m_segment_0_of_2_edgetpu.tflite");
}

TEST(SegmentSets, MissingFilesAreNamedAndCounted) {
  const ScratchFolder scratch;
  for (const int i : {0, 3}) {
    write(scratch.path(), "m_segment_" + std::to_string(i) + "_of_6_edgetpu.tflite",
          segment({"x"}, {"y"}, true));
  }
  expect_error(ErrorCode::kIo, [&] { (void)find_split(scratch.path(), SegmentFiles::kCompiled); },
               {"m_segment_1_of_6_edgetpu.tflite", "m_segment_2_of_6", "m_segment_4_of_6",
                "and 1 more: file not found", "only 2 of 6 segments exist"});
}

TEST(SegmentSets, HugeCountIsRefusedQuickly) {
  const ScratchFolder scratch;
  write_file(scratch.path() / "m_segment_0_of_18446744073709551615.tflite", "x");
  expect_error(ErrorCode::kIo, [&] { (void)find_split(scratch.path()); },
               {"m_segment_1_of_18446744073709551615.tflite"});
}

TEST(SegmentSets, OtherFileNamesAreIgnored) {
  const ScratchFolder scratch;
  for (const char* name :
       {"m_segment_00_of_1.tflite", "m_segment_1_of_1.tflite", "m_segment__of_1.tflite",
        "m_segment_-1_of_2.tflite", "m_segment_0_of_1.log", "m_segment_0_of_1_edgetpu.log",
        "m_segment_0_of_1_other.tflite", "m_segment_0_of_1x.tflite", "m_edgetpu.tflite"})
    write_file(scratch.path() / name, "x");
  expect_error(ErrorCode::kIo, [&] { (void)find_split(scratch.path()); }, {"no segment files"});
}

TEST(SegmentSets, SeveralSetsAreNamedWithExample) {
  const ScratchFolder scratch;
  write_two(scratch.path(), segment({"a"}, {"y"}));
  const fs::path other = scratch.path() / "n_segment_0_of_1_edgetpu.tflite";
  testing::write_bytes(other, segment({"p"}, {"q"}, true).bytes());
  const fs::path first = scratch.path() / "m_segment_0_of_2.tflite";
  expect_error(ErrorCode::kIo, [&] { (void)find_split(scratch.path()); },
               {"2 different splits", "m_segment_I_of_2.tflite", "n_segment_I_of_1_edgetpu.tflite",
                "for example " + first.string()});
  EXPECT_EQ(find_split(first).files.size(), 2U);
  EXPECT_EQ(find_split(other, SegmentFiles::kCompiled).files, std::vector{other});
  EXPECT_EQ(find_split(other, SegmentFiles::kAny).files, std::vector{other});
}

TEST(SegmentSets, PlanAppliesToItsOwnSet) {
  const ScratchFolder scratch;
  split(skipping().build(), {{operators(0, 0), operators(1, 3)}}, scratch.path());
  const fs::path other = scratch.path() / "n_segment_0_of_1.tflite";
  testing::write_bytes(other, segment({"p"}, {"q"}).bytes());
  EXPECT_EQ(read_split(scratch.path()).files.size(), 2U) << "the plan says which";
  const Split named = read_split(other);
  EXPECT_EQ(named.files, std::vector{other});
  EXPECT_FALSE(named.plan);
  EXPECT_TRUE(read_split(scratch.path() / "model_segment_1_of_2.tflite").plan);
}

TEST(SegmentSets, FileThatIsNoSegmentIsRefused) {
  const ScratchFolder scratch;
  for (const auto& [name, reason] : {std::pair("m.tflite", "split the model first"),
                                     std::pair("m.txt", "is a file, not a folder")}) {
    write_file(scratch.path() / name, "x");
    expect_error(ErrorCode::kIo, [&] { (void)find_split(scratch.path() / name); }, {reason});
  }
}

TEST(SegmentBorders, SkipTensorsAreAccepted) {
  const ScratchFolder scratch;
  split(skipping().build(), {{operators(0, 0), operators(1, 1), operators(2, 3)}}, scratch.path());
  fs::remove(scratch.path() / "plan.json");
  EXPECT_EQ(read_split(scratch.path()).segments.size(), 3U);
}

TEST(SegmentBorders, SwappedSegmentsAreRefused) {
  const ScratchFolder scratch;
  write(scratch.path(), "m_segment_0_of_3.tflite", segment({"x"}, {"a"}));
  write(scratch.path(), "m_segment_1_of_3.tflite", segment({"b"}, {"y"}));
  write(scratch.path(), "m_segment_2_of_3.tflite", segment({"a"}, {"b"}));
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)read_split(scratch.path()); },
               {"m_segment_1_of_3.tflite: reads 'b'", "only m_segment_2_of_3.tflite writes",
                "not in the order"});
}

TEST(SegmentBorders, SwappedFirstAndLastAreRefused) {
  const ScratchFolder scratch;
  write(scratch.path(), "m_segment_0_of_2.tflite", segment({"a"}, {"y"}));
  write(scratch.path(), "m_segment_1_of_2.tflite", segment({"x"}, {"a"}));
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)read_split(scratch.path()); },
               {"m_segment_1_of_2.tflite: reads 'x'"});
}

TEST(SegmentBorders, UnwrittenInputIsRefused) {
  expect_refused(segment({"b"}, {"y"}),
                 {"m_segment_1_of_2.tflite: reads 'b'", "no earlier segment writes",
                  "input of m_segment_0_of_2.tflite", "different splits"});
}

TEST(SegmentBorders, ModelInputMayBeReadLater) {
  const ScratchFolder scratch;
  write_two(scratch.path(), segment({"a", "x"}, {"y"}));
  EXPECT_EQ(read_split(scratch.path()).segments.size(), 2U);
}

TEST(SegmentBorders, LateModelInputNeedsPlan) {
  ModelBuilder b;
  const auto first = b.relu(b.input("x", {1, 8}), "a");
  b.output(b.add(first, b.input("late", {1, 8}), "y"));
  const ScratchFolder scratch;
  split(b.build(), {{operators(0, 0), operators(1, 1)}}, scratch.path());
  EXPECT_EQ(read_split(scratch.path()).segments.size(), 2U);
  fs::remove(scratch.path() / "plan.json");
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)read_split(scratch.path()); },
               {"reads 'late'", "needs its plan.json"});
}

TEST(SegmentBorders, TypeShapeOrScaleMismatchIsRefused) {
  ModelBuilder type = segment({"a"}, {"y"});
  type.at(0).type = tflite::TensorType::UINT8;
  expect_refused(type, {"m_segment_1_of_2.tflite: reads 'a'", "m_segment_0_of_2.tflite writes",
                        "INT8, here UINT8"});
  ModelBuilder shape = segment({"a"}, {"y"});
  shape.at(0).shape = {1, 2, 4};
  expect_refused(shape, {"[1, 8], here [1, 2, 4]"});
  ModelBuilder scale = segment({"a"}, {"y"});
  scale.at(0).quantization->scale = {0.5F};
  expect_refused(scale, {"scale 0.0625 and zero point 0, here scale 0.5 and zero point 0"});
  ModelBuilder zero_point = segment({"a"}, {"y"});
  zero_point.at(0).quantization->zero_point = {3};
  expect_refused(zero_point, {"zero point 0, here scale 0.0625 and zero point 3"});
}

TEST(SegmentBorders, TensorWrittenTwiceIsRefused) {
  expect_refused(segment({"a"}, {"a2", "x"}),
                 {"m_segment_1_of_2.tflite: writes 'x', which m_segment_0_of_2.tflite reads"});
  const ScratchFolder scratch;
  write(scratch.path(), "m_segment_0_of_3.tflite", segment({"x"}, {"a"}));
  write(scratch.path(), "m_segment_1_of_3.tflite", segment({"a"}, {"b"}));
  write(scratch.path(), "m_segment_2_of_3.tflite", segment({"b"}, {"a"}));
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)read_split(scratch.path()); },
               {"m_segment_2_of_3.tflite: writes 'a', which m_segment_0_of_3.tflite also writes"});
}

// As in files of Google's compiler, one operator replaces several, and the outputs are in another
// order.
TEST(SegmentBorders, CompiledStagesMatchPlan) {
  const ScratchFolder scratch;
  split(skipping().build(), {{operators(0, 1), operators(2, 3)}}, scratch.path());
  for (const char* name : {"model_segment_0_of_2.tflite", "model_segment_1_of_2.tflite"})
    fs::remove(scratch.path() / name);
  const auto write_compiled = [&](const std::vector<std::string>& outputs) {
    ModelBuilder first;
    const TensorIndex x = first.input("x", {1, 4, 4, 4});
    std::vector<TensorIndex> gives;
    for (const std::string& name : outputs) gives.push_back(first.tensor(name, {1, 4, 4, 4}));
    first.op(tflite::BuiltinOperator::CUSTOM, {x}, gives);
    first.raw().operator_codes[0]->custom_code = "edgetpu-custom-op";
    for (const TensorIndex output : gives) first.output(output);
    write(scratch.path(), "model_segment_0_of_2_edgetpu.tflite", first);
    ModelBuilder second;
    std::vector<TensorIndex> reads;
    for (const std::string& name : outputs) reads.push_back(second.input(name, {1, 4, 4, 4}));
    const TensorIndex y = second.tensor("y", {1, 4, 4, 4});
    second.op(tflite::BuiltinOperator::CUSTOM, reads, {y});
    second.raw().operator_codes[0]->custom_code = "edgetpu-custom-op";
    second.output(y);
    write(scratch.path(), "model_segment_1_of_2_edgetpu.tflite", second);
  };
  for (const auto& outputs : {std::vector<std::string>{"a", "b"}, {"b", "a"}}) {
    write_compiled(outputs);
    EXPECT_TRUE(read_split(scratch.path(), SegmentFiles::kCompiled).plan);
  }
  write_compiled({"a", "c"});
  expect_error(ErrorCode::kInvalidArgument,
               [&] { (void)read_split(scratch.path(), SegmentFiles::kCompiled); },
               {"model_segment_0_of_2_edgetpu.tflite: does not match stage 0"});
}

// In four segments of Google's compiler, a tensor skips two segments.
TEST(SegmentBorders, GoogleSegmentsRunWithoutPlan) {
  const auto first = testing::shared("models/ssd_mobilenet_v1_segment_0_of_4_edgetpu.tflite");
  SKIP_WITHOUT(first);
  testing::StandIn library;
  library.attach(4);
  Split found = read_split(first.parent_path(), SegmentFiles::kCompiled);
  ASSERT_EQ(found.segments.size(), 4U);
  Pipeline pipeline(pipeline_layout(std::move(found.segments), {}), testing::stand_in_devices(),
                    {});
  ASSERT_EQ(pipeline.inputs().size(), 1U);
  EXPECT_EQ(pipeline.inputs()[0].name, "normalized_input_image_tensor");
  ASSERT_EQ(pipeline.outputs().size(), 4U);
  EXPECT_EQ(pipeline.outputs()[0].name, "TFLite_Detection_PostProcess");
  EXPECT_EQ(pipeline.push({TensorBytes(pipeline.inputs()[0].bytes)}), Flow::kOk);
  PipelineResult result;
  ASSERT_EQ(pipeline.pop(result), Flow::kOk);
  EXPECT_EQ(result.outputs[0].size(), 20U * 4 * sizeof(float));
}

}  // namespace
}  // namespace segue
