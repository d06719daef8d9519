// Segment files: written, found again, refused.
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

TEST(WriteSegments, NamesWithControlCharactersAreRefused) {
  const ScratchFolder scratch;
  const Model model = skipping().build("a\nb");
  expect_error(ErrorCode::kInvalidArgument,
               [&] { write_segments(model, {{operators(0, 3)}}, "{}", scratch.path()); },
               {"rename"});
}

TEST(WriteSegments, CompiledModelsAreRefused) {
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

TEST(FindSegments, FoldersThatHoldNoSetAreRefused) {
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

TEST(FindSegments, MissingMemberIsNamed) {
  const ScratchFolder scratch;
  const Model model = skipping().build();
  split(model, {{operators(0, 0), operators(1, 3)}}, scratch.path());
  fs::remove(find_segments(scratch.path()).at(1));
  expect_error(ErrorCode::kIo, [&] { (void)find_segments(scratch.path()); },
               {"model_segment_1_of_2"});
}

TEST(FindSegments, WorksWithoutAPlan) {
  const ScratchFolder scratch;
  const Model model = skipping().build();
  split(model, {{operators(0, 0), operators(1, 3)}}, scratch.path());
  const auto with_plan = find_segments(scratch.path());
  fs::remove(scratch.path() / "plan.json");
  EXPECT_EQ(find_segments(scratch.path()), with_plan);
}

}  // namespace
}  // namespace segue
