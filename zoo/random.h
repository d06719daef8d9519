// Pseudo-random numbers that depend only on a name, and weights made from them.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace segue::zoo {

// SplitMix64 (Steele, Lea, Flood 2014), seeded with the FNV-1a hash of a name.
class Random {
 public:
  explicit Random(std::string_view name) {
    for (const char c : name) state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  }

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31U);
  }

  double uniform(double low, double high) {
    constexpr double kStep = 1.0 / 9007199254740992.0;  // 2^-53
    return low + (high - low) * kStep * static_cast<double>(next() >> 11U);
  }

 private:
  std::uint64_t state_ = 0xCBF29CE484222325ULL;
};

// Symmetric int8 weights, uniformly distributed in -127 .. 127.
inline void fill_weights(std::span<std::uint8_t> weights, Random random) {
  static_assert(std::endian::native == std::endian::little);
  constexpr std::uint64_t kBelowRange = 0x8080808080808080;  // -128, which symmetric weights lack
  for (std::size_t i = 0; i < weights.size(); i += sizeof(std::uint64_t)) {
    std::uint64_t bytes = random.next();
    // The high bit of each byte that is not -128. The sum does not carry into the next byte.
    const std::uint64_t others = ((bytes & ~kBelowRange) + ~kBelowRange) | ~bytes;
    bytes |= (~others & kBelowRange) >> 7U;  // -128 becomes -127
    std::memcpy(weights.data() + i, &bytes, std::min(sizeof bytes, weights.size() - i));
  }
}

// Standard deviation of these weights.
[[nodiscard]] inline double weight_deviation() { return std::sqrt(127.0 * 128.0 / 3.0); }

}  // namespace segue::zoo
