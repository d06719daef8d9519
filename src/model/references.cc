#include "model/references.h"

#include <fmt/format.h>

namespace segue {
namespace {

namespace fb = flatbuffers;
using Finding = std::optional<std::string>;

Finding find_bad_tensor(const fb::Vector<fb::Offset<tflite::TensorMap>>* maps,
                        std::size_t tensor_count) {
  if (maps == nullptr) return std::nullopt;
  for (const tflite::TensorMap* map : *maps) {
    if (map->tensor_index() >= tensor_count)
      return fmt::format("a signature uses tensor {}, but the subgraph has {} tensors",
                         map->tensor_index(), tensor_count);
  }
  return std::nullopt;
}

Finding find_bad_signature(const tflite::Model& root) {
  if (root.signature_defs() == nullptr) return std::nullopt;
  for (const tflite::SignatureDef* signature : *root.signature_defs()) {
    const std::size_t subgraphs = root.subgraphs()->size();
    if (signature->subgraph_index() >= subgraphs)
      return fmt::format("a signature uses subgraph {}, but the file has {} subgraphs",
                         signature->subgraph_index(), subgraphs);
    const auto* tensors = root.subgraphs()->Get(signature->subgraph_index())->tensors();
    const std::size_t tensor_count = tensors == nullptr ? 0 : tensors->size();
    if (auto found = find_bad_tensor(signature->inputs(), tensor_count)) return found;
    if (auto found = find_bad_tensor(signature->outputs(), tensor_count)) return found;
  }
  return std::nullopt;
}

Finding find_bad_metadata(const tflite::Model& root) {
  const std::size_t buffers = root.buffers()->size();
  if (const auto* unnamed = root.metadata_buffer(); unnamed != nullptr) {
    for (const std::int32_t buffer : *unnamed) {
      if (buffer < 0 || static_cast<std::size_t>(buffer) >= buffers)
        return fmt::format("metadata uses buffer {}, but the file has {} buffers", buffer, buffers);
    }
  }
  if (const auto* metadata = root.metadata(); metadata != nullptr) {
    for (const tflite::Metadata* entry : *metadata) {
      if (entry->buffer() >= buffers)
        return fmt::format("metadata uses buffer {}, but the file has {} buffers", entry->buffer(),
                           buffers);
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> find_bad_reference(const tflite::Model& root) {
  auto found = find_bad_signature(root);
  return found ? found : find_bad_metadata(root);
}

}  // namespace segue
