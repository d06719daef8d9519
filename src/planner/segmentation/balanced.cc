// Segm_Balanced of "Balanced segmentation of CNNs for multi-TPU inference": depth-aware balance of
// parameter bytes, then a refinement that minimizes host memory.
#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <tuple>

#include "planner/segmentation/levels.h"
#include "planner/segmentation/require.h"
#include "segue/error.h"
#include "segue/segmentation.h"

namespace segue {
namespace {

constexpr std::uint64_t kUnreachable = std::numeric_limits<std::uint64_t>::max();

// Limits of a refinement's queries.
struct Effort {
  std::uint64_t most_visits = kMostRefinementVisits;
  bool counts_questions = false;  // a query counts 1, instead of its number of operators
  bool may_search = true;         // may query all single levels and search all cuts
};

class Refinement {
 public:
  // `ceiling_bytes` limits the parameter bytes of a segment, unless it streams less than the
  // segment of the initial cuts that streams most.
  Refinement(const Graph& graph, const Compiler& compiler, std::uint64_t ceiling_bytes,
             const Effort& effort, BalancedSegmentation& result)
      : graph_(graph),
        host_of_depths_(compiler.depth_host_bytes(graph)),
        ceiling_bytes_(ceiling_bytes),
        effort_(effort),
        result_(result),
        bytes_(graph.levels(), &Level::parameter_bytes),
        operators_(graph.levels(), &Level::operator_count) {
    borders_.push_back(0);
    borders_.insert(borders_.end(), result.cuts.begin(), result.cuts.end());
    borders_.push_back(graph.depth());
    for (std::size_t k = 0; k + 1 < borders_.size(); ++k)
      host_.push_back(host_bytes(borders_[k], borders_[k + 1]));
    result_.initial_host_bytes = total_host();
    most_streamed_ = *std::ranges::max_element(host_);
    alone_.assign(graph.depth() + 1, 0);
    if (total_host() == 0 || !effort.may_search) return;
    for (std::uint32_t d = 0; d < graph.depth(); ++d)
      alone_[d + 1] = alone_[d] + host_bytes(d, d + 1);
  }

  void run() {
    while (avoidable() > 0 && may_ask() && move_best_cut()) {
    }
    if (effort_.may_search && avoidable() > 0 && is_searchable(graph_.depth(), host_.size()) &&
        find_reach()) {
      if (const auto borders = search_all_cuts()) adopt(*borders);
    }
    result_.host_bytes = total_host();
    result_.cuts.assign(borders_.begin() + 1, borders_.end() - 1);
  }

 private:
  struct Candidate {
    std::size_t cut = 0;
    std::uint32_t depth = 0;
    std::uint64_t upper_host = 0;
    std::uint64_t lower_host = 0;
  };

  [[nodiscard]] std::uint64_t host_bytes(std::uint32_t first, std::uint32_t last) {
    visits_ += effort_.counts_questions ? 1 : operators_.between(first, last);
    return host_of_depths_(first + 1, last);
  }

  [[nodiscard]] bool may_ask() const { return visits_ < effort_.most_visits; }

  [[nodiscard]] std::uint64_t total_host() const {
    return std::accumulate(host_.begin(), host_.end(), std::uint64_t{0});
  }

  // Returns the streamed bytes that exceed those of all levels as separate segments. Never
  // negative: a layer that is displaced streams slightly less than it occupies.
  [[nodiscard]] std::uint64_t avoidable() const {
    const std::uint64_t unavoidable = alone_.back();
    return total_host() - std::min(total_host(), unavoidable);
  }

  // A segment above the ceiling that streams is slow for two reasons, so it must stream less than
  // the worst initial segment.
  [[nodiscard]] bool may_hold(std::uint32_t first, std::uint32_t last,
                              std::uint64_t host_bytes) const {
    return bytes_.between(first, last) <= ceiling_bytes_ || host_bytes < most_streamed_;
  }

