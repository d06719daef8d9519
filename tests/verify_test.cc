#include "segue/verify.h"

#include <flatbuffers/flexbuffers.h>
#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <random>

#include "environment.h"
#include "expect.h"
#include "model_builder.h"
#include "reference/random_model.h"
#include "segue/plan.h"
#include "split_model.h"

namespace segue {
namespace {

namespace fs = std::filesystem;
using testing::cpu_backend;
using testing::expect_error;
using testing::ModelBuilder;
using testing::operators;
using testing::plan_for;
using testing::ScratchFolder;
using testing::skipping;
using testing::split;

VerifyReport verify(const Model& model, const fs::path& folder) {
  return verify_segments(model, find_segments(folder), cpu_backend(), {.inputs = 2});
}

// Replaces segment `position` by another model, like a damaged or wrong file.
void replace_segment(const fs::path& folder, std::size_t position, const ModelBuilder& model) {
  testing::write_bytes(find_segments(folder).at(position), model.bytes());
}

TEST(Verify, SkipModelSegmentsAgree) {
  const ScratchFolder scratch;
  const Model model = skipping().build();
  split(model, {{operators(0, 0), operators(1, 1), operators(2, 3)}}, scratch.path());
  const VerifyReport report = verify(model, scratch.path());
  EXPECT_EQ(report.mismatch, "");
  EXPECT_EQ(report.segment_count, 3U);
  EXPECT_EQ(report.operator_count, 4U);
  EXPECT_EQ(report.inputs_run, 2U);
  EXPECT_EQ(report.tensors_compared, 3U);
  EXPECT_GT(report.distinct_values, 3U);
  EXPECT_EQ(report.operators_run, 4U);
}

// Makes a convolution whose float weights are computed from float16 constants.
Model float16_weights() {
  ModelBuilder b;
  const auto x = b.input("x", {1, 1, 1, 64});
  const auto y = b.conv(x, "y", 4);
  const auto w16 = b.graph().operators[0]->inputs[1];
  const auto bias = b.graph().operators[0]->inputs[2];
  for (auto& tensor : b.graph().tensors) tensor->quantization.reset();
  b.at(x).type = b.at(y).type = b.at(bias).type = tflite::TensorType::FLOAT32;
  b.at(w16).type = tflite::TensorType::FLOAT16;
  // Values are from 2^-4 to 2^4 with any mantissa and sign, so that a sum depends on its order.
  std::mt19937 random(3);
  auto& halves = b.raw().buffers[b.at(w16).buffer]->data;
  halves.resize(512);
  for (std::size_t i = 0; i < halves.size(); i += 2) {
    const auto half = ((random() % 2) << 15U) + ((11 + random() % 8) << 10U) + (random() % 1024);
    halves[i] = static_cast<std::uint8_t>(half & 0xFFU);
    halves[i + 1] = static_cast<std::uint8_t>(half >> 8U);
  }
  const auto w32 = b.tensor("w32", {4, 1, 1, 64});
  b.at(w32).type = tflite::TensorType::FLOAT32;
  b.at(w32).quantization.reset();
  b.graph().operators[0]->inputs[1] = w32;
  b.op(tflite::BuiltinOperator::DEQUANTIZE, {w16}, {w32});
  std::swap(b.graph().operators[0], b.graph().operators[1]);
  b.output(y);
  return b.build();
}

TEST(Verify, CutAfterFloat16WeightsAgrees) {
  const ScratchFolder scratch;
  const Model model = float16_weights();
  split(model, {{operators(0, 0), operators(1, 1)}}, scratch.path());
  for (const int threads : {1, 2, 4}) {
    const auto backend = make_cpu_backend({.libraries = {SEGUE_TEST_RUNTIME}, .threads = threads});
    const VerifyReport report =
        verify_segments(model, find_segments(scratch.path()), *backend, {.inputs = 20});
    EXPECT_EQ(report.mismatch, "") << threads << " threads";
    EXPECT_GT(report.distinct_values, 80U);
    EXPECT_TRUE(report.warnings.empty());
    EXPECT_TRUE(report.warnings_of_constants.empty());  // weights are constant as intended
  }
}

TEST(Verify, ConstantOutputIsWeakEvidence) {
  ModelBuilder b;
  const auto x = b.conv(b.input("x", {1, 4, 4, 4}), "middle", 8);
  const auto y = b.conv(x, "y", 8);
  b.at(y).quantization->scale = {1e6F};  // every value rounds to the zero point
  b.output(y);
  const Model model = b.build();
  const ScratchFolder scratch;
  split(model, {{operators(0, 0), operators(1, 1)}}, scratch.path());
  const VerifyReport report = verify(model, scratch.path());
  EXPECT_EQ(report.mismatch, "");
  EXPECT_THAT(report.warnings, ::testing::ElementsAre(::testing::HasSubstr("'y': all its 256")));
}

// Verifies two convolutions; the scale of the second one decides whether its values fit into 8
// bits.
VerifyReport verify_with_scale(float scale, std::uint32_t inputs, std::int32_t extent = 4) {
  ModelBuilder b;
  const auto x = b.conv(b.input("x", {1, extent, extent, 4}), "middle", 8);
  const auto y = b.conv(x, "y", extent == 1 ? 1 : 8);
  b.at(y).quantization->scale = {scale};
  b.output(y);
  const Model model = b.build();
  const ScratchFolder scratch;
  split(model, {{operators(0, 0), operators(1, 1)}}, scratch.path());
  return verify_segments(model, find_segments(scratch.path()), cpu_backend(), {.inputs = inputs});
}

TEST(Verify, SaturatedOutputIsWeakEvidence) {
  EXPECT_THAT(verify_with_scale(1e-6F, 2).warnings,
              ::testing::ElementsAre(::testing::AllOf(
                  ::testing::HasSubstr("'y': "),
                  ::testing::HasSubstr("are -128 or 127, the limits of the range of INT8"))));
  EXPECT_TRUE(verify_with_scale(1, 2).warnings.empty());
}

TEST(Verify, FewValuesAreWeakEvidence) {
  EXPECT_THAT(verify_with_scale(1, 1, 1).warnings,
              ::testing::Contains(::testing::HasSubstr("'y': it is a single value")));
  EXPECT_THAT(verify_with_scale(1, 2, 1).warnings,
              ::testing::Contains(::testing::HasSubstr("'y': its 2 values have only 2 distinct")));
  EXPECT_TRUE(verify_with_scale(1, 20, 1).warnings.empty());
}

// More inputs do not change the values of a constant tensor.
TEST(Verify, ConstantTensorHasItsOwnWarning) {
  ModelBuilder b;
  const auto zeros = b.constant("zeros", tflite::TensorType::INT8, {1, 8});
  for (auto& byte : b.raw().buffers[b.at(zeros).buffer]->data) byte = 0;
  b.at(zeros).quantization = std::make_unique<tflite::QuantizationParametersT>();
  b.at(zeros).quantization->scale = {1.0F / 16};
  b.at(zeros).quantization->zero_point = {0};
  const auto fixed = b.relu(zeros, "fixed");
  b.output(b.add(b.input("x", {1, 8}), fixed, "y"));
  const Model model = b.build();
  const ScratchFolder scratch;
  split(model, {{operators(0, 0), operators(1, 1)}}, scratch.path());
  const VerifyReport report = verify(model, scratch.path());
  EXPECT_EQ(report.mismatch, "");
  EXPECT_TRUE(report.warnings.empty());
  EXPECT_THAT(report.warnings_of_constants,
              ::testing::ElementsAre(::testing::HasSubstr("'fixed': all its 16 values")));
}

// A backend that computes like the runtime, except for the tensor "middle" if it is an output of a
// segment.
class WrongInTheMiddle : public Backend {
 public:
  [[nodiscard]] std::string description() const override { return "wrong in the middle"; }
  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> model,
                                              const std::string& name) const override {
    return std::make_unique<Wrong>(cpu_backend().open(model, name));
  }

