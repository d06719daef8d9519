// Operators that reserve more rows than every segment does, and the most rows of a range of
// positions in some order: of operators, or of depths.
#pragma once

#include <cstdint>
#include <vector>

#include "segue/cost.h"

namespace segue {

// Rows that an operator reserves, more than any segment does.
struct Reserve {
  std::uint32_t rows = 0;
  std::uint32_t op = 0;
  bool is_at_input = false;  // only where it reads an activation from the host
};

// In file order. O(operators).
[[nodiscard]] std::vector<Reserve> reserves_of(const Model& model, const DeviceSpec& device);

class ReservedRanges {
 public:
  // An operator reserves `rows` in ranges that begin at `first` or later.
  struct Item {
    std::size_t position = 0;
    std::size_t first = 0;
    std::uint32_t rows = 0;
  };

  // Of `size` positions. O(items log size) memory, and the time to sort as much.
  ReservedRanges(std::size_t size, const std::vector<Item>& items);

  // Of positions from <= p < to; 0 where nothing is reserved. O(log^2 size).
  [[nodiscard]] std::uint32_t rows(std::size_t from, std::size_t to) const;
  // Of any range.
  [[nodiscard]] std::uint32_t most() const { return most_; }

 private:
  // Items of a node with the same or an earlier `first`.
  struct Step {
    std::size_t first = 0;
    std::uint32_t most = 0;
  };
  [[nodiscard]] static std::uint32_t most_of(const std::vector<Step>& steps, std::size_t from);

  std::size_t size_;
  std::uint32_t most_ = 0;
  // A segment tree: the leaf of position p is node size_ + p. Steps ascend in both members.
  std::vector<std::vector<Step>> nodes_;
};

}  // namespace segue
