// What equal values of a tensor are worth as evidence that two models compute the same.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "segue/model.h"

namespace segue {

// Counts the values of one tensor over all inputs.
class TensorEvidence {
 public:
  explicit TensorEvidence(std::uint32_t bytes_per_value) : bytes_per_value_(bytes_per_value) {}

  void add(std::span<const std::byte> values);

  [[nodiscard]] std::uint64_t values() const { return values_; }
  // Values that differ from each other; counting ends at kMostDistinct.
  [[nodiscard]] std::uint64_t distinct() const { return counts_.size(); }
  // Why equality proves little, as the end of a sentence; nothing where it proves something.
  [[nodiscard]] std::optional<std::string> weakness() const;

  static constexpr std::size_t kMostDistinct = 4096;

 private:
  std::uint32_t bytes_per_value_;
  std::uint64_t values_ = 0;
  std::uint64_t inputs_ = 0;
  std::unordered_map<std::uint64_t, std::uint64_t> counts_;  // by the bytes of a value
  std::string first_;                                        // the tensor after the first input
  bool changes_ = false;                                     // with the input
};

}  // namespace segue
