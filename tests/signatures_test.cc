// Tests files with several subgraphs: signatures, variables, composites.
#include <gtest/gtest.h>

#include "command.h"
#include "environment.h"
#include "expect.h"
#include "model_builder.h"
#include "segue/verify.h"
#include "split_model.h"

namespace segue {
namespace {

using testing::cpu_backend;
using testing::expect_error;
using testing::expect_failure;
using testing::ModelBuilder;
using testing::operators;
using testing::run_segue;
using testing::ScratchFolder;
using testing::skipping;
using testing::TensorIndex;

void add_signature(ModelBuilder& b, const char* key, std::uint32_t subgraph, TensorIndex input,
                   TensorIndex output) {
  auto signature = std::make_unique<tflite::SignatureDefT>();
  signature->signature_key = key;
  signature->subgraph_index = subgraph;
  for (auto* maps : {&signature->inputs, &signature->outputs})
    maps->push_back(std::make_unique<tflite::TensorMapT>());
  signature->inputs[0]->name = "image";
  signature->inputs[0]->tensor_index = static_cast<std::uint32_t>(input);
  signature->outputs[0]->name = "scores";
  signature->outputs[0]->tensor_index = static_cast<std::uint32_t>(output);
  b.raw().signature_defs.push_back(std::move(signature));
}

// Makes a file with the signatures "small", one convolution, and "large", three convolutions and an
// addition.
ModelBuilder two_signatures() {
  ModelBuilder b;
  b.output(b.conv(b.input("x", {1, 4, 4, 4}), "y", 4));
  add_signature(b, "small", 0, 0, b.graph().outputs[0]);
  // The builder fills the first subgraph, so the second is built in its place.
  auto first = std::move(b.raw().subgraphs[0]);
  b.raw().subgraphs[0] = std::make_unique<tflite::SubGraphT>();
  const TensorIndex a = b.conv(b.input("u", {1, 6, 6, 2}), "a", 4);
  b.output(b.add(b.conv(b.conv(a, "b", 4), "c", 4), a, "v"));
  add_signature(b, "large", 1, 0, b.graph().outputs[0]);
  b.raw().subgraphs.push_back(std::move(b.raw().subgraphs[0]));
  b.raw().subgraphs[0] = std::move(first);
  return b;
}

TEST(Signatures, SeveralNeedAChoice) {
  const auto bytes = two_signatures().bytes();
  expect_error(ErrorCode::kUnsupported, [&] { (void)parse_model(bytes, "two"); },
               {"2 signatures", "'small', 'large'", "--signature"});
  expect_error(ErrorCode::kInvalidArgument,
               [&] { (void)parse_model(bytes, "two", {.signature = "larger"}); },
               {"no signature 'larger'", "'small', 'large'"});
  EXPECT_EQ(parse_model(bytes, "two", {.signature = "small"}).operators().size(), 1U);
  EXPECT_EQ(parse_model(bytes, "two", {.signature = "large"}).operators().size(), 4U);
}

TEST(Signatures, SegmentsOfChosenOneVerify) {
  for (const auto& [key, count] : {std::pair{"small", 1U}, std::pair{"large", 4U}}) {
    const Model model = parse_model(two_signatures().bytes(), "two", {.signature = key});
    const ScratchFolder scratch;
    Segmentation cuts{{operators(0, 0)}};
    if (count > 1) cuts.segments.push_back(operators(1, count - 1));
    testing::split(model, cuts, scratch.path());
    const auto report =
        verify_segments(model, find_segments(scratch.path()), cpu_backend(), {.inputs = 2});
    EXPECT_EQ(report.mismatch, "") << key;
    EXPECT_EQ(report.operator_count, count);
    // For two inputs, the bytes are those of 'y' (4 x 4 x 4), or of 'a' and 'v' (6 x 6 x 4 each).
    EXPECT_EQ(report.bytes_compared, count == 1 ? 2U * 64 : 2U * 2 * 144) << key;
  }
}

TEST(Signatures, SegmentHasOnlyChosenSignature) {
  const Model model = parse_model(two_signatures().bytes(), "two", {.signature = "large"});
  const auto bytes = extract_segment(model, operators(2, 3)).to_bytes();
  const auto* root = tflite::GetModel(bytes.data());
  ASSERT_EQ(root->subgraphs()->size(), 1U);
  ASSERT_EQ(root->signature_defs()->size(), 1U);
  EXPECT_EQ(root->signature_defs()->Get(0)->signature_key()->str(), "large");
  EXPECT_EQ(root->signature_defs()->Get(0)->subgraph_index(), 0U);
  EXPECT_EQ(root->signature_defs()->Get(0)->outputs()->Get(0)->name()->str(), "scores");
}

TEST(Signatures, CommandsAcceptChosenSignature) {
  const ScratchFolder scratch;
  testing::write_bytes(scratch.path() / "two.tflite", two_signatures().bytes());
  expect_failure(run_segue({"inspect", "two.tflite"}, scratch.path()), testing::kModel,
                 "--signature");
  const std::vector<std::vector<std::string>> commands{
      {"inspect", "two.tflite"},
      {"plan", "two.tflite", "--tpus", "2", "-o", "plan.json"},
      {"split", "two.tflite", "--tpus", "2", "-o", "p"},
      {"verify", "two.tflite", "p"},
      {"simulate", "two.tflite"},
      {"simulate", "plan.json", "--model", "two.tflite"},
      {"compare", "two.tflite", "--tpus", "1..2"},
      {"report", "two.tflite", "--tpus", "1..2"},
      {"run", "plan.json", "--model", "two.tflite", "--inputs", "2"}};
  for (std::vector<std::string> command : commands) {
    command.insert(command.end(), {"--signature", "large"});
    const auto result = run_segue(command, scratch.path());
    EXPECT_EQ(result.status, 0) << command[0] << ": " << result.err;
  }
  expect_failure(
      run_segue({"simulate", "plan.json", "--model", "two.tflite", "--signature", "small"},
                scratch.path()),
      testing::kUsage, "4 operators, but the model has 1");
  expect_failure(run_segue({"simulate", "plan.json", "--signature", "small"}, scratch.path()),
                 testing::kUsage, "--signature");
}

// A subgraph that no signature and no operator refers to does not belong to the model.
TEST(Signatures, UnreferencedSubgraphIsIgnored) {
  ModelBuilder b = skipping();
  b.raw().subgraphs.push_back(std::make_unique<tflite::SubGraphT>(b.graph()));
  EXPECT_EQ(b.build().operators().size(), 4U);
}

struct Dependent {
  const char* name;
  tflite::BuiltinOperator code;
  const char* message;
};
class DependentSubgraph : public ::testing::TestWithParam<Dependent> {};

TEST_P(DependentSubgraph, OperatorIsRefusedWithReason) {
  ModelBuilder b;
  const TensorIndex y = b.tensor("y", {1, 4});
  auto& op = b.op(GetParam().code, {b.input("x", {1, 4})}, {y});
  if (GetParam().code == tflite::BuiltinOperator::STABLEHLO_COMPOSITE) {
    tflite::StableHLOCompositeOptionsT options;
    options.name = "odml.rms_norm";
    options.decomposition_subgraph_index = 1;
    op.builtin_options_2.Set(options);
  }
  b.output(y);
  b.raw().subgraphs.push_back(std::make_unique<tflite::SubGraphT>(b.graph()));
  expect_error(ErrorCode::kUnsupported, [&] { (void)b.build(); },
               {"operator #0", "subgraph #0 'main'", GetParam().message});
}

INSTANTIATE_TEST_SUITE_P(
    All, DependentSubgraph,
    ::testing::Values(
        Dependent{"Loop", tflite::BuiltinOperator::WHILE, "without loops"},
        Dependent{"Condition", tflite::BuiltinOperator::IF, "without loops and conditions"},
        Dependent{"Call", tflite::BuiltinOperator::CALL, "functions inlined"},
        Dependent{"Initialization", tflite::BuiltinOperator::CALL_ONCE, "variables frozen"},
        Dependent{"Composite", tflite::BuiltinOperator::STABLEHLO_COMPOSITE,
                  "STABLEHLO_COMPOSITE of subgraph #0 'main' 'odml.rms_norm'"},
        Dependent{"Reduction", tflite::BuiltinOperator::STABLEHLO_REDUCE, "TFLITE_BUILTINS"}),
    [](const auto& row) { return row.param.name; });

// Adds the handle of a variable.
TensorIndex variable(ModelBuilder& b, const char* handle_name) {
  const TensorIndex handle = b.tensor(handle_name, {});
  b.at(handle).type = tflite::TensorType::RESOURCE;
  tflite::VarHandleOptionsT named;
  named.shared_name = "counter";
  b.op(tflite::BuiltinOperator::VAR_HANDLE, {}, {handle}).builtin_options.Set(named);
  return handle;
}

TEST(Variables, UninitializedVariableIsNamed) {
  ModelBuilder b;
  const TensorIndex y = b.tensor("y", {1, 4});
  b.op(tflite::BuiltinOperator::READ_VARIABLE, {variable(b, "h")}, {y});
  b.output(b.add(b.input("x", {1, 4}), y, "z"));
  expect_error(ErrorCode::kUnsupported, [&] { (void)b.build(); },
               {"#1 READ_VARIABLE", "'counter'", "frozen"});
}

TEST(Variables, VariableOfTwoSubgraphsIsNamed) {
  ModelBuilder b = two_signatures();
  (void)variable(b, "h");
  b.raw().subgraphs.push_back(std::make_unique<tflite::SubGraphT>(b.graph()));
  expect_error(ErrorCode::kUnsupported,
               [&] { (void)parse_model(b.bytes(), "two", {.signature = "small"}); },
               {"the variable 'counter'", "subgraph #2", "frozen"});
}

}  // namespace
}  // namespace segue
