#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "model/element_bits.h"
#include "model/execution_order.h"
#include "model/foreign_file.h"
#include "model/internal/batch.h"
#include "model/internal/flatbuffer.h"
#include "model/model_state.h"
#include "model/references.h"
#include "model/stored_bytes.h"
#include "model/subgraphs.h"
#include "model/usable_content.h"
#include "segue/error.h"

namespace segue {
namespace {

static_assert(std::endian::native == std::endian::little, "tensor views alias the file's bytes");

namespace fb = flatbuffers;

constexpr std::size_t kMinFileBytes = 24;

[[noreturn]] void fail(ErrorCode code, const std::string& file, const std::string& reason) {
  throw Error(code, fmt::format("{}: {}", file, reason));
}

// Verifies a file and fills Model::State. Each method relies on the checks of those before it.
class Builder {
 public:
  Builder(std::string name, std::string label, std::unique_ptr<FileBytes> file,
          const ReadOptions& options)
      : label_(std::move(label)),
        options_(options),
        state_(std::make_unique<Model::State>(std::move(name), std::move(file))) {}

  Model build() {
    check_flatbuffer();
    check_usable_content();
    check_structure();
    check_references();
    choose_subgraph();
    read_tensors();
    read_operators();
    read_borders();
    check_execution_order();
    fix_batch(*state_);
    name_tensors();
    state_->archive = find_archive(state_->file->view());
    return ModelReader::make(std::move(state_));
  }

 private:
  [[noreturn]] void invalid(const std::string& reason) const {
    fail(ErrorCode::kInvalidModel, label_,
         reason + "; the file is damaged: convert or download it again");
  }
  [[noreturn]] void unsupported(const std::string& reason) const {
    fail(ErrorCode::kUnsupported, label_, reason);
  }

  void check_flatbuffer() {
    const auto bytes = state_->file->view();
    const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
    if (bytes.empty())
      fail(ErrorCode::kInvalidModel, label_, "the file is empty; give a .tflite model");
    if (bytes.size() < kMinFileBytes || !tflite::ModelBufferHasIdentifier(data)) {
      const std::string kind = describe_foreign_file(bytes);
      fail(ErrorCode::kInvalidModel, label_,
           "not a TensorFlow Lite model: " +
               (kind.empty() ? "no identifier \"TFL3\" at byte 4; give a .tflite file" : kind));
    }
    // Weights may be stored after the flatbuffer. There they may exceed its addressable size.
    const auto reach = std::min<std::uint64_t>(bytes.size(), kLargestFlatbufferBytes);
    if (!is_flatbuffer(reach)) {
      if (reach == bytes.size()) {
        invalid(fmt::format("the flatbuffer of {} bytes is truncated or corrupt", bytes.size()));
      }
      unsupported(
          fmt::format("the flatbuffer of this file ({} bytes) does not end within 2 GB; quantize "
                      "the model, or convert a smaller one",
                      bytes.size()));
    }
    state_->root = tflite::GetModel(data);
    const FlatbufferExtent extent = flatbuffer_extent(*state_->root, bytes.size());
    if (extent.problem) invalid(*extent.problem);
    state_->is_flatbuffer_alone = extent.most_bytes == bytes.size();
    if (extent.most_bytes < reach && !is_flatbuffer(extent.most_bytes)) {
      invalid(fmt::format("the weights or options at byte {} are inside the flatbuffer",
                          extent.most_bytes));
    }
  }

  // Whether the first bytes of the file contain the whole flatbuffer, and it passes the verifier.
  [[nodiscard]] bool is_flatbuffer(std::uint64_t bytes) const {
    return is_model_flatbuffer(state_->file->view().first(bytes));
  }