 private:
  class Wrong : public Session {
   public:
    explicit Wrong(std::unique_ptr<Session> right) : right_(std::move(right)) {}
    [[nodiscard]] std::span<const Port> inputs() const override { return right_->inputs(); }
    [[nodiscard]] std::span<const Port> outputs() const override { return right_->outputs(); }
    void run_into(std::span<const std::span<const std::byte>> inputs,
                  std::vector<TensorBytes>& outputs) override {
      right_->run_into(inputs, outputs);
      if (outputs.size() == 1 && right_->outputs()[0].name == "middle")
        outputs[0][3] ^= std::byte{1};
    }

   private:
    std::unique_ptr<Session> right_;
  };
};

TEST(Verify, MismatchBeforeConstantOutputIsFound) {
  ModelBuilder b;
  const auto x = b.conv(b.input("x", {1, 4, 4, 4}), "middle", 8);
  const auto y = b.conv(x, "y", 8);
  b.at(y).quantization->scale = {1e6F};  // hides every difference of "middle"
  b.output(y);
  const Model model = b.build();
  const ScratchFolder scratch;
  split(model, {{operators(0, 0), operators(1, 1)}}, scratch.path());
  const VerifyReport report =
      verify_segments(model, find_segments(scratch.path()), WrongInTheMiddle(), {.inputs = 1});
  EXPECT_EQ(report.mismatch, "segment 0: tensor 'middle' differs from the whole model at byte 3");
}

TEST(Verify, MissingCustomOperatorIsNotRun) {
  ModelBuilder b;
  const auto x = b.conv(b.input("x", {1, 4, 4, 4}), "a", 8);
  const auto y = b.conv(x, "b", 8);
  const auto z = b.tensor("z", {1, 4, 4, 8});
  b.op(tflite::BuiltinOperator::CUSTOM, {y}, {z});
  b.raw().operator_codes.back()->custom_code = "PosenetDecoderOp";
  b.output(z);
  const Model model = b.build();
  const ScratchFolder scratch;
  split(model, {{operators(0, 0), operators(1, 2)}}, scratch.path());
  const VerifyReport report = verify(model, scratch.path());
  EXPECT_EQ(report.mismatch, "");
  EXPECT_EQ(report.operator_count, 3U);
  EXPECT_EQ(report.operators_run, 2U);
  EXPECT_THAT(report.not_run,
              ::testing::StartsWith("the runtime lacks the custom operator PosenetDecoderOp: "));
  EXPECT_EQ(report.tensors_compared, 2U);
}

// The runtime has this operator, but refuses it with a single input.
TEST(Verify, RefusedCustomOperatorIsNotMissing) {
  ModelBuilder b;
  const auto x = b.conv(b.input("x", {1, 4, 4, 4}), "a", 8);
  const auto z = b.tensor("z", {1, 4, 4, 8});
  flexbuffers::Builder options;
  options.Map([&] { options.Int("max_detections", 1); });
  options.Finish();
  b.op(tflite::BuiltinOperator::CUSTOM, {x}, {z}).custom_options = options.GetBuffer();
  b.raw().operator_codes.back()->custom_code = "TFLite_Detection_PostProcess";
  b.output(z);
  const Model model = b.build();
  const ScratchFolder scratch;
  split(model, {{operators(0, 0), operators(1, 1)}}, scratch.path());
  const VerifyReport report = verify(model, scratch.path());
  EXPECT_EQ(report.operators_run, 1U);
  EXPECT_THAT(report.not_run,
              ::testing::StartsWith(
                  "the runtime does not run the custom operator TFLite_Detection_PostProcess: "));
}

TEST(Verify, RandomModelsAgreeAtEveryCut) {
  std::mt19937 random(5);
  for (int round = 0; round < 6; ++round) {
    const Model model = testing::random_model(random, 8);
    const auto count = static_cast<std::uint32_t>(model.operators().size());
    for (std::uint32_t cut = 1; cut < count; ++cut) {
      const ScratchFolder scratch;
      split(model, {{operators(0, cut - 1), operators(cut, count - 1)}}, scratch.path());
      ASSERT_EQ(verify(model, scratch.path()).mismatch, "") << "round " << round << " cut " << cut;
    }
  }
}

TEST(Verify, DuplicateTensorNamesAreDistinguished) {
  const ScratchFolder scratch;
  ModelBuilder b;
  const auto first = b.relu(b.input("t", {1, 8}), "t");
  const auto second = b.add(first, first, "t");
  b.output(b.add(first, second, "t"));
  const Model model = b.build();
  split(model, {{operators(0, 0), operators(1, 1), operators(2, 2)}}, scratch.path());
  EXPECT_EQ(verify(model, scratch.path()).mismatch, "");
}

// Google's rule takes branches out of file order, so only names distinguish them.
TEST(Verify, ReorderedUnnamedBranchesAgree) {
  const ScratchFolder scratch;
  ModelBuilder b;
  const auto x = b.input("x", {1, 4});
  const auto left = b.relu(b.dense(x, "", 4), "");
  const auto right = b.relu(b.dense(x, "", 4), "");
  b.output(b.add(left, right, ""));
  const Model model = b.build();
  split(model, {{operators(2, 3), operators(0, 1), operators(4, 4)}}, scratch.path());
  EXPECT_EQ(verify(model, scratch.path()).mismatch, "");
}

TEST(Verify, EditedPlanIsAMismatch) {
  const Model model = skipping().build();
  const Segmentation segmentation{{operators(0, 1), operators(2, 3)}};
  const auto mismatch_after = [&](const std::function<void(Plan&)>& edit) {
    const ScratchFolder scratch;
    Plan plan = plan_for(model, segmentation);
    edit(plan);
    write_segments(model, segmentation, to_json(plan), scratch.path());
    return verify_segments(model, find_segments(scratch.path()), cpu_backend(),
                           {.plan = find_plan(scratch.path()), .inputs = 1})
        .mismatch;
  };
  using ::testing::HasSubstr;
  EXPECT_EQ(mismatch_after([](Plan&) {}), "");
  EXPECT_THAT(mismatch_after([](Plan& p) { p.model.sha256 = "00"; }), HasSubstr("another model"));
  EXPECT_THAT(mismatch_after([](Plan& p) { ++p.stages[1].parameter_bytes; }),
              HasSubstr("parameter bytes of stage 1"));
  EXPECT_THAT(mismatch_after([](Plan& p) { p.stages[0].operators = {OperatorId{3}}; }),
              HasSubstr("operator 3 is not in segment 0"));
  EXPECT_THAT(mismatch_after([](Plan& p) { p.stages[1].inputs.pop_back(); }),
              HasSubstr("inputs of stage 1"));
}

TEST(Verify, EveryDerivedPlanNumberIsChecked) {
  const Model model = skipping().build();
  const Segmentation segmentation{{operators(0, 1), operators(2, 3)}};
  const ScratchFolder scratch;
  const Plan truth = plan_for(model, segmentation);
  write_segments(model, segmentation, to_json(truth), scratch.path());
  const auto mismatch_after = [&](const std::function<void(Plan&)>& edit) {
    Plan plan = truth;
    edit(plan);
    return verify_segments(model, find_segments(scratch.path()), cpu_backend(),
                           {.plan = plan, .inputs = 1})
        .mismatch;
  };
  const std::vector<std::pair<const char*, std::function<void(Plan&)>>> edits{
      {"operators of the model", [](Plan& p) { ++p.model.operator_count; }},
      {"parameter bytes of the model", [](Plan& p) { ++p.model.parameter_bytes; }},
      {"MACs of the model", [](Plan& p) { ++p.model.macs; }},
      {"depth of the model", [](Plan& p) { ++p.model.depth; }},
      {"first depth of stage 1", [](Plan& p) { --p.stages[1].first_depth; }},
      {"last depth of stage 0", [](Plan& p) { ++p.stages[0].last_depth; }},
      {"parameter bytes of stage 0", [](Plan& p) { --p.stages[0].parameter_bytes; }},
      {"MACs of stage 0", [](Plan& p) { ++p.stages[0].macs; }},
      {"input bytes of stage 1", [](Plan& p) { ++p.stages[1].input_bytes; }},
      {"output bytes of stage 0", [](Plan& p) { ++p.stages[0].output_bytes; }},
      {"outputs of stage 0", [](Plan& p) { p.stages[0].outputs[0] = "z"; }},
      {"operator 0 twice",
       [](Plan& p) {
         p.stages[0].operators = {OperatorId{0}, OperatorId{0}};
       }},
      {"number of operators of stage 0", [](Plan& p) { p.stages[0].operators.pop_back(); }}};
  for (const auto& [message, edit] : edits)
    EXPECT_THAT(mismatch_after(edit), ::testing::HasSubstr(message));
  EXPECT_EQ(mismatch_after([](Plan& p) { ++p.stages[0].on_chip_bytes; }), "");
}

// An LSTM keeps its state in two variable tensors from one input to the next.
TEST(Verify, LstmStateStaysInItsSegment) {
  const auto path = testing::shared("models/keras_lstm_mnist_ptq.tflite");
  SKIP_WITHOUT(path);
  const Model model = read_model(path);
  const auto holds_state = [&](const Operator& op) {
    return std::ranges::any_of(op.inputs, [&](std::int32_t tensor) {
      return tensor >= 0 && model.tensor(tensor_id(tensor)).is_variable;
    });
  };
  const auto lstm = std::ranges::find_if(model.operators(), holds_state);
  ASSERT_NE(lstm, model.operators().end());
  const auto last = static_cast<std::uint32_t>(model.operators().size()) - 1;
  const auto cut = static_cast<std::uint32_t>(lstm - model.operators().begin());
  const ScratchFolder scratch;
  split(model, {{operators(0, cut), operators(cut + 1, last)}}, scratch.path());
  const VerifyReport report =
      verify_segments(model, find_segments(scratch.path()), cpu_backend(), {.inputs = 4});
  EXPECT_EQ(report.mismatch, "");
  EXPECT_EQ(report.inputs_run, 4U);
}

TEST(Verify, TrailingBytesAreAMismatch) {
  const ScratchFolder scratch;
  const Model model = skipping().build();
  split(model, {{operators(0, 1), operators(2, 3)}}, scratch.path());
  const fs::path file = find_segments(scratch.path()).at(1);
  auto bytes = testing::read_bytes(file);
  bytes.resize(bytes.size() + 64);
  testing::write_bytes(file, bytes);
  EXPECT_THAT(verify(model, scratch.path()).mismatch,
              ::testing::HasSubstr("segment 1: the file has"));
}

TEST(Verify, ChangedIntermediatesAreAMismatch) {
  ModelBuilder b = skipping();
  b.graph().operators[1]->intermediates = {b.tensor("scratch", {1})};
  const Model model = b.build();
  const ScratchFolder scratch;
  split(model, {{operators(0, 0), operators(1, 1), operators(2, 3)}}, scratch.path());
  EXPECT_EQ(verify(model, scratch.path()).mismatch, "");
  ModelBuilder segment;
  const auto bytes = testing::read_bytes(find_segments(scratch.path()).at(1));
  segment.raw() = std::move(*tflite::UnPackModel(bytes.data()));
  segment.graph().operators[0]->intermediates.clear();
  replace_segment(scratch.path(), 1, segment);
  EXPECT_THAT(verify(model, scratch.path()).mismatch, ::testing::HasSubstr("in the whole model"));
}

// Makes a model x -> y with a variable that is written and read separately.
ModelBuilder with_variable() {
  ModelBuilder b;
  const auto x = b.input("x", {1, 4});
  const auto handle = b.tensor("handle", {});
  b.at(handle).type = tflite::TensorType::RESOURCE;
  b.at(handle).quantization.reset();
  tflite::VarHandleOptionsT named;
  named.shared_name = "counter";
  b.op(tflite::BuiltinOperator::VAR_HANDLE, {}, {handle}).builtin_options.Set(named);
  b.op(tflite::BuiltinOperator::ASSIGN_VARIABLE, {handle, x}, {});
  const auto value = b.tensor("value", {1, 4});
  b.op(tflite::BuiltinOperator::READ_VARIABLE, {handle}, {value});
  b.output(b.relu(b.add(value, x, "sum"), "y"));
  for (auto& code : b.raw().operator_codes) code->version = 1;
  return b;
}

TEST(Verify, OutputlessOperatorsMatchByInputs) {
  const ScratchFolder scratch;
  const Model model = with_variable().build();
  split(model, {{operators(0, 3), operators(4, 4)}}, scratch.path());
  const VerifyReport report =
      verify_segments(model, find_segments(scratch.path()), cpu_backend(), {.inputs = 0});
  EXPECT_EQ(report.mismatch, "");
  EXPECT_EQ(report.operator_count, 5U);
}

TEST(Verify, NonUtf8NamesMatchPlan) {
  const ScratchFolder scratch;
  ModelBuilder b = skipping();
  b.at(b.graph().operators[1]->outputs[0]).name = "caf\xE9";
  const Model model = b.build("mod\xE8le");
  split(model, {{operators(0, 1), operators(2, 3)}}, scratch.path());
  const auto report = verify_segments(model, find_segments(scratch.path()), cpu_backend(),
                                      {.plan = find_plan(scratch.path()), .inputs = 1});
  EXPECT_EQ(report.mismatch, "");
  EXPECT_EQ(count_other_segments(scratch.path(), model.name(), 2), 0U);
}

TEST(Verify, TruncatedSegmentIsRefusedWithRemedy) {
  const ScratchFolder scratch;
  const Model model = skipping().build();
  split(model, {{operators(0, 3)}}, scratch.path());
  const fs::path file = find_segments(scratch.path()).at(0);
  fs::resize_file(file, fs::file_size(file) / 2);
  expect_error(ErrorCode::kInvalidModel, [&] { (void)verify(model, scratch.path()); },
               {"split the model again"});
}

struct Sabotage {
  const char* name;
  void (*edit)(ModelBuilder&);  // changes the second segment, b
  std::vector<std::string> message;
};

class EditedSegment : public ::testing::TestWithParam<Sabotage> {};

TEST_P(EditedSegment, MismatchNamesItsPlace) {
  const ScratchFolder scratch;
  const Model model = skipping().build();
  split(model, {{operators(0, 0), operators(1, 1), operators(2, 3)}}, scratch.path());
  ModelBuilder segment;
  const auto bytes = testing::read_bytes(find_segments(scratch.path()).at(1));
  segment.raw() = std::move(*tflite::UnPackModel(bytes.data()));
  GetParam().edit(segment);
  replace_segment(scratch.path(), 1, segment);
  const VerifyReport report = verify(model, scratch.path());
  EXPECT_FALSE(report.agrees());
  for (const std::string& part : GetParam().message)
    EXPECT_THAT(report.mismatch, ::testing::HasSubstr(part));
}

INSTANTIATE_TEST_SUITE_P(
    All, EditedSegment,
    ::testing::Values(Sabotage{"OneWeight",
                               [](ModelBuilder& b) { b.raw().buffers[1]->data[3] ^= 1; },
                               {"segment 1", "b/kernel"}},
                      Sabotage{"AScale",
                               [](ModelBuilder& b) { b.at(1).quantization->scale[0] *= 2; },
                               {"segment 1", "b/kernel"}},
                      Sabotage{
                          "AnOption",
                          [](ModelBuilder& b) {
                            b.graph().operators[0]->builtin_options.AsConv2DOptions()->padding =
                                tflite::Padding::VALID;
                          },
                          {"segment 1", "'b'"}},
                      Sabotage{"AVersion",
                               [](ModelBuilder& b) { b.raw().operator_codes[0]->version = 4; },
                               {"segment 1", "'b'"}},
                      Sabotage{"AName",
                               [](ModelBuilder& b) { b.at(b.graph().outputs[0]).name = "other"; },
                               {"segment 1", "other"}},
                      Sabotage{"AnExtraOperator",
                               [](ModelBuilder& b) {
                                 const auto extra = b.relu(b.graph().outputs[0], "extra");
                                 b.graph().outputs[0] = extra;
                               },
                               {"extra"}},
                      Sabotage{"AMissingOutput",
                               [](ModelBuilder& b) { b.graph().outputs[0] = b.graph().inputs[0]; },
                               {"segment"}}),
    [](const auto& row) { return row.param.name; });

// Changes one output byte. The structure is equal on both sides, so only running shows the
// difference.
class Bent : public Session {
 public:
  explicit Bent(std::unique_ptr<Session> inner) : inner_(std::move(inner)) {}
  [[nodiscard]] std::span<const Port> inputs() const override { return inner_->inputs(); }
  [[nodiscard]] std::span<const Port> outputs() const override { return inner_->outputs(); }
  void run_into(std::span<const std::span<const std::byte>> inputs,
                std::vector<TensorBytes>& outputs) override {
    inner_->run_into(inputs, outputs);
    outputs[0][5] ^= std::byte{1};
  }

