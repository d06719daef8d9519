#include "model/element_bits.h"

#include "model/internal/schema.h"

namespace segue {

unsigned element_bits(ElementType type) {
  switch (static_cast<tflite::TensorType>(type)) {
    case tflite::TensorType::INT2:
      return 2;
    case tflite::TensorType::INT4:
    case tflite::TensorType::UINT4:
      return 4;
    case tflite::TensorType::UINT8:
    case tflite::TensorType::INT8:
    case tflite::TensorType::BOOL:
      return 8;
    case tflite::TensorType::FLOAT16:
    case tflite::TensorType::BFLOAT16:
    case tflite::TensorType::INT16:
    case tflite::TensorType::UINT16:
      return 16;
    case tflite::TensorType::FLOAT32:
    case tflite::TensorType::INT32:
    case tflite::TensorType::UINT32:
      return 32;
    case tflite::TensorType::INT64:
    case tflite::TensorType::UINT64:
    case tflite::TensorType::FLOAT64:
    case tflite::TensorType::COMPLEX64:
      return 64;
    case tflite::TensorType::COMPLEX128:
      return 128;
    default:
      return 0;
  }
}

std::optional<std::uint64_t> element_count(std::span<const std::int32_t> shape) {
  std::uint64_t elements = 1;
  for (const std::int32_t extent : shape) {
    elements *= static_cast<std::uint64_t>(extent);
    if (elements > kMostElements) return std::nullopt;
  }
  return elements;
}

}  // namespace segue