  // Moves one cut next to a streaming segment by one depth, choosing the move that saves most host
  // bytes. Returns false if no move is an improvement.
  bool move_best_cut() {
    std::optional<Candidate> best;
    std::uint64_t best_gain = 0;
    for (std::size_t cut = 0; cut + 1 < host_.size(); ++cut) {
      if (host_[cut] == 0 && host_[cut + 1] == 0) continue;
      for (const int step : {-1, 1}) {
        const auto candidate = try_move(cut, step);
        if (!candidate) continue;
        if (!may_hold(borders_[cut], candidate->depth, candidate->upper_host) ||
            !may_hold(candidate->depth, borders_[cut + 2], candidate->lower_host))
          continue;
        const std::uint64_t before = host_[cut] + host_[cut + 1];
        const std::uint64_t after = candidate->upper_host + candidate->lower_host;
        if (after > before || (after == before && !lowers_larger_side(*candidate))) continue;
        if (best && before - after <= best_gain) continue;
        best_gain = before - after;
        best = candidate;
      }
    }
    if (!best) return false;
    apply(*best);
    return true;
  }

  [[nodiscard]] std::optional<Candidate> try_move(std::size_t cut, int step) {
    const std::uint32_t depth = borders_[cut + 1] + static_cast<std::uint32_t>(step);
    if (depth <= borders_[cut] || depth >= borders_[cut + 2]) return std::nullopt;
    if (effort_.counts_questions && !may_ask()) return std::nullopt;
    try {
      return Candidate{cut, depth, host_bytes(borders_[cut], depth),
                       host_bytes(depth, borders_[cut + 2])};
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kCompiler) throw;
      return std::nullopt;
    }
  }

  // Returns the larger of the two segments on the sides of `cut`, when the cut is below `depth`.
  [[nodiscard]] std::uint64_t larger_side(std::size_t cut, std::uint32_t depth) const {
    return std::max(bytes_.between(borders_[cut], depth), bytes_.between(depth, borders_[cut + 2]));
  }

  [[nodiscard]] bool lowers_larger_side(const Candidate& move) const {
    return larger_side(move.cut, move.depth) < larger_side(move.cut, borders_[move.cut + 1]);
  }

  void apply(const Candidate& move) {
    const std::uint64_t before = total_host();
    const std::uint32_t from = borders_[move.cut + 1];
    borders_[move.cut + 1] = move.depth;
    host_[move.cut] = move.upper_host;
    host_[move.cut + 1] = move.lower_host;
    result_.moves.push_back({move.cut, from, move.depth, before, total_host()});
  }

  // Computes reach_[i]: a depth j such that the levels (i, j] as one segment stream no more than
  // each of them does alone. It is found by bisection: a longer segment from the same start has
  // more parameters and no smaller input. It is the largest such depth except for the few bytes by
  // which a displaced layer streams less than it occupies; the search below queries the compiler
  // about every longer segment. Returns false when the limit of visits is reached.
  bool find_reach() {
    const std::uint32_t depth = graph_.depth();
    reach_.assign(depth, 0);
    for (std::uint32_t first = 0; first < depth; ++first) {
      if (!may_ask()) return false;
      std::uint32_t good = first + 1;
      std::uint32_t bad = depth + 1;
      while (good + 1 < bad) {
        const std::uint32_t middle = good + (bad - good) / 2;
        (host_bytes(first, middle) <= alone_[middle] - alone_[first] ? good : bad) = middle;
      }
      reach_[first] = good;
    }
    return true;
  }

  struct State {
    std::uint64_t host_bytes = kUnreachable;
    std::uint64_t largest_bytes = kUnreachable;
    std::uint32_t from = 0;
    [[nodiscard]] bool is_better_than(const State& other) const {
      return std::tie(host_bytes, largest_bytes) < std::tie(other.host_bytes, other.largest_bytes);
    }
  };

