// The ideals of an operator graph: sets that hold with each operator all it depends on. Segments in
// pipeline order are differences of a chain of ideals, and every such difference is convex.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "segue/graph.h"

namespace segue {

// Numbers of operators in file order, ascending from none to all: the first so many are an ideal
// that every other ideal contains or is contained in. Every pipeline cuts before or behind it, or
// there. O(operators + edges).
[[nodiscard]] std::vector<std::uint32_t> narrow_prefixes(const Graph& graph);

// Ideals that are not listed: all between two that are. Positions in the lattice, one behind the
// other.
struct IdealGap {
  std::uint32_t below = 0;
  std::uint32_t above = 0;
};

class IdealLattice {
 public:
  using Word = std::uint64_t;

  // All ideals of the graph, the empty and the full one included; nothing when there are more than
  // `limit`. O(ideals * operators / 64 + edges).
  [[nodiscard]] static std::optional<IdealLattice> all(const Graph& graph, std::size_t limit);

  // All ideals of the graph but those between some two that every other ideal contains or is
  // contained in: where the graph is widest, `gaps` of them, so that at most `limit` are left or
  // no operators between such two.
  [[nodiscard]] static IdealLattice narrow(const Graph& graph, std::size_t limit,
                                           std::vector<IdealGap>& gaps);

  // The ideals of the first 0, 1, 2, … depths.
  [[nodiscard]] static IdealLattice along_depths(const Graph& graph);

  // About `count` of them, evenly spread.
  [[nodiscard]] static IdealLattice along_some_depths(const Graph& graph, std::uint32_t count);

  // The ideals along three orders, by depth, by file and Google's: a chain of each, merged. So no
  // other strategy has cuts that are not among them. Never more than depth + 2 * operators + 1.
  [[nodiscard]] static IdealLattice along_orders(const Graph& graph);

  // With more ideals, each as its operators; those that are no ideals must not be given.
  [[nodiscard]] IdealLattice with(std::span<const std::vector<bool>> ideals) const;
  [[nodiscard]] IdealLattice with(const IdealLattice& other) const;

  // Where the ideals of another lattice, which are all in this one, stand in it.
  [[nodiscard]] std::vector<std::uint32_t> positions_of(const IdealLattice& other) const;

  [[nodiscard]] std::size_t size() const { return sizes_.size(); }
  // Operators in ideal `i`. Ideals ascend in this number; 0 is the empty one, the last the full
  // one.
  [[nodiscard]] std::uint32_t operators_in(std::size_t i) const { return sizes_[i]; }
  [[nodiscard]] std::span<const Word> words(std::size_t i) const {
    return {words_.data() + i * words_per_ideal_, words_per_ideal_};
  }
  [[nodiscard]] bool contains(std::size_t i, std::size_t op) const {
    return ((words_[i * words_per_ideal_ + op / kBits] >> (op % kBits)) & 1U) != 0;
  }
  [[nodiscard]] bool is_subset(std::size_t smaller, std::size_t larger) const;

  // The operators of `larger` that are not in `smaller`, in file order.
  [[nodiscard]] std::vector<OperatorId> difference(std::size_t smaller, std::size_t larger) const;
  // The last of them.
  [[nodiscard]] std::size_t last_of_difference(std::size_t smaller, std::size_t larger) const;

 private:
  static constexpr std::size_t kBits = 64;

  explicit IdealLattice(std::size_t operator_count)
      : words_per_ideal_((operator_count + kBits - 1) / kBits) {}
  void append(const std::vector<Word>& ideal);

  std::size_t words_per_ideal_ = 0;
  std::vector<Word> words_;
  std::vector<std::uint32_t> sizes_;
};

}  // namespace segue
