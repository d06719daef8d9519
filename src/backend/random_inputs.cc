#include <cstring>
#include <random>

#include "segue/backend.h"

namespace segue {
namespace {

TensorBytes random_value(const Port& port, std::mt19937_64& random) {
  TensorBytes value(port.bytes);
  const auto fill = [&]<typename T>(T, auto draw) {
    for (std::size_t i = 0; i + sizeof(T) <= value.size(); i += sizeof(T)) {
      const T element = draw();
      std::memcpy(value.data() + i, &element, sizeof(T));
    }
  };
  switch (port.type) {
    case ElementType::kFloat32:
      fill(0.0F, [&] {
        return static_cast<float>(static_cast<double>(random() >> 11U) * 0x1.0p-52 - 1.0);
      });
      break;
    case ElementType::kInt32:
      fill(std::int32_t{}, [&] { return static_cast<std::int32_t>(random() & 1U); });
      break;
    case ElementType::kInt64:
      fill(std::int64_t{}, [&] { return static_cast<std::int64_t>(random() & 1U); });
      break;
    case ElementType::kInt8:
    case ElementType::kUint8:
      fill(std::uint8_t{}, [&] { return static_cast<std::uint8_t>(random()); });
      break;
    default:
      fill(std::uint8_t{}, [&] { return static_cast<std::uint8_t>(random() & 1U); });
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
