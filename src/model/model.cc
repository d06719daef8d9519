#include <fmt/format.h>

#include "model/model_state.h"

namespace segue {

Model::Model(std::unique_ptr<State> state) : state_(std::move(state)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

const std::string& Model::name() const { return state_->name; }
std::span<const std::byte> Model::bytes() const { return state_->file->view(); }
void Model::drop_pages() const { state_->file->drop_pages(); }
std::string_view Model::description() const {
  const auto* text = state_->root->description();
  return text == nullptr ? std::string_view{} : text->string_view();
}
std::span<const Tensor> Model::tensors() const { return state_->tensors; }
std::span<const Operator> Model::operators() const { return state_->operators; }
std::span<const TensorId> Model::inputs() const { return state_->inputs; }
std::span<const TensorId> Model::outputs() const { return state_->outputs; }

std::optional<OperatorId> Model::producer(TensorId id) const {
  const std::int32_t position = state_->producers[index(id)];
  if (position < 0) return std::nullopt;
  return operator_id(position);
}

const std::string& Model::unique_name(TensorId id) const { return state_->unique_names[index(id)]; }

std::optional<TensorId> Model::find_tensor(std::string_view unique_name) const {
  const auto found = state_->by_name.find(unique_name);
  if (found == state_->by_name.end()) return std::nullopt;
  return found->second;
}

std::string Model::describe(OperatorId id) const {
  const Operator& operation = op(id);
  const std::string_view output =
      operation.outputs.empty() ? std::string_view{}
                                : std::string_view(unique_name(tensor_id(operation.outputs[0])));
  return fmt::format("{} #{} '{}'", operation.name, index(id), output);
}

std::vector<std::string> attached_files(const Model& model) {
  const auto& archive = ModelReader::state(model).archive;
  return archive ? archive->names : std::vector<std::string>{};
}

std::string_view to_string(ElementType type) {
  return tflite::EnumNameTensorType(static_cast<tflite::TensorType>(type));
}

}  // namespace segue
