// The order ideals of an operator graph: sets that contain with each operator all operators on
// which it depends. Segments in pipeline order are the differences of a chain of ideals, and every
// such difference is convex.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "planner/optimal/bits.h"
#include "segue/graph.h"

namespace segue {

// Returns all n, ascending from 0 to the number of operators, for which the first n operators in
// file order are an ideal that every other ideal contains or is contained in. Every pipeline cuts
// before, after or at such an ideal. O(operators + edges).
[[nodiscard]] std::vector<std::uint32_t> narrow_prefixes(const Graph& graph);

// Returns an order in which few bytes cross each cut: at every step, of the operators whose inputs
// are computed, the one that adds the fewest bytes to the tensors that later operators read (list
// scheduling). In wide graphs such as NASNet it usually ends a branch before it starts another one.
// O((operators + edges) log operators).
[[nodiscard]] std::vector<OperatorId> fewest_bytes_order(const Graph& graph);

// Returns the orders along which large graphs are cut, each once: by file, Google's and the one of
// the fewest bytes. They are equal for a chain.
[[nodiscard]] std::vector<std::vector<OperatorId>> cut_orders(const Graph& graph);

// A range of ideals that are not listed: all ideals between two consecutive positions in the
// lattice.
struct IdealGap {
  std::uint32_t below = 0;
  std::uint32_t above = 0;
};

class IdealLattice {
 public:
  using Word = bits::Word;

  // Returns all ideals of the graph, with the empty and the full one, except those in `gaps`, its
  // widest parts. A gap is between two ideals that every other ideal contains or is contained in.
  // As many gaps are chosen as are needed to keep at most `limit` ideals, or until no operators
  // remain between two such ideals. O(ideals * operators / 64 + edges).
  [[nodiscard]] static IdealLattice narrow(const Graph& graph, std::size_t limit,
                                           std::vector<IdealGap>& gaps);

  // Returns the ideals of the first 0, 1, 2, … depths.
  [[nodiscard]] static IdealLattice along_depths(const Graph& graph);

  // Returns about `count` of these, evenly distributed.
  [[nodiscard]] static IdealLattice along_some_depths(const Graph& graph, std::uint32_t count);

  // Returns the ideals along the depths and the orders, merged. Along those of cut_orders, the cuts
  // of every other strategy are among them. At most depth + orders * operators + 1 ideals.
  [[nodiscard]] static IdealLattice along_orders(const Graph& graph,
                                                 std::span<const std::vector<OperatorId>> orders);

  // Returns the lattice with additional ideals, each given by its operators. All of them must be
  // ideals.
  [[nodiscard]] IdealLattice with(std::span<const std::vector<bool>> ideals) const;
  [[nodiscard]] IdealLattice with(const IdealLattice& other) const;

  // Returns the positions of the ideals of another lattice, all of which must be in this one.
  [[nodiscard]] std::vector<std::uint32_t> positions_of(const IdealLattice& other) const;

  [[nodiscard]] std::size_t size() const { return sizes_.size(); }
  // Number of operators in ideal `i`. Ideals are sorted by this number: 0 is the empty ideal, the
  // last one is the full ideal.
  [[nodiscard]] std::uint32_t operators_in(std::size_t i) const { return sizes_[i]; }
  [[nodiscard]] std::span<const Word> words(std::size_t i) const {
    return {words_.data() + i * words_per_ideal_, words_per_ideal_};
  }
  [[nodiscard]] bool contains(std::size_t i, std::size_t op) const {
    return bits::has(words(i), op);
  }
  [[nodiscard]] bool is_subset(std::size_t smaller, std::size_t larger) const;

  // Returns the operators of `larger` that are not in `smaller`, in file order.
  [[nodiscard]] std::vector<OperatorId> difference(std::size_t smaller, std::size_t larger) const;
  // Returns the position of the last of them.
  [[nodiscard]] std::size_t last_of_difference(std::size_t smaller, std::size_t larger) const;

 private:
  explicit IdealLattice(std::size_t operator_count)
      : words_per_ideal_(bits::words_for(operator_count)) {}
  void append(const std::vector<Word>& ideal);

  std::size_t words_per_ideal_ = 0;
  std::vector<Word> words_;
  std::vector<std::uint32_t> sizes_;
};

}  // namespace segue
