// Operators that reserve more rows than the minimum, and the largest reserve of any range of
// positions, of operators or depths.
#pragma once

#include <cstdint>
#include <vector>

#include "segue/cost.h"

namespace segue {

// Rows that an operator reserves, above the minimum of all segments.
struct Reserve {
  std::uint32_t rows = 0;
  std::uint32_t op = 0;
  bool is_at_input = false;  // only if it reads an activation from the host
};

// Returns them in file order. O(operators).
[[nodiscard]] std::vector<Reserve> reserves_of(const Model& model, const DeviceSpec& device);

class ReservedRanges {
 public:
  // An operator reserves `rows` in ranges that start at `first` or later.
  struct Item {
    std::size_t position = 0;
    std::size_t first = 0;
    std::uint32_t rows = 0;
  };

  // Prepares `size` positions. O(items log size) memory, and the time to sort them.
  ReservedRanges(std::size_t size, const std::vector<Item>& items);

  // Returns the largest reserve of positions from <= p < to, or 0. O(log^2 size).
  [[nodiscard]] std::uint32_t rows(std::size_t from, std::size_t to) const;
  // Returns the largest reserve of any range.
  [[nodiscard]] std::uint32_t most() const { return most_; }

 private:
  // Items of a node with the same or a smaller `first`.
  struct Step {
    std::size_t first = 0;
    std::uint32_t most = 0;
  };
  [[nodiscard]] static std::uint32_t most_of(const std::vector<Step>& steps, std::size_t from);

  std::size_t size_;
  std::uint32_t most_ = 0;
  // A segment tree. The leaf of position p is node size_ + p. Steps ascend in both members.
  std::vector<std::vector<Step>> nodes_;
};

}  // namespace segue
