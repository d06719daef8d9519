#include "planner/optimal/min_cut.h"

#include <algorithm>

namespace segue {

void MinCut::append(std::size_t from, std::size_t to, std::int64_t capacity) {
  edges_.push_back({static_cast<std::uint32_t>(to), first_[from], capacity});
  first_[from] = static_cast<std::uint32_t>(edges_.size() - 1);
}

void MinCut::add(std::size_t from, std::size_t to, std::int64_t capacity) {
  append(from, to, capacity);
  append(to, from, 0);
}

std::int64_t MinCut::solve() {
  std::int64_t flow = 0;
  while (find_levels()) {
    next_ = first_;
    flow += push(0, kInfinite);
  }
  return flow;
}

// Computes distances to the sink along edges with remaining capacity. Returns whether the source
// reaches the sink. The search starts at the sink, so that no path tried afterwards ends elsewhere.
bool MinCut::find_levels() {
  level_.assign(first_.size(), -1);
  level_[1] = 0;
  queue_.assign(1, 1);
  for (std::size_t head = 0; head < queue_.size(); ++head) {
    const std::uint32_t node = queue_[head];
    for (std::uint32_t e = first_[node]; e != kNone; e = edges_[e].next) {
      const std::uint32_t from = edges_[e].to;
      if (level_[from] >= 0 || edges_[e ^ 1U].left == 0) continue;
      level_[from] = level_[node] + 1;
      queue_.push_back(from);
    }
  }
  return level_[0] >= 0;
}

// Sends as much flow as possible from the node to the sink, at most `most`.
std::int64_t MinCut::push(std::uint32_t node, std::int64_t most) {
  if (node == 1) return most;
  std::int64_t sent = 0;
  for (; next_[node] != kNone; next_[node] = edges_[next_[node]].next) {
    const std::uint32_t e = next_[node];
    const std::uint32_t to = edges_[e].to;
    if (edges_[e].left == 0 || level_[to] != level_[node] - 1) continue;
    const std::int64_t pushed = push(to, std::min(most - sent, edges_[e].left));
    edges_[e].left -= pushed;
    edges_[e ^ 1U].left += pushed;
    sent += pushed;
    if (sent == most) return sent;
  }
  return sent;
}

}  // namespace segue