 private:
  std::unique_ptr<Session> inner_;
};

class BendsOneSegment : public Backend {
 public:
  [[nodiscard]] std::string description() const override { return "bent"; }
  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> model,
                                              const std::string& name) const override {
    auto session = cpu_backend().open(model, name);
    if (name.find("segment_1_of_3") == std::string::npos) return session;
    return std::make_unique<Bent>(std::move(session));
  }
};

TEST(Verify, WrongResultNamesSegmentTensorAndByte) {
  const ScratchFolder scratch;
  const Model model = skipping().build();
  split(model, {{operators(0, 0), operators(1, 1), operators(2, 3)}}, scratch.path());
  const auto report =
      verify_segments(model, find_segments(scratch.path()), BendsOneSegment(), {.inputs = 1});
  EXPECT_THAT(report.mismatch, ::testing::HasSubstr("segment 1: tensor 'b'"));
  EXPECT_THAT(report.mismatch, ::testing::HasSubstr("byte 5"));
}

class Dies : public Session {
 public:
  explicit Dies(std::unique_ptr<Session> inner) : inner_(std::move(inner)) {}
  [[nodiscard]] std::span<const Port> inputs() const override { return inner_->inputs(); }
  [[nodiscard]] std::span<const Port> outputs() const override { return inner_->outputs(); }
  void run_into(std::span<const std::span<const std::byte>>, std::vector<TensorBytes>&) override {
    std::raise(SIGSEGV);
  }

