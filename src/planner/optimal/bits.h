// Sets of small numbers, one bit each, in words.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace segue::bits {

using Word = std::uint64_t;
inline constexpr std::size_t kPerWord = 64;

[[nodiscard]] inline std::size_t words_for(std::size_t count) {
  return (count + kPerWord - 1) / kPerWord;
}
[[nodiscard]] inline bool has(std::span<const Word> words, std::size_t i) {
  return ((words[i / kPerWord] >> (i % kPerWord)) & 1U) != 0;
}
inline void insert(std::span<Word> words, std::size_t i) {
  words[i / kPerWord] |= Word{1} << (i % kPerWord);
}
inline void flip(std::span<Word> words, std::size_t i) {
  words[i / kPerWord] ^= Word{1} << (i % kPerWord);
}

// Visits the numbers in word `w` in ascending order.
template <typename Visit>
void for_each(Word word, std::size_t w, Visit visit) {
  for (; word != 0; word &= word - 1)
    visit(w * kPerWord + static_cast<std::size_t>(std::countr_zero(word)));
}

}  // namespace segue::bits
