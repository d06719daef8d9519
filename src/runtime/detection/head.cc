#include "runtime/detection/head.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "segue/error.h"

namespace segue::detection {
namespace {

constexpr std::string_view kPostProcess = "TFLite_Detection_PostProcess";

Port port_of(const Model& model, TensorId id) {
  const Tensor& tensor = model.tensor(id);
  return {
      model.unique_name(id), tensor.type, {tensor.shape.begin(), tensor.shape.end()}, tensor.bytes};
}

std::string describe(const Port& port) {
  return fmt::format("'{}' {} [{}]", port.name, to_string(port.type), fmt::join(port.shape, ", "));
}

bool is_8_bit(ElementType type) {
  return type == ElementType::kInt8 || type == ElementType::kUint8;
}

// Whether the operator moves values without changing them.
bool moves_values(std::string_view op) {
  constexpr std::array<std::string_view, 9> kMoves{"CONCATENATION", "DEQUANTIZE",    "EXPAND_DIMS",
                                                   "QUANTIZE",      "RESHAPE",       "SLICE",
                                                   "SQUEEZE",       "STRIDED_SLICE", "TRANSPOSE"};
  return std::ranges::find(kMoves, op) != kMoves.end();
}

// Whether the tensor has the quantization that TensorFlow Lite requires of LOGISTIC and SOFTMAX. It
// remains visible if the operator is in another segment or compiled.
bool is_quantized_probability(const Tensor& tensor) {
  constexpr float kScale = 1.0F / 256;
  const Quantization& of = tensor.quantization;
  if (!is_8_bit(tensor.type) || of.scales.size() != 1 || of.zero_points.size() != 1) return false;
  return of.scales[0] == kScale &&
         of.zero_points[0] == (tensor.type == ElementType::kInt8 ? -128 : 0);
}

using Names = std::unordered_set<std::string>;

// `known`: names of tensors of earlier segments that are probabilities.
bool is_probability(const Model& model, TensorId id, const Names& known) {
  while (!is_quantized_probability(model.tensor(id))) {
    const auto producer = model.producer(id);
    if (!producer) return known.contains(model.unique_name(id));
    const Operator& op = model.op(*producer);
    if (op.name == "LOGISTIC" || op.name == "SOFTMAX") return true;
    if (!moves_values(op.name) || op.inputs.empty() || op.inputs[0] < 0) return false;
    id = tensor_id(op.inputs[0]);
  }
  return true;
}

std::optional<PostProcessed> post_processed(const Model& model, TensorId id) {
  const auto producer = model.producer(id);
  if (!producer || model.op(*producer).name != kPostProcess) return std::nullopt;
  const auto outputs = model.op(*producer).outputs;
  const auto at = std::ranges::find(outputs, static_cast<std::int32_t>(index(id)));
  const auto position = static_cast<std::size_t>(at - outputs.begin());
  if (position > static_cast<std::size_t>(PostProcessed::kCount)) return std::nullopt;
  return PostProcessed{static_cast<std::uint8_t>(position)};
}

HeadOutput output_of(const Model& model, TensorId id, const Names& known) {
  HeadOutput output;
  output.port = port_of(model, id);
  const Quantization& of = model.tensor(id).quantization;
  const bool is_quantized = of.scales.size() == 1 && of.zero_points.size() == 1;
  if (output.port.type != ElementType::kFloat32 && !(is_8_bit(output.port.type) && is_quantized)) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: output {} cannot be decoded as detections; expected FLOAT32, or "
                            "INT8 or UINT8 with one scale",
                            model.name(), describe(output.port)));
  }
  if (is_quantized) {
    output.scale = of.scales[0];
    output.zero_point = static_cast<std::int32_t>(of.zero_points[0]);
  }
  output.post_processed = post_processed(model, id);
  output.is_probability = is_probability(model, id, known);
  return output;
}

