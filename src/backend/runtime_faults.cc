#include "backend/runtime_faults.h"

#include <fmt/format.h>

#include <array>

#include "backend/probe_models.h"
#include "model/schema.h"
#include "segue/error.h"

namespace segue {
namespace {

bool is_dense(const tflite::OperatorCode& code) {
  constexpr auto kDense = tflite::BuiltinOperator::FULLY_CONNECTED;
  return code.builtin_code() == kDense ||
         code.deprecated_builtin_code() == static_cast<std::int8_t>(kDense);
}

// The weights of the first FULLY_CONNECTED with several scales; null where there is none.
const tflite::Tensor* find_dense_per_output(const tflite::SubGraph& graph,
                                            const tflite::Model& model) {
  if (graph.operators() == nullptr || graph.tensors() == nullptr) return nullptr;
  for (const tflite::Operator* op : *graph.operators()) {
    if (op->inputs() == nullptr || op->inputs()->size() < 2) continue;
    if (!is_dense(*model.operator_codes()->Get(op->opcode_index()))) continue;
    const std::int32_t weights = op->inputs()->Get(1);
    if (weights < 0) continue;
    const tflite::Tensor* tensor = graph.tensors()->Get(static_cast<std::uint32_t>(weights));
    const auto* quantization = tensor->quantization();
    const bool is_int8 = tensor->type() == tflite::TensorType::INT8;
    if (is_int8 && quantization != nullptr && quantization->scale() != nullptr &&
        quantization->scale()->size() > 1)
      return tensor;
  }
  return nullptr;
}

const tflite::Tensor* find_dense_per_output(std::span<const std::byte> bytes) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  flatbuffers::Verifier verifier(data, bytes.size());
  if (!tflite::VerifyModelBuffer(verifier)) return nullptr;  // the runtime says what is wrong
  const tflite::Model& model = *tflite::GetModel(data);
  if (model.subgraphs() == nullptr || model.operator_codes() == nullptr) return nullptr;
  for (const tflite::SubGraph* graph : *model.subgraphs()) {
    if (const auto* found = find_dense_per_output(*graph, model)) return found;
  }
  return nullptr;
}

constexpr const char* kDenseFault =
    "computes FULLY_CONNECTED wrongly where the weights have one scale per output, as TensorFlow "
    "2.17 and later convert every int8 Dense layer";
constexpr const char* kRemedy =
    "use TensorFlow Lite 2.14 or later (`scripts/setup` fetches 2.21; --runtime or "
    "SEGUE_TFLITE_LIB names another)";

}  // namespace

bool RuntimeFaults::has_dense_fault() const {
  std::call_once(is_tried_, [this] {
    const std::vector<std::byte> model = dense_with_scale_per_output();
    const auto session = open_tflite_session(runtime_, model, "a test of the runtime", {}, {});
    const std::array input{std::byte{10}, std::byte{20}};
    const std::span<const std::byte> inputs(input);
    // 10 * 1 + 20 * 1, and 0.5 * (10 * 2 + 20 * 4).
    const TensorBytes expected{std::byte{30}, std::byte{50}};
    has_dense_fault_ = session->run({&inputs, 1}).at(0) != expected;
  });
  return has_dense_fault_;
}

void RuntimeFaults::check(std::span<const std::byte> model, const std::string& name) const {
  const tflite::Tensor* weights = find_dense_per_output(model);
  if (weights == nullptr || !has_dense_fault()) return;
  throw Error(ErrorCode::kDevice,
              fmt::format("{}: TensorFlow Lite {} {}; here '{}' has {} scales; {}", name,
                          runtime_->api.version(), kDenseFault,
                          weights->name() == nullptr ? "" : weights->name()->string_view(),
                          weights->quantization()->scale()->size(), kRemedy));
}

std::vector<std::string> RuntimeFaults::sentences() const {
  if (!has_dense_fault()) return {};
  return {fmt::format("TensorFlow Lite {} {}; {}", runtime_->api.version(), kDenseFault, kRemedy)};
}

}  // namespace segue
