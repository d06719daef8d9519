// The elements of an output as real numbers.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "runtime/detection/head.h"

namespace segue::detection {

// Reads float32 values. The bytes may have any alignment.
class FloatValues {
 public:
  explicit FloatValues(std::span<const std::byte> bytes) : bytes_(bytes) {}
  float operator[](std::size_t i) const {
    float value = 0;
    std::memcpy(&value, bytes_.data() + i * sizeof value, sizeof value);
    return value;
  }

 private:
  std::span<const std::byte> bytes_;
};

// Converts 8-bit values to real numbers with a table.
class ByteValues {
 public:
  ByteValues(std::span<const std::byte> bytes, const HeadOutput& output) : bytes_(bytes) {
    const bool is_signed = output.port.type == ElementType::kInt8;
    for (std::size_t i = 0; i < table_.size(); ++i) {
      const int quantized = static_cast<int>(i) - (is_signed && i > 127 ? 256 : 0);
      table_[i] = static_cast<float>(quantized - output.zero_point) * output.scale;
    }
  }
  float operator[](std::size_t i) const { return table_[std::to_integer<std::size_t>(bytes_[i])]; }

 private:
  std::span<const std::byte> bytes_;
  std::array<float, 256> table_{};
};

// Calls `use` with the values of an output, as real numbers.
template <typename Use>
auto with_values(const HeadOutput& output, std::span<const std::byte> bytes, Use&& use) {
  if (output.port.type == ElementType::kFloat32) return std::forward<Use>(use)(FloatValues(bytes));
  return std::forward<Use>(use)(ByteValues(bytes, output));
}

}  // namespace segue::detection