  void check_usable_content() const {
    const auto& table = *reinterpret_cast<const fb::Table*>(state_->root);
    // Without sharing, lists and texts need at most the size of the file. The limit of twice the
    // size allows some sharing.
    UnpackedSize size{.most = 2 * state_->file->view().size()};
    const auto found = find_unusable_content(table, *tflite::ModelTypeTable(), "Model", size);
    if (!found) return;
    switch (found->kind) {
      case UnusableContent::Kind::kTooLarge:
        invalid(
            "shared lists, names or options of its tables would need more than twice the memory of "
            "the file (" +
            found->what + ")");
      case UnusableContent::Kind::kMisaligned:
        invalid(found->what + " is not aligned to the size of its elements");
      case UnusableContent::Kind::kUnknown:
        unsupported(found->what +
                    ": written by a newer converter than this version of segue supports; update "
                    "segue, or convert the model with an older TensorFlow");
    }
  }

  void check_structure() {
    const tflite::Model& root = *state_->root;
    if (root.version() != 3) {
      unsupported(fmt::format(
          "schema version {}; only version 3 is supported: convert the model with TensorFlow 2",
          root.version()));
    }
    if (root.subgraphs() == nullptr || root.subgraphs()->size() == 0)
      invalid("the file has no subgraph");
    if (root.buffers() == nullptr || root.operator_codes() == nullptr) {
      invalid("buffers or operator codes are missing");
    }
    const auto is_used = [](const auto* list) { return list != nullptr && list->size() > 0; };
    if (is_used(root.external_buffers()) || is_used(root.external_buffer_groups())) {
      unsupported(
          "the weights are in other files (external buffers); convert the model to one file");
    }
  }

  void choose_subgraph() {
    const tflite::Model& root = *state_->root;
    state_->subgraph_position = segue::choose_subgraph(root, options_.signature, label_);
    check_stands_alone(root, state_->subgraph_position, label_);
    state_->subgraph = root.subgraphs()->Get(static_cast<fb::uoffset_t>(state_->subgraph_position));
    if (state_->subgraph->tensors() == nullptr || state_->subgraph->operators() == nullptr ||
        state_->subgraph->operators()->size() == 0) {
      invalid("the model has no operators");
    }
  }

  [[nodiscard]] std::uint64_t value_bytes(const Tensor& tensor, std::size_t position) const {
    const unsigned bits = element_bits(tensor.type);
    for (const std::int32_t extent : tensor.shape) {
      if (extent < 0)
        invalid(fmt::format("tensor #{} '{}' has the extent {}", position, tensor.name, extent));
    }
    const auto elements = element_count(tensor.shape);
    if (!elements)
      invalid(
          fmt::format("tensor #{} '{}' is larger than the address space", position, tensor.name));
    return (*elements * bits + 7) / 8;
  }

  [[nodiscard]] Quantization read_quantization(const tflite::Tensor& source, const Tensor& tensor,
                                               std::size_t position) const {
    Quantization result;
    const tflite::QuantizationParameters* parameters = source.quantization();
    if (parameters == nullptr || parameters->scale() == nullptr || parameters->scale()->size() == 0)
      return result;
    result.scales = {parameters->scale()->data(), parameters->scale()->size()};
    if (parameters->zero_point() != nullptr) {
      result.zero_points = {parameters->zero_point()->data(), parameters->zero_point()->size()};
    }
    result.dimension = parameters->quantized_dimension();
    const auto label = [&] { return fmt::format("tensor #{} '{}'", position, tensor.name); };
    if (!std::ranges::all_of(result.scales, [](float scale) { return std::isfinite(scale); }))
      invalid(label() + " has a quantization scale that is not a finite number");
    if (!result.zero_points.empty() && result.zero_points.size() != result.scales.size()) {
      invalid(fmt::format("{} has {} scales and {} zero points", label(), result.scales.size(),
                          result.zero_points.size()));
    }
    if (result.scales.size() > 1) {
      const auto dimension = static_cast<std::size_t>(result.dimension);
      if (result.dimension < 0 || dimension >= tensor.shape.size() ||
          static_cast<std::size_t>(tensor.shape[dimension]) != result.scales.size()) {
        invalid(fmt::format("{} has {} scales along dimension {}, which does not match its shape",
                            label(), result.scales.size(), result.dimension));
      }
    }
    return result;
  }