void set_input(Head& head, const std::vector<Port>& inputs) {
  const auto is_picture = [](const Port& port) {
    return port.shape.size() == 4 && port.shape[0] == 1 && port.shape[3] == 3 &&
           std::ranges::all_of(port.shape, [](std::int32_t e) { return e > 0 && e <= 1 << 14; }) &&
           (is_8_bit(port.type) || port.type == ElementType::kFloat32);
  };
  if (inputs.size() == 1 && is_picture(inputs[0])) {
    head.input = inputs[0];
    return;
  }
  std::vector<std::string> seen;
  for (const Port& port : inputs) seen.push_back(describe(port));
  throw Error(ErrorCode::kUnsupported,
              fmt::format("{}: a detector needs one picture as its input ([1, H, W, 3] UINT8, INT8 "
                          "or FLOAT32), but the model has {}",
                          head.model, fmt::join(seen, ", ")));
}

// Collects what the segments read and write, one segment at a time.
class SegmentsReader {
 public:
  void add(const PipelineSegment& segment) {
    const Model model = parse_model({segment.model.begin(), segment.model.end()}, segment.name);
    if (name_.empty()) name_ = model.name();
    for (const TensorId id : model.inputs()) {
      read_.insert(model.unique_name(id));
      if (!written_.contains(model.unique_name(id)) && is_new_input(model.unique_name(id)))
        inputs_.push_back(port_of(model, id));
    }
    for (const TensorId id : model.outputs()) {
      const std::string& name = model.unique_name(id);
      if (!written_.insert(name).second) continue;
      order_.push_back(name);
      // A tensor between segments may have any type. Only the types of outputs matter.
      try {
        const HeadOutput output = output_of(model, id, probabilities_);
        if (output.is_probability) probabilities_.insert(name);
        outputs_.emplace(name, output);
      } catch (const Error& error) {
        refused_.emplace(name, error);
      }
    }
  }

  [[nodiscard]] Head finish(const std::vector<std::string>& outputs) {
    Head head;
    head.model = name_;
    set_input(head, inputs_);
    for (const std::string& name : outputs.empty() ? unread() : outputs) {
      if (const auto found = refused_.find(name); found != refused_.end()) throw found->second;
      const auto found = outputs_.find(name);
      if (found == outputs_.end())
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("pipeline output '{}' is not an output of any segment", name));
      head.outputs.push_back(found->second);
    }
    return head;
  }

 private:
  [[nodiscard]] bool is_new_input(const std::string& name) const {
    return std::ranges::find(inputs_, name, &Port::name) == inputs_.end();
  }
  [[nodiscard]] std::vector<std::string> unread() const {
    std::vector<std::string> names;
    std::ranges::copy_if(order_, std::back_inserter(names),
                         [this](const std::string& name) { return !read_.contains(name); });
    return names;
  }

  std::string name_;
  std::vector<Port> inputs_;
  Names read_;
  Names written_;
  Names probabilities_;
  std::vector<std::string> order_;  // of what is written
  std::unordered_map<std::string, HeadOutput> outputs_;
  std::unordered_map<std::string, Error> refused_;
};

}  // namespace

Head head_of(const Model& model) {
  Head head;
  head.model = model.name();
  std::vector<Port> inputs;
  for (const TensorId id : model.inputs()) inputs.push_back(port_of(model, id));
  set_input(head, inputs);
  for (const TensorId id : model.outputs()) head.outputs.push_back(output_of(model, id, {}));
  return head;
}

Head head_of(const PipelineLayout& layout) {
  SegmentsReader reader;
  for (const PipelineSegment& segment : layout.segments) {
    if (segment.host == nullptr) reader.add(segment);
  }
  return reader.finish(layout.outputs);
}

std::string describe(const std::vector<HeadOutput>& outputs) {
  std::vector<std::string> texts;
  for (const HeadOutput& output : outputs) texts.push_back(describe(output.port));
  return fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace segue::detection
