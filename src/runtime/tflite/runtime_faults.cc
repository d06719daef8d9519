#include "runtime/tflite/runtime_faults.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/internal/process/isolated.h"
#include "model/internal/flatbuffer.h"
#include "model/internal/schema.h"
#include "runtime/tflite/probe_models.h"
#include "runtime/tflite/xnnpack.h"
#include "segue/error.h"

namespace segue {
namespace {

bool is_dense(const tflite::OperatorCode& code) {
  constexpr auto kDense = tflite::BuiltinOperator::FULLY_CONNECTED;
  return code.builtin_code() == kDense ||
         code.deprecated_builtin_code() == static_cast<std::int8_t>(kDense);
}

// Returns the weights of a FULLY_CONNECTED. Returns null for other operators and for indices out of
// range: the reader may not have checked these bytes, and the runtime reports what is wrong with
// them.
const tflite::Tensor* dense_weights(const tflite::Operator& op, const tflite::SubGraph& graph,
                                    const tflite::Model& model) {
  if (op.inputs() == nullptr || op.inputs()->size() < 2) return nullptr;
  if (op.opcode_index() >= model.operator_codes()->size()) return nullptr;
  if (!is_dense(*model.operator_codes()->Get(op.opcode_index()))) return nullptr;
  const std::int32_t weights = op.inputs()->Get(1);
  if (weights < 0 || static_cast<std::uint32_t>(weights) >= graph.tensors()->size()) return nullptr;
  return graph.tensors()->Get(static_cast<std::uint32_t>(weights));
}

// Returns the weights of the first FULLY_CONNECTED with several scales, or null if there is none.
const tflite::Tensor* find_dense_per_output(const tflite::SubGraph& graph,
                                            const tflite::Model& model) {
  if (graph.operators() == nullptr || graph.tensors() == nullptr) return nullptr;
  for (const tflite::Operator* op : *graph.operators()) {
    const tflite::Tensor* weights = dense_weights(*op, graph, model);
    if (weights == nullptr || weights->type() != tflite::TensorType::INT8) continue;
    const auto* quantization = weights->quantization();
    if (quantization != nullptr && quantization->scale() != nullptr &&
        quantization->scale()->size() > 1)
      return weights;
  }
  return nullptr;
}

const tflite::Tensor* find_dense_per_output(std::span<const std::byte> bytes) {
  const auto reach = std::min<std::uint64_t>(bytes.size(), kLargestFlatbufferBytes);
  if (!is_model_flatbuffer(bytes.first(reach))) return nullptr;  // the runtime reports the error
  const tflite::Model& model = *tflite::GetModel(bytes.data());
  if (model.subgraphs() == nullptr || model.operator_codes() == nullptr) return nullptr;
  for (const tflite::SubGraph* graph : *model.subgraphs()) {
    if (const auto* found = find_dense_per_output(*graph, model)) return found;
  }
  return nullptr;
}

constexpr std::string_view kWrong = "wrong";
constexpr std::string_view kRight = "right";
constexpr Nanoseconds kLongestTest = std::chrono::seconds(20);

// Computes a dense layer of two outputs with different scales, and compares the outputs with the
// expected ones.
std::string computed_dense(const std::shared_ptr<const TfLiteRuntime>& runtime,
                           CpuKernels kernels) {
  const std::vector<std::byte> model = dense_with_scale_per_output();
  DelegatePointer delegate;
  if (kernels == CpuKernels::kXnnpack) delegate = make_xnnpack(*runtime, 1);
  const auto session =
      open_tflite_session(runtime, model, "a test of the runtime", std::move(delegate), {});
  const std::array input{std::byte{10}, std::byte{20}};
  const std::span<const std::byte> inputs(input);
  // 10 * 1 + 20 * 1, and 0.5 * (10 * 2 + 20 * 4).
  const TensorBytes expected{std::byte{30}, std::byte{50}};
  return std::string(session->run({&inputs, 1}).at(0) == expected ? kRight : kWrong);
}

}  // namespace

RuntimeFaults::DenseFault RuntimeFaults::dense_fault() const {
  std::call_once(is_tried_, [this] {
    try {
      const std::string result = run_isolated(
          [this](const StepReport&) { return computed_dense(runtime_, kernels_); }, kLongestTest);
      if (result == kWrong) dense_fault_ = DenseFault::kWrong;
    } catch (const Crash& crash) {
      if (!crash.timed_out) dense_fault_ = DenseFault::kCrash;
    } catch (const Error&) {
      // The runtime cannot run the test. The real model then loads, or fails with an error that
      // names it.
    }
  });
  return dense_fault_;
}

std::string RuntimeFaults::sentence(const std::string& where) const {
  const bool crashes = dense_fault() == DenseFault::kCrash;
  const std::string_view remedy =
      crashes
          ? "use --kernels xnnpack, or another runtime"
          : "use TensorFlow Lite 2.14 or later (`scripts/setup` fetches 2.21; set its path with "
            "--runtime or SEGUE_TFLITE_LIB)";
  return fmt::format(
      "TensorFlow Lite {} {} FULLY_CONNECTED {}if the weights have one scale per output, which is "
      "how TensorFlow 2.17 and later convert every int8 Dense layer; {}{}",
      runtime_->api.version(), crashes ? "crashes in" : "computes", crashes ? "" : "wrongly ",
      where, remedy);
}

void RuntimeFaults::check(std::span<const std::byte> model, const std::string& name) const {
  const tflite::Tensor* weights = find_dense_per_output(model);
  if (weights == nullptr || dense_fault() == DenseFault::kNone) return;
  const std::string here = fmt::format(
      "here '{}' has {} scales; ", weights->name() == nullptr ? "" : weights->name()->string_view(),
      weights->quantization()->scale()->size());
  throw Error(ErrorCode::kDevice, fmt::format("{}: {}", name, sentence(here)));
}

std::vector<std::string> RuntimeFaults::sentences() const {
  if (dense_fault() == DenseFault::kNone) return {};
  return {sentence("")};
}

}  // namespace segue
