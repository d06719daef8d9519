#include "model/stored_bytes.h"

#include <fmt/format.h>

#include <algorithm>

namespace segue {
namespace {

// TensorFlow Lite reads 0 as "none" and 1 as a placeholder of the converter.
bool is_offset(std::uint64_t offset) { return offset > 1; }

template <typename List, typename Visit>
void for_each(const List* list, const Visit& visit) {
  if (list == nullptr) return;
  for (const auto* element : *list) visit(*element);
}

std::span<const std::byte> as_span(const flatbuffers::Vector<std::uint8_t>& bytes) {
  return std::as_bytes(std::span(bytes.data(), bytes.size()));
}

}  // namespace

FlatbufferExtent flatbuffer_extent(const tflite::Model& root, std::uint64_t file_bytes) {
  FlatbufferExtent extent{file_bytes, std::nullopt};
  const auto look_at = [&](std::uint64_t offset, std::uint64_t size, const char* what) {
    if (!is_offset(offset)) return;
    extent.most_bytes = std::min(extent.most_bytes, offset);
    if (offset <= file_bytes && size <= file_bytes - offset) return;
    extent.problem =
        fmt::format("{} of {} bytes at byte {} are beyond the end of the file ({} bytes)", what,
                    size, offset, file_bytes);
  };
  for_each(root.buffers(), [&](const tflite::Buffer& buffer) {
    if (buffer.data() == nullptr) look_at(buffer.offset(), buffer.size(), "weights");
  });
  for_each(root.subgraphs(), [&](const tflite::SubGraph& subgraph) {
    for_each(subgraph.operators(), [&](const tflite::Operator& op) {
      if (op.custom_options() != nullptr) return;
      look_at(op.large_custom_options_offset(), op.large_custom_options_size(),
              "options of a custom operator");
    });
  });
  return extent;
}

std::span<const std::byte> buffer_bytes(const tflite::Buffer& buffer,
                                        std::span<const std::byte> file) {
  if (buffer.data() != nullptr) return as_span(*buffer.data());
  if (!is_offset(buffer.offset())) return {};
  return file.subspan(buffer.offset(), buffer.size());
}

std::span<const std::byte> custom_option_bytes(const tflite::Operator& op,
                                               std::span<const std::byte> file) {
  if (op.custom_options() != nullptr) return as_span(*op.custom_options());
  if (!is_offset(op.large_custom_options_offset())) return {};
  return file.subspan(op.large_custom_options_offset(), op.large_custom_options_size());
}

}  // namespace segue
