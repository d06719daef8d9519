// Tests segment files: writing, finding and refusing them.
#include <gtest/gtest.h>

#include "environment.h"
#include "expect.h"
#include "model_builder.h"
#include "segue/file.h"
#include "segue/plan.h"
#include "segue/verify.h"
#include "split_model.h"

namespace segue {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::ModelBuilder;
using testing::operators;
using testing::plan_for;
using testing::ScratchFolder;
using testing::skipping;
using testing::split;

TEST(WriteSegments, ControlCharactersInNameAreRefused) {
  const ScratchFolder scratch;
  const Model model = skipping().build("a\nb");
  expect_error(ErrorCode::kInvalidArgument,
               [&] { write_segments(model, {{operators(0, 3)}}, "{}", scratch.path()); },
               {"rename"});
}

TEST(WriteSegments, CompiledModelIsRefused) {
  ModelBuilder b;
  const auto y = b.tensor("y", {1, 4});
  b.op(tflite::BuiltinOperator::CUSTOM, {b.input("x", {1, 4})}, {y});
  b.raw().operator_codes[0]->custom_code = "edgetpu-custom-op";
  b.output(y);
  const Model model = b.build();
  const ScratchFolder scratch;
  expect_error(ErrorCode::kUnsupported,
               [&] { write_segments(model, {{operators(0, 0)}}, "{}", scratch.path()); },
               {"already compiled"});
  EXPECT_TRUE(fs::is_empty(scratch.path()));
}

TEST(FindSegments, FolderWithoutOneSetIsRefused) {
  const ScratchFolder scratch;
  expect_error(ErrorCode::kIo, [&] { (void)find_segments(scratch.path() / "none"); },
               {"no such folder"});
  expect_error(ErrorCode::kIo, [&] { (void)find_segments(scratch.path()); }, {"no segment files"});
  write_file(scratch.path() / "a_segment_0_of_0.tflite", "x");
  expect_error(ErrorCode::kIo, [&] { (void)find_segments(scratch.path()); }, {"no segment files"});
  for (const char* name : {"a_segment_0_of_2.tflite", "a_segment_0_of_1.tflite"})
    write_file(scratch.path() / name, "x");
  expect_error(ErrorCode::kIo, [&] { (void)find_segments(scratch.path()); },
               {"2 different splits"});
}

TEST(FindSegments, MissingSegmentIsNamed) {
  const ScratchFolder scratch;
  const Model model = skipping().build();
  split(model, {{operators(0, 0), operators(1, 3)}}, scratch.path());
  fs::remove(find_segments(scratch.path()).at(1));
  expect_error(ErrorCode::kIo, [&] { (void)find_segments(scratch.path()); },
               {"model_segment_1_of_2"});
}

TEST(FindSegments, MissingPlanIsAccepted) {
  const ScratchFolder scratch;
  const Model model = skipping().build();
  split(model, {{operators(0, 0), operators(1, 3)}}, scratch.path());
  const auto with_plan = find_segments(scratch.path());
  fs::remove(scratch.path() / "plan.json");
  EXPECT_EQ(find_segments(scratch.path()), with_plan);
}

TEST(ReadSplit, SplitHasFilesSegmentsAndPlan) {
  const ScratchFolder scratch;
  const Model model = skipping().build();
  split(model, {{operators(0, 0), operators(1, 3)}}, scratch.path());
  const Split found = read_split(scratch.path());
  EXPECT_EQ(found.files, find_segments(scratch.path()));
  ASSERT_EQ(found.segments.size(), 2U);
  EXPECT_EQ(found.segments[1].operators().size(), 3U);
  EXPECT_EQ(found.plan->stages.size(), 2U);
  fs::remove(scratch.path() / "plan.json");
  EXPECT_EQ(read_split(scratch.path()).segments.size(), 2U);
  EXPECT_FALSE(read_split(scratch.path()).plan);
}

TEST(ReadSplit, SegmentsOfAnotherSplitAreRefused) {
  const ScratchFolder scratch;
  const Model model = skipping().build();
  split(model, {{operators(0, 0), operators(1, 3)}}, scratch.path());
  Plan plan = plan_for(model, {{operators(0, 1), operators(2, 3)}});
  write_file(scratch.path() / "plan.json", to_json(plan));
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)read_split(scratch.path()); },
               {"model_segment_0_of_2.tflite", "does not match stage 0 of plan.json"});
}

// plan.json contains these names with replaced bytes.
TEST(ReadSplit, NonUtf8NamesMatchPlan) {
  ModelBuilder b;
  const auto middle = b.relu(b.input("x", {1, 4}), "mid\xFF");
  b.output(b.relu(middle, "y"));
  const Model model = b.build();
  const ScratchFolder scratch;
  split(model, {{operators(0, 0), operators(1, 1)}}, scratch.path());
  EXPECT_EQ(read_split(scratch.path()).segments.size(), 2U);
}

TEST(ReadSplit, CompiledFilesMustBeComplete) {
  const ScratchFolder scratch;
  const Model model = skipping().build();
  split(model, {{operators(0, 0), operators(1, 3)}}, scratch.path());
  const fs::path first = scratch.path() / "model_segment_0_of_2_edgetpu.tflite";
  fs::copy_file(find_segments(scratch.path())[0], first);
  expect_error(ErrorCode::kIo, [&] { (void)read_split(scratch.path(), SegmentFiles::kCompiled); },
               {"model_segment_1_of_2_edgetpu.tflite: file not found"});
  fs::copy_file(find_segments(scratch.path())[1],
                scratch.path() / "model_segment_1_of_2_edgetpu.tflite");
  const Split compiled = read_split(scratch.path(), SegmentFiles::kCompiled);
  EXPECT_EQ(compiled.files[0], first);
  const auto notes = notes_on_uncompiled(compiled);
  ASSERT_EQ(notes.size(), 2U);
  EXPECT_NE(notes[0].find("not compiled for the Edge TPU"), std::string::npos);
}

}  // namespace
}  // namespace segue