  [[nodiscard]] Tensor read_tensor(const tflite::Tensor& source, std::size_t position) const {
    Tensor tensor;
    if (source.name() != nullptr) tensor.name = source.name()->string_view();
    tensor.type = static_cast<ElementType>(source.type());
    if (source.shape() != nullptr) tensor.shape = {source.shape()->data(), source.shape()->size()};
    if (const auto* signature = source.shape_signature(); signature != nullptr)
      tensor.shape_signature = {signature->data(), signature->size()};
    tensor.is_variable = source.is_variable();
    tensor.buffer = source.buffer();
    tensor.bytes = value_bytes(tensor, position);
    if (source.external_buffer() != 0) {
      unsupported(
          fmt::format("tensor #{} '{}' is stored in another file; convert the model to one file",
                      position, tensor.name));
    }
    const auto& buffers = *state_->root->buffers();
    // TensorFlow Lite reads buffer 0 as "no data", even if it has content.
    if (tensor.buffer != 0 && tensor.buffer >= buffers.size()) {
      invalid(fmt::format("tensor #{} '{}' uses buffer {}, but the file has {} buffers", position,
                          tensor.name, tensor.buffer, buffers.size()));
    }
    if (tensor.buffer != 0)
      tensor.data = buffer_bytes(*buffers[tensor.buffer], state_->file->view());
    const bool has_fixed_size = element_bits(tensor.type) >= 8 && source.sparsity() == nullptr;
    if (tensor.is_constant() && has_fixed_size && tensor.data.size() != tensor.bytes) {
      invalid(fmt::format("tensor #{} '{}' needs {} bytes, but its buffer has {}", position,
                          tensor.name, tensor.bytes, tensor.data.size()));
    }
    tensor.quantization = read_quantization(source, tensor, position);
    return tensor;
  }

  void read_tensors() {
    const auto& tensors = *state_->subgraph->tensors();
    state_->tensors.reserve(tensors.size());
    for (fb::uoffset_t i = 0; i < tensors.size(); ++i) {
      state_->tensors.push_back(read_tensor(*tensors[i], i));
    }
  }

  void check_tensor_index(std::int32_t tensor, bool optional, const std::string& user) const {
    if (tensor == -1 && optional) return;
    if (tensor < 0 || static_cast<std::size_t>(tensor) >= state_->tensors.size()) {
      invalid(fmt::format("{} uses tensor {}, but the subgraph has {} tensors", user, tensor,
                          state_->tensors.size()));
    }
  }

  // Limits the work for small files. Lists in a flatbuffer may share their bytes, and operators may
  // share their code with its name, so a small file could describe a huge model.
  void bound_listed(std::size_t bytes) {
    listed_bytes_ += bytes;
    if (listed_bytes_ > state_->file->view().size())
      invalid("the tensors, options and names of the operators need more bytes than the file has");
  }

  Operator read_operator(const tflite::Operator& source, std::size_t position) {
    const auto& codes = *state_->root->operator_codes();
    if (source.opcode_index() >= codes.size()) {
      invalid(fmt::format("operator #{} uses code {}, but the file has {} codes", position,
                          source.opcode_index(), codes.size()));
    }
    const tflite::OperatorCode& code = *codes[source.opcode_index()];
    Operator op;
    op.code =
        static_cast<OpCode>(std::max(static_cast<std::int32_t>(code.builtin_code()),
                                     static_cast<std::int32_t>(code.deprecated_builtin_code())));
    op.version = code.version();
    op.name = tflite::EnumNameBuiltinOperator(static_cast<tflite::BuiltinOperator>(op.code));
    if (op.code == OpCode::kCustom && code.custom_code() != nullptr)
      op.name = code.custom_code()->string_view();
    if (source.inputs() != nullptr) op.inputs = {source.inputs()->data(), source.inputs()->size()};
    if (source.outputs() != nullptr)
      op.outputs = {source.outputs()->data(), source.outputs()->size()};
    if (source.intermediates() != nullptr)
      op.intermediates = {source.intermediates()->data(), source.intermediates()->size()};
    op.custom_data = custom_option_bytes(source, state_->file->view());
    if (source.custom_options() == nullptr) bound_listed(op.custom_data.size());
    if (op.code == OpCode::kCustom) bound_listed(op.name.size());
    const std::string user = fmt::format("operator #{} {}", position, op.name);
    bound_listed(op.inputs.size_bytes() + op.outputs.size_bytes() + op.intermediates.size_bytes());
    for (const std::int32_t tensor : op.inputs) check_tensor_index(tensor, true, user);
    for (const std::int32_t tensor : op.outputs) check_tensor_index(tensor, false, user);
    for (const std::int32_t tensor : op.intermediates) check_tensor_index(tensor, false, user);
    return op;
  }

