#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "environment.h"
#include "expect.h"
#include "model_builder.h"
#include "segue/runtime.h"
#include "stand_in_runtime.h"

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

TEST(CpuBackend, KnownModelGivesExpectedOutput) {
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

TEST(CpuBackend, UnknownCustomOperatorIsNamed) {
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

TEST(MakeCpuBackend, MissingRuntimeListsCandidates) {
  expect_error(ErrorCode::kDevice,
               [] {
                 (void)make_cpu_backend({.libraries = {"/none/a.so", "/none/b.so"}});
               },
               {"/none/a.so", "/none/b.so", "SEGUE_TFLITE_LIB"});
}

TEST(MakeCpuBackend, UnrelatedLibraryIsRefused) {
  expect_error(ErrorCode::kDevice, [] { (void)make_cpu_backend({.libraries = {"libm.so.6"}}); },
               {"libm.so.6", "not the expected library"});
}

// A dense layer [1, 16] to [1, 8] with one scale per output.
std::vector<std::byte> dense_per_output() {
  ModelBuilder b;
  const auto y = b.dense(b.input("x", {1, 16}), "y", 8, false);
  tflite::TensorT& weights = b.at(b.graph().operators[0]->inputs[1]);
  weights.quantization->scale = {0.5F, 0.25F, 0.125F, 1.0F, 0.5F, 0.25F, 0.125F, 1.0F};
  weights.quantization->zero_point.assign(8, 0);
  weights.quantization->quantized_dimension = 0;
  b.raw().operator_codes[0]->version = 4;
  b.output(y);
  return b.bytes();
}

// Returns the stand-in in its initial state, in which it behaves like the real runtime.
StandInRuntime& stand_in_runtime() {
  void* library = ::dlopen(SEGUE_TEST_STAND_IN_RUNTIME, RTLD_NOW);
  auto* state =
      reinterpret_cast<StandInRuntimeState*>(::dlsym(library, "stand_in_runtime_state"))();
  *state = {};
  return *state;
}

TEST(ParseKernels, UnknownNameIsRefused) {
  EXPECT_EQ(parse_kernels("builtin"), CpuKernels::kBuiltin);
  EXPECT_EQ(parse_kernels("xnnpack"), CpuKernels::kXnnpack);
  expect_error(ErrorCode::kInvalidArgument, [] { (void)parse_kernels("XNNPACK"); }, {"'XNNPACK'"});
}

const CpuOptions kStandIn{.libraries = {SEGUE_TEST_STAND_IN_RUNTIME}};
const CpuOptions kStandInXnnpack{
    .libraries = {SEGUE_TEST_STAND_IN_RUNTIME}, .threads = 3, .kernels = CpuKernels::kXnnpack};

TEST(CpuBackend, DenseWithScalePerOutputIsCorrect) {
  const auto bytes = dense_per_output();
  const Model model = parse_model(bytes, "dense");
  const std::span<const std::byte> weights = model.tensor(tensor_id(1)).data;
  const std::span<const float> scales = model.tensor(tensor_id(1)).quantization.scales;
  const auto session = cpu_backend().open(bytes, "dense");
  const std::vector<std::byte> x(16, std::byte{2});
  const std::span<const std::byte> input(x);
  const TensorBytes y = session->run({&input, 1}).at(0);
  for (std::size_t o = 0; o < 8; ++o) {
    int sum = 0;
    for (std::size_t i = 0; i < 16; ++i) sum += 2 * static_cast<std::int8_t>(weights[o * 16 + i]);
    const double real = sum * static_cast<double>(scales[o]);
    const double expected = std::clamp(std::round(real), -128.0, 127.0);
    EXPECT_NEAR(static_cast<std::int8_t>(y[o]), expected, 1) << o;
  }
}

TEST(CpuBackend, DenseOnFaultyRuntimeIsRefused) {
  if (kDenseCrashes) GTEST_SKIP() << "the builtin kernels crash";
  StandInRuntime& runtime = stand_in_runtime();
  runtime.version = "2.9.0";
  runtime.returns_constants = true;
  const auto backend = make_cpu_backend(kStandIn);
  EXPECT_EQ(backend->faults().size(), 1U);
  expect_error(ErrorCode::kDevice, [&] { (void)backend->open(dense_per_output(), "dense"); },
               {"dense", "2.9.0", "FULLY_CONNECTED", "8 scales", "2.21"});
  EXPECT_NO_THROW((void)backend->open(doubling().bytes(), "without dense layers"));
}

TEST(CpuBackend, DenseOnCrashingRuntimeIsRefused) {
  stand_in_runtime().crashes = true;
  const auto backend = make_cpu_backend(kStandIn);
  ASSERT_EQ(backend->faults().size(), 1U);
  EXPECT_NE(backend->faults()[0].find("crashes in FULLY_CONNECTED"), std::string::npos);
  expect_error(ErrorCode::kDevice, [&] { (void)backend->open(dense_per_output(), "dense"); },
               {"dense", "2.21.0", "8 scales", "--kernels xnnpack"});
}

TEST(CpuBackend, FaultOfBuiltinKernelsSparesXnnpack) {
  stand_in_runtime().crashes = true;
  CpuOptions options = kStandIn;
  options.kernels = CpuKernels::kXnnpack;
  const auto backend = make_cpu_backend(options);
  EXPECT_TRUE(backend->faults().empty());
  EXPECT_NO_THROW((void)backend->open(dense_per_output(), "dense"));
}

TEST(CpuBackend, FaultFreeRuntimeIsAccepted) {
  if (kDenseCrashes) GTEST_SKIP() << "the builtin kernels crash";
  stand_in_runtime().version = "2.5.0";
  const auto backend = make_cpu_backend(kStandIn);
  EXPECT_TRUE(backend->faults().empty());
  EXPECT_NO_THROW((void)backend->open(dense_per_output(), "dense"));
}

// The model has more tables than flatbuffers' default limit, but fewer than the reader's limit.
TEST(CpuBackend, FaultIsFoundInModelOf1100000Tables) {
  StandInRuntime& runtime = stand_in_runtime();
  runtime.returns_constants = true;
  ModelBuilder b;
  const auto bytes = dense_per_output();
  b.raw() = std::move(*tflite::UnPackModel(bytes.data()));
  for (int i = 0; i < 1'100'000; ++i)
    b.raw().buffers.push_back(std::make_unique<tflite::BufferT>());
  const auto large = b.bytes();
  const auto backend = make_cpu_backend(kStandIn);
  expect_error(ErrorCode::kDevice, [&] { (void)backend->open(large, "dense"); }, {"8 scales"});
}

TEST(CpuBackend, RuntimeThatFailsFaultTestNamesModel) {
  stand_in_runtime().refuses_models = true;
  const auto backend = make_cpu_backend(kStandIn);
  EXPECT_TRUE(backend->faults().empty());
  expect_error(ErrorCode::kInvalidModel, [&] { (void)backend->open(dense_per_output(), "mine"); },
               {"mine: TensorFlow Lite", "does not accept the file"});
}

// A backend can get models directly that the reader would refuse.
TEST(CpuBackend, OutOfRangeIndicesAreRefused) {
  ModelBuilder b;
  const auto bytes = dense_per_output();
  b.raw() = std::move(*tflite::UnPackModel(bytes.data()));
  b.graph().operators[0]->opcode_index = 100'000'000;
  expect_error(ErrorCode::kInvalidModel, [&] { (void)cpu_backend().open(b.bytes(), "code"); },
               {"code"});
  b.graph().operators[0]->opcode_index = 0;
  b.graph().operators[0]->inputs[1] = 100'000'000;
  expect_error(ErrorCode::kInvalidModel, [&] { (void)cpu_backend().open(b.bytes(), "weights"); },
               {"weights"});
}

TEST(Xnnpack, RealRuntimeIsAccepted) {
  EXPECT_NO_THROW(
      (void)make_cpu_backend({.libraries = {SEGUE_TEST_RUNTIME}, .kernels = CpuKernels::kXnnpack}));
}

TEST(Xnnpack, DelegateTakingNoOperatorIsRefused) {
  stand_in_runtime().leaves_operators = true;
  expect_error(ErrorCode::kDevice, [] { (void)make_cpu_backend(kStandInXnnpack); },
               {"do not support int8 operators", "--kernels builtin"});
}

TEST(Xnnpack, UncountableDelegateIsRefused) {
  stand_in_runtime().ignores_delegates = true;
  expect_error(ErrorCode::kDevice, [] { (void)make_cpu_backend(kStandInXnnpack); },
               {"does not report which operators they support", "--kernels builtin"});
}

TEST(Xnnpack, OptionsFrom220SetThreadsOnly) {
  StandInRuntime& runtime = stand_in_runtime();
  const auto backend = make_cpu_backend(kStandInXnnpack);
  (void)backend->open(doubling().bytes(), "double");
  EXPECT_EQ(runtime.xnnpack_threads, 3);
  EXPECT_EQ(runtime.second_option, 0U);  // runtime_flags, as the library fills them in
}

TEST(Xnnpack, OptionsUpTo219HaveFlagsSecond) {
  StandInRuntime& runtime = stand_in_runtime();
  runtime.version = "2.19.1";
  // The real runtime behind the stand-in reads the flags at another place and takes no operator.
  expect_error(ErrorCode::kDevice, [] { (void)make_cpu_backend(kStandInXnnpack); },
               {"2.19.1", "do not support int8 operators"});
  EXPECT_EQ(runtime.xnnpack_threads, 1);
  EXPECT_EQ(runtime.second_option, 1U);
}

TEST(Xnnpack, UnknownRuntimeVersionIsRefused) {
  stand_in_runtime().version = "3.0.0";
  expect_error(ErrorCode::kDevice, [] { (void)make_cpu_backend(kStandInXnnpack); },
               {"3.0.0", "options are unknown"});
}

}  // namespace
}  // namespace segue
