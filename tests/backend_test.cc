#include "segue/backend.h"

#include <gtest/gtest.h>

#include <cstring>

#include "environment.h"
#include "expect.h"
#include "model_builder.h"

namespace segue {
namespace {

using testing::cpu_backend;
using testing::expect_error;
using testing::ModelBuilder;

ModelBuilder doubling() {
  ModelBuilder b;
  const auto x = b.input("x", {1, 4});
  b.output(b.add(x, x, "y"));
  return b;
}

std::vector<std::byte> values(std::initializer_list<int> numbers) {
  std::vector<std::byte> bytes;
  for (const int number : numbers) bytes.push_back(static_cast<std::byte>(number));
  return bytes;
}

TEST(CpuBackend, ComputesWhatTheModelSays) {
  const auto bytes = doubling().bytes();
  const auto session = cpu_backend().open(bytes, "double");
  ASSERT_EQ(session->inputs().size(), 1U);
  EXPECT_EQ(session->inputs()[0].name, "x");
  EXPECT_EQ(session->inputs()[0].type, ElementType::kInt8);
  EXPECT_EQ(session->inputs()[0].bytes, 4U);
  EXPECT_EQ(session->outputs()[0].shape, (std::vector<std::int32_t>{1, 4}));
  const auto x = values({1, -2, 30, 100});
  const std::span<const std::byte> input(x);
  EXPECT_EQ(session->run({&input, 1}).at(0), values({2, -4, 60, 127}));
}

TEST(CpuBackend, WrongInputsAreRefused) {
  const auto bytes = doubling().bytes();
  const auto session = cpu_backend().open(bytes, "double");
  const auto x = values({1, 2, 3});
  const std::span<const std::byte> input(x);
  expect_error(ErrorCode::kInvalidArgument,
               [&] {
                 (void)session->run({&input, 1});
               },
               {"'x'", "4", "3"});
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)session->run({}); }, {"double"});
}

TEST(CpuBackend, RefusalOfTheRuntimeCarriesItsReason) {
  ModelBuilder b;
  const auto x = b.input("x", {1, 4});
  const auto y = b.tensor("y", {1, 4});
  b.op(tflite::BuiltinOperator::CUSTOM, {x}, {y});
  b.raw().operator_codes[0]->custom_code = "NobodyKnowsThis";
  b.output(y);
  const auto bytes = b.bytes();
  expect_error(ErrorCode::kInvalidModel, [&] { (void)cpu_backend().open(bytes, "odd"); },
               {"odd", "NobodyKnowsThis"});
}

TEST(MakeCpuBackend, MissingRuntimeNamesEveryCandidateAndTheWayOut) {
  expect_error(ErrorCode::kDevice,
               [] {
                 (void)make_cpu_backend({.libraries = {"/none/a.so", "/none/b.so"}});
               },
               {"/none/a.so", "/none/b.so", "SEGUE_TFLITE_LIB"});
}

TEST(MakeCpuBackend, AnotherLibraryIsRefused) {
  expect_error(ErrorCode::kDevice, [] { (void)make_cpu_backend({.libraries = {"libm.so.6"}}); },
               {"libm.so.6", "is another library"});
}

}  // namespace
}  // namespace segue