  void read_operators() {
    const auto& operators = *state_->subgraph->operators();
    state_->operators.reserve(operators.size());
    for (fb::uoffset_t i = 0; i < operators.size(); ++i) {
      state_->operators.push_back(read_operator(*operators[i], i));
    }
  }

  std::vector<TensorId> read_border(const fb::Vector<std::int32_t>* tensors,
                                    const char* what) const {
    std::vector<TensorId> result;
    if (tensors == nullptr) return result;
    for (const std::int32_t tensor : *tensors) {
      check_tensor_index(tensor, false, what);
      result.push_back(tensor_id(tensor));
    }
    return result;
  }

  void read_borders() {
    state_->inputs = read_border(state_->subgraph->inputs(), "the list of model inputs");
    state_->outputs = read_border(state_->subgraph->outputs(), "the list of model outputs");
    if (state_->outputs.empty()) invalid("the model has no outputs");
    for (const TensorId input : state_->inputs) check_input(input);
  }

  // Throws if a caller cannot set the input: runtimes map constants read-only, and keep variables.
  void check_input(TensorId id) const {
    const Tensor& tensor = state_->tensors[index(id)];
    if (!tensor.is_constant() && !tensor.is_variable) return;
    unsupported(fmt::format(
        "model input #{} '{}' is a {}; remove it from the model inputs and convert the model again",
        index(id), tensor.name, tensor.is_variable ? "variable of the model" : "constant"));
  }

  void check_execution_order() {
    if (auto found = order_operators(*state_)) invalid(*found);
  }

  void check_references() const {
    if (auto found = find_bad_reference(*state_->root)) invalid(*found);
  }

  void name_tensors() {
    std::size_t named_bytes = 0;
    for (const Tensor& tensor : state_->tensors) named_bytes += tensor.name.size();
    if (named_bytes > state_->file->view().size())
      invalid("the names of the tensors need more bytes than the file has");
    std::unordered_map<std::string_view, int> uses;
    for (const Tensor& tensor : state_->tensors) ++uses[tensor.name];
    auto& names = state_->unique_names;
    names.reserve(state_->tensors.size());
    for (std::size_t i = 0; i < state_->tensors.size(); ++i) {
      const std::string_view name = state_->tensors[i].name;
      std::string unique(name);
      if (name.empty() || uses[name] > 1) {
        unique = fmt::format("{}_t{}", name, i);
        while (uses.contains(unique)) unique += '_';
      }
      names.push_back(std::move(unique));
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
      state_->by_name.emplace(names[i], tensor_id(i));
    }
  }

  std::string label_;
  const ReadOptions& options_;
  std::unique_ptr<Model::State> state_;
  std::size_t listed_bytes_ = 0;  // tensor lists, external options and custom names
};

std::string stem_of(const std::filesystem::path& path) {
  return path.extension() == ".tflite" ? path.stem().string() : path.filename().string();
}

}  // namespace

Model read_model(const std::filesystem::path& path, const ReadOptions& options) {
  return Builder(stem_of(path), path.string(), std::make_unique<FileBytes>(path), options).build();
}

Model parse_model(std::vector<std::byte> bytes, std::string name, const ReadOptions& options) {
  std::string label = name;
  return Builder(std::move(name), std::move(label), std::make_unique<FileBytes>(std::move(bytes)),
                 options)
      .build();
}

}  // namespace segue