 private:
  std::unique_ptr<Session> inner_;
};

class DiesInOneSegment : public Backend {
 public:
  [[nodiscard]] std::string description() const override { return "a frail runtime"; }
  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> model,
                                              const std::string& name) const override {
    auto session = cpu_backend().open(model, name);
    if (name.find("segment_1_of_3") == std::string::npos) return session;
    return std::make_unique<Dies>(std::move(session));
  }
};

TEST(Verify, RuntimeCrashNamesSegment) {
  const ScratchFolder scratch;
  const Model model = skipping().build();
  split(model, {{operators(0, 0), operators(1, 1), operators(2, 3)}}, scratch.path());
  expect_error(ErrorCode::kInvalidModel,
               [&] {
                 (void)verify_segments(model, find_segments(scratch.path()), DiesInOneSegment(),
                                       {.inputs = 1});
               },
               {"a frail runtime crashed (signal 11", "running segment 1"});
}

TEST(Verify, MissingSegmentIsAMismatch) {
  const ScratchFolder scratch;
  const Model model = skipping().build();
  split(model, {{operators(0, 0), operators(1, 1), operators(2, 3)}}, scratch.path());
  auto files = find_segments(scratch.path());
  files.erase(files.begin() + 1);
  EXPECT_FALSE(verify_segments(model, files, cpu_backend(), {}).agrees());
}

}  // namespace
}  // namespace segue
