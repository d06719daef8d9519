// Mutates the structure of models. In a file of megabytes nearly every random byte is a weight,
// which no reader checks. Tables and offsets are within some kilobytes of both ends.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

constexpr std::size_t kEnd = 16384;

std::size_t place(std::mt19937& random, std::size_t size) {
  const std::size_t window = std::min(size, kEnd);
  switch (random() % 8) {
    case 0:
      return random() % size;
    case 1:
    case 2:
    case 3:
      return size - 1 - random() % window;
    default:
      return random() % window;
  }
}

void change(std::mt19937& random, std::uint8_t* data, std::size_t size) {
  constexpr std::array<std::int32_t, 10> kNumbers{0,  1,     -1,         2,           4,
                                                  16, 65535, 0x7fffffff, -2147483647, 1000000};
  const std::size_t at = place(random, size);
  const std::size_t length = std::min<std::size_t>(size - at, 4);
  switch (random() % 4) {
    case 0:
      data[at] = static_cast<std::uint8_t>(random());
      break;
    case 1:
      std::memcpy(data + at, &kNumbers[random() % kNumbers.size()], length);
      break;
    case 2: {  // copies an offset or a number from another place
      const std::size_t from = place(random, size);
      std::memmove(data + at, data + from, std::min(length, size - from));
      break;
    }
    default:
      data[at] = static_cast<std::uint8_t>(data[at] + (random() % 2 == 0 ? 1 : -1));
  }
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned int seed) {
  std::mt19937 random(seed);
  if (size < 8 || random() % 16 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const std::size_t changes = 1 + random() % 4;
  for (std::size_t i = 0; i < changes; ++i) change(random, data, size);
  return size;
}
