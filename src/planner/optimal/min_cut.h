// The minimum cut between a source and a sink: Dinic's algorithm (E. A. Dinic, 1970) with integer
// capacities. O(nodes^2 * edges), much less in practice.
#pragma once

#include <cstdint>
#include <vector>

namespace segue {

class MinCut {
 public:
  static constexpr std::int64_t kInfinite = std::int64_t{1} << 60U;

  // Node 0 is the source, node 1 the sink.
  explicit MinCut(std::size_t nodes) : first_(nodes, kNone) {}

  void add(std::size_t from, std::size_t to, std::int64_t capacity);

  // Returns the capacity of the minimum cut. May be called once.
  [[nodiscard]] std::int64_t solve();

  // After `solve`: whether a node is on the source's side of the minimum cut that is nearest to the
  // sink.
  [[nodiscard]] bool is_on_source_side(std::size_t node) const { return level_[node] < 0; }

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  struct Edge {
    std::uint32_t to = 0;
    std::uint32_t next = kNone;  // next edge of the same node
    std::int64_t left = 0;       // remaining capacity
  };
  void append(std::size_t from, std::size_t to, std::int64_t capacity);
  [[nodiscard]] bool find_levels();
  [[nodiscard]] std::int64_t push(std::uint32_t node, std::int64_t most);

  std::vector<Edge> edges_;           // each is followed by its reverse
  std::vector<std::uint32_t> first_;  // per node: position in edges_
  std::vector<std::uint32_t> next_;   // per node: the edge to try next
  std::vector<std::int32_t> level_;   // per node: distance to the sink; -1: not reached
  std::vector<std::uint32_t> queue_;
};

}  // namespace segue
