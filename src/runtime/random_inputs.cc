#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <random>

#include "segue/runtime.h"

namespace segue {
namespace {

// Fills a value with elements of at most 8 bytes. Each draw of 8 bytes gives as many elements as
// fit in it.
template <typename T, typename Convert>
void fill(TensorBytes& value, std::mt19937_64& random, Convert convert) {
  constexpr std::size_t kPerDraw = sizeof(std::uint64_t) / sizeof(T);
  std::array<T, kPerDraw> elements;
  for (std::size_t i = 0; i < value.size(); i += sizeof(elements)) {
    std::uint64_t draw = random();
    for (T& element : elements) {
      element = convert(draw);
      if constexpr (kPerDraw > 1) draw >>= std::size_t{8} * sizeof(T);
    }
    std::memcpy(value.data() + i, elements.data(), std::min(sizeof(elements), value.size() - i));
  }
}

TensorBytes random_value(const Port& port, std::mt19937_64& random) {
  TensorBytes value(port.bytes);
  switch (port.type) {
    case ElementType::kFloat32:
      fill<float>(value, random, [](std::uint64_t draw) {
        return static_cast<float>(static_cast<double>(draw & 0xFFFFFFFFU) * 0x1.0p-31 - 1.0);
      });
      break;
    case ElementType::kInt32:
      fill<std::int32_t>(value, random,
                         [](std::uint64_t draw) { return static_cast<std::int32_t>(draw & 1U); });
      break;
    case ElementType::kInt64:
      fill<std::int64_t>(value, random,
                         [](std::uint64_t draw) { return static_cast<std::int64_t>(draw & 1U); });
      break;
    case ElementType::kInt8:
    case ElementType::kUint8:
      fill<std::uint8_t>(value, random,
                         [](std::uint64_t draw) { return static_cast<std::uint8_t>(draw); });
      break;
    default:
      fill<std::uint8_t>(value, random,
                         [](std::uint64_t draw) { return static_cast<std::uint8_t>(draw & 1U); });
      break;
  }
  return value;
}

}  // namespace

std::vector<TensorBytes> random_inputs(std::span<const Port> ports, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<TensorBytes> inputs;
  for (const Port& port : ports) inputs.push_back(random_value(port, random));
  return inputs;
}

}  // namespace segue
