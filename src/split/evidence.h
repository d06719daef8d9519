// Rates how strongly equal values of a tensor show that two models compute the same.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "segue/model.h"

namespace segue {

// What the values of a tensor depend on.
enum class Follows {
  kInputs,     // of the model, or its state: more inputs give more values
  kConstants,  // only: it is correct that the values are the same for all inputs
};

// Counts the values of one tensor over all inputs.
class TensorEvidence {
 public:
  TensorEvidence(ElementType type, std::uint32_t bytes_per_value, Follows follows)
      : type_(type), bytes_per_value_(bytes_per_value), follows_(follows) {}

  void add(std::span<const std::byte> values);

  [[nodiscard]] std::uint64_t values() const { return values_; }
  // The number of distinct values. Counting stops at kMostDistinct.
  [[nodiscard]] std::uint64_t distinct() const { return counts_.size(); }
  [[nodiscard]] Follows follows() const { return follows_; }
  // Says why equality proves little, as the end of a sentence. Empty if it proves enough.
  [[nodiscard]] std::optional<std::string> weakness() const;

  static constexpr std::size_t kMostDistinct = 4096;

 private:
  [[nodiscard]] double share(std::uint64_t count) const;
  [[nodiscard]] std::uint64_t count_of(std::uint64_t value) const;
  [[nodiscard]] std::optional<std::string> weakness_of_8_bits() const;

  ElementType type_;
  std::uint32_t bytes_per_value_;
  Follows follows_;
  std::uint64_t values_ = 0;
  std::uint64_t inputs_ = 0;
  std::unordered_map<std::uint64_t, std::uint64_t> counts_;  // by the bytes of a value
  std::string first_;                                        // the tensor after the first input
  bool changes_ = false;                                     // with the input
};

}  // namespace segue