  // Returns the cuts with the fewest host bytes and, among these, the best balance: a dynamic
  // program over (segments used, depth reached). Segments that stream as much as all current cuts
  // together are skipped, which leaves few beyond reach_. Returns nothing if there are no such cuts
  // or the limit of visits is reached.
  [[nodiscard]] std::optional<std::vector<std::uint32_t>> search_all_cuts() {
    const std::uint32_t depth = graph_.depth();
    const std::size_t count = host_.size();
    const std::uint64_t spare = avoidable();
    std::vector<std::vector<State>> best(count + 1, std::vector<State>(depth + 1));
    best[0][0] = {0, 0, 0};
    for (std::uint32_t first = 0; first < depth; ++first) {
      for (std::uint32_t last = first + 1; last <= depth; ++last) {
        const std::uint64_t bytes = bytes_.between(first, last);
        const std::uint64_t unavoidable = alone_[last] - alone_[first];
        if (!may_ask()) return std::nullopt;
        const std::uint64_t host = last <= reach_[first] ? unavoidable : host_bytes(first, last);
        if (host > unavoidable + spare || !may_hold(first, last, host)) break;
        for (std::size_t k = 0; k < count; ++k) {
          const State& before = best[k][first];
          if (before.host_bytes == kUnreachable) continue;
          const State next{before.host_bytes + host, std::max(before.largest_bytes, bytes), first};
          if (next.is_better_than(best[k + 1][last])) best[k + 1][last] = next;
        }
      }
    }
    if (best[count][depth].host_bytes == kUnreachable) return std::nullopt;
    std::vector<std::uint32_t> borders(count + 1);
    borders[count] = depth;
    for (std::size_t k = count; k > 0; --k) borders[k - 1] = best[k][borders[k]].from;
    return borders;
  }

  void adopt(const std::vector<std::uint32_t>& borders) {
    std::vector<std::uint64_t> host;
    for (std::size_t k = 0; k + 1 < borders.size(); ++k)
      host.push_back(host_bytes(borders[k], borders[k + 1]));
    const std::uint64_t before = total_host();
    const std::uint64_t after = std::accumulate(host.begin(), host.end(), std::uint64_t{0});
    if (after >= before) return;
    for (std::size_t cut = 0; cut + 2 < borders.size(); ++cut) {
      if (borders[cut + 1] == borders_[cut + 1]) continue;
      result_.moves.push_back({cut, borders_[cut + 1], borders[cut + 1], before, after, true});
    }
    borders_ = borders;
    host_ = std::move(host);
  }

  const Graph& graph_;
  Compiler::DepthHostBytes host_of_depths_;
  std::uint64_t ceiling_bytes_;
  std::uint64_t most_streamed_ = 0;  // largest host bytes of a segment of the initial cuts
  Effort effort_;
  BalancedSegmentation& result_;
  LevelSums bytes_;
  LevelSums operators_;
  std::vector<std::uint32_t> borders_;  // 0, the cuts, depth
  std::vector<std::uint64_t> host_;     // per segment
  std::vector<std::uint64_t> alone_;    // host bytes of levels 1 .. d, each as a separate segment
  std::vector<std::uint32_t> reach_;
  std::uint64_t visits_ = 0;  // operators in queries to the compiler, with repetitions
};

std::uint64_t largest_segment(const Graph& graph, const Segmentation& segmentation) {
  std::uint64_t largest = 0;
  for (const auto& segment : segmentation.segments) {
    std::uint64_t bytes = 0;
    for (const OperatorId id : segment) bytes += graph.stats(id).parameter_bytes;
    largest = std::max(largest, bytes);
  }
  return largest;
}

// The size that a segment may not exceed in a refinement, unless it streams little.
std::uint64_t ceiling_of(const Graph& graph, const BalancedSegmentation& balanced,
                         std::size_t count) {
  return std::max(balanced.bottleneck_bytes,
                  largest_segment(graph, segment_as_vendor(graph, count)));
}

}  // namespace

BalancedSegmentation segment_balanced(const Graph& graph, std::size_t count,
                                      const Compiler& compiler) {
  require_segments(graph, count, graph.depth(), "depth");
  BalancedSegmentation result;
  result.initial_cuts = balance_depths(graph.levels(), count);
  result.cuts = result.initial_cuts;
  result.bottleneck_bytes = largest_segment(graph, segment_at_depths(graph, result.cuts));
  Refinement(graph, compiler, ceiling_of(graph, result, count), {}, result).run();
  result.segmentation = segment_at_depths(graph, result.cuts);
  return result;
}

BalancedSegmentation refine_balanced(const Graph& graph, const BalancedSegmentation& start,
                                     const Compiler& compiler, std::uint64_t most_questions) {
  BalancedSegmentation result = start;
  result.moves.clear();
  result.initial_cuts = start.cuts;
  const Effort effort{most_questions, true, false};
  Refinement(graph, compiler, ceiling_of(graph, start, start.cuts.size() + 1), effort, result)
      .run();
  result.segmentation = segment_at_depths(graph, result.cuts);
  return result;
}

}  // namespace segue
