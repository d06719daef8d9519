#include "optimal/first_cuts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "optimal/min_cut.h"
#include "optimal/output_time.h"

namespace segue {
namespace {

using Set = std::vector<bool>;  // of operators

constexpr double kUnit = 1 << 20;  // capacities are whole parts of a nanosecond

std::int64_t capacity(double ns) { return static_cast<std::int64_t>(ns * kUnit); }

// What is known of the first stage.
struct Node {
  std::size_t first = 0;  // its last operator is one of [first, last]
  std::size_t last = 0;
  Set inside;
  Set outside;
  double least_ns = 0;
  double weight = 1;          // that gave the bound
  double per_byte = 1;        // tangent that gave it
  std::size_t undecided = 0;  // an operator that the best cuts disagree on
  bool is_settled = false;    // they agree: the bound is the value of a set
};

class FirstCutSearch {
 public:
  FirstCutSearch(const SegmentCosts& costs, std::uint32_t stages, double known_ns, int most_cuts,
                 bool dives)
      : graph_(costs.graph()),
        timing_(costs.device().timing),
        rest_share_(1.0 / (stages - 1)),
        known_ns_(known_ns),
        most_cuts_(most_cuts),
        dives_(dives),
        count_(costs.operators().size()) {
    for (const OperatorFacts& op : costs.operators()) {
      compute_ns_.push_back(static_cast<double>(op.work.cycles) / timing_.clock_hz.value * 1e9);
      work_ns_.push_back(compute_ns_.back() + static_cast<double>(op.uncached.added_ns));
    }
    for (const Activation& tensor : costs.activations()) {
      if (tensor.writer != SegmentCosts::kNone && !tensor.readers.empty())
        crossing_.push_back(&tensor);
    }
    gather_ends(costs);
  }

  [[nodiscard]] FirstCuts run() {
    // Candidates come from nodes where much is decided; a proof from those with the lowest bound.
    const auto is_worse = [&](const Node& a, const Node& b) {
      const auto width = [&](const Node& node) { return dives_ ? node.last - node.first : 0; };
      return std::pair(width(a), a.least_ns) > std::pair(width(b), b.least_ns);
    };
    std::vector<Node> open{solved(root())};
    double settled_ns = known_ns_;
    while (!open.empty() && cuts_ < most_cuts_) {
      std::ranges::pop_heap(open, is_worse);
      const Node node = std::move(open.back());
      open.pop_back();
      if (node.least_ns >= known_ns_) continue;
      if (node.is_settled) {
        settled_ns = std::min(settled_ns, node.least_ns);
        continue;
      }
      for (Node& child : branches(node)) {
        if (!is_possible(child)) continue;
        open.push_back(solved(std::move(child)));
        std::ranges::push_heap(open, is_worse);
      }
    }
    // What was left out is no better than the best that is known by now.
    double least_ns = std::min(settled_ns, known_ns_);
    for (const Node& node : open) least_ns = std::min(least_ns, node.least_ns);
    return {least_ns, {ideals_.begin(), ideals_.end()}};
  }

 private:
  struct Cut {
    double value_ns = 0;
    double sent_bytes = 0;
    double first_ns = 0;  // of the first stage
    double rest_ns = 0;   // share of the rest
    Set inside;
  };

  // What every first stage and every last stage has.
  void gather_ends(const SegmentCosts& costs) {
    const double link = 1e9 / timing_.link_bytes_per_s.value;
    input_per_byte_ = link + timing_.input_ns_per_byte.value * timing_.host_slowdown.value;
    fixed_ns_ = timing_.invoke_ns.value * timing_.host_slowdown.value;
    SegmentSum last;
    for (const Activation& tensor : costs.activations()) {
      if (tensor.writer == SegmentCosts::kNone && !tensor.readers.empty())
        first_input_ns_ += static_cast<double>(tensor.bytes) * input_per_byte_;
      if (tensor.is_model_output) last.output_bytes += tensor.sent_bytes;
    }
    last.cycles = costs.operators().back().work.cycles;
    last.last_cycles = last.cycles;
    const SegmentTime time = last.time(timing_);
    last_output_ns_ =
        static_cast<double>((time.compute + time.output).count()) - compute_ns_.back();
  }

  // The first operator is in the first stage, the last one is not.
  [[nodiscard]] Node root() const {
    Node node{0, count_ - 2, Set(count_), Set(count_)};
    node.inside[0] = true;
    node.outside[count_ - 1] = true;
    return node;
  }

  void put_inside(Node& node, std::size_t op) const {
    if (node.inside[op]) return;
    node.inside[op] = true;
    for (const OperatorId writer : graph_.writers(operator_id(op))) put_inside(node, index(writer));
  }
  void put_outside(Node& node, std::size_t op) const {
    if (node.outside[op]) return;
    node.outside[op] = true;
    for (const OperatorId reader : graph_.readers(operator_id(op)))
      put_outside(node, index(reader));
  }

  [[nodiscard]] std::vector<Node> branches(const Node& node) const {
    std::vector<Node> children(2, node);
    if (node.first < node.last) {
      const std::size_t middle = (node.first + node.last) / 2;
      children[0].last = middle;
      children[1].first = middle + 1;
      for (Node& child : children) {
        for (std::size_t op = child.last + 1; op < count_; ++op) put_outside(child, op);
        if (child.first == child.last) put_inside(child, child.first);
      }
    } else {
      put_inside(children[0], node.undecided);
      put_outside(children[1], node.undecided);
    }
    return children;
  }

  // Not both inside and outside, and no bound that takes no cut is reached already.
  [[nodiscard]] bool is_possible(const Node& node) const {
    double first_ns = fixed_ns_ + first_input_ns_;
    double rest_ns = fixed_ns_ + last_output_ns_;
    for (std::size_t op = 0; op < count_; ++op) {
      if (node.inside[op] && node.outside[op]) return false;
      if (node.inside[op]) first_ns += work_ns_[op];
      if (node.outside[op]) rest_ns += work_ns_[op];
    }
    return first_ns < known_ns_ && rest_ns * rest_share_ < known_ns_;
  }

  // In a network: 0 inside, 1 outside, else a node of its own.
  [[nodiscard]] static std::size_t node_of(const Node& node, std::size_t op) {
    if (node.inside[op]) return 0;
    return node.outside[op] ? 1 : op + 2;
  }

  // Adds what the operators' work costs on either side; returns that of those already decided.
  [[nodiscard]] double add_work(const Node& node, double weight, double rest_weight,
                                MinCut& network) const {
    double decided_ns = 0;
    for (std::size_t op = 0; op < count_; ++op) {
      const std::size_t at = node_of(node, op);
      if (at == 0) decided_ns += weight * work_ns_[op];
      if (at == 1) decided_ns += rest_weight * work_ns_[op];
      if (at <= 1) continue;
      network.add(at, 1, capacity(weight * work_ns_[op]));
      network.add(0, at, capacity(rest_weight * work_ns_[op]));
    }
    return decided_ns;
  }

  // A tensor that crosses costs output and input once, however many read it.
  void add_transfers(const Node& node, double per_sent_byte, double per_read_byte,
                     MinCut& network) const {
    for (std::size_t t = 0; t < crossing_.size(); ++t) {
      const Activation& tensor = *crossing_[t];
      const std::size_t writer = node_of(node, tensor.writer);
      if (writer == 1) continue;
      const std::size_t at = count_ + 2 + t;
      network.add(writer, at,
                  capacity(per_sent_byte * static_cast<double>(tensor.sent_bytes) +
                           per_read_byte * static_cast<double>(tensor.bytes)));
      for (const std::size_t op : tensor.readers) {
        const std::size_t reader = node_of(node, op);
        if (reader == 0) continue;
        network.add(at, reader, MinCut::kInfinite);
        if (writer > 1 && reader > 1) network.add(reader, writer, MinCut::kInfinite);
      }
    }
  }

  [[nodiscard]] Cut cut(const Node& node, const OutputTime& output, double weight,
                        double per_byte) {
    ++cuts_;
    const double rest_weight = (1 - weight) * rest_share_;
    MinCut network(count_ + 2 + crossing_.size());
    const double decided_ns = add_work(node, weight, rest_weight, network);
    add_transfers(node, weight * per_byte, rest_weight * input_per_byte_, network);
    Cut result;
    result.value_ns = decided_ns + static_cast<double>(network.solve()) / kUnit +
                      weight * (fixed_ns_ + first_input_ns_ + output.tangent(per_byte)) +
                      rest_weight * (fixed_ns_ + last_output_ns_);
    result.inside.resize(count_);
    for (std::size_t op = 0; op < count_; ++op) {
      const std::size_t at = node_of(node, op);
      result.inside[op] = at == 0 || (at > 1 && network.is_on_source_side(at));
    }
    measure(output, node.first == node.last, result);
    return result;
  }

  void measure(const OutputTime& output, bool is_exact, Cut& cut) {
    double rest_ns = fixed_ns_ + last_output_ns_;
    cut.first_ns = fixed_ns_ + first_input_ns_;
    for (std::size_t op = 0; op < count_; ++op)
      (cut.inside[op] ? cut.first_ns : rest_ns) += work_ns_[op];
    for (const Activation* tensor : crossing_) {
      const auto is_outside = [&](std::size_t op) { return !cut.inside[op]; };
      if (!cut.inside[tensor->writer] || std::ranges::none_of(tensor->readers, is_outside))
        continue;
      cut.sent_bytes += static_cast<double>(tensor->sent_bytes);
      rest_ns += input_per_byte_ * static_cast<double>(tensor->bytes);
    }
    cut.first_ns += output(cut.sent_bytes);
    cut.rest_ns = rest_ns * rest_share_;
    const double bottleneck_ns = std::max(cut.first_ns, cut.rest_ns);
    if (bottleneck_ns >= known_ns_ + kClose) return;
    ideals_.insert(cut.inside);
    // The rest of two stages is one stage: this is a pipeline.
    if (rest_share_ == 1 && is_exact) known_ns_ = std::min(known_ns_, bottleneck_ns);
  }

  // The largest bound over weights and tangents, each by bisection: a cut that the first stage is
  // the larger part of asks for more weight on it, one that sends many bytes for a steeper tangent.
  [[nodiscard]] Node solved(Node node) {
    double last_ns = 0;
    for (std::size_t op = node.first; op <= node.last; ++op)
      last_ns = std::max(last_ns, compute_ns_[op]);
    const OutputTime output(timing_, last_ns);
    std::set<Set> best;
    // What was best for the node above is often enough.
    node.least_ns = 0;
    (void)try_cut(node, output, node.weight, node.per_byte, best);
    double low = 0;
    double high = 1;
    for (int step = 0; step < steps(node, 2, 20) && node.least_ns < known_ns_; ++step) {
      const double weight = step == 0 ? 1 : (low + high) / 2;
      const Cut at = best_tangent(node, output, weight, best);
      if (at.first_ns > at.rest_ns && weight == 1) break;
      (at.first_ns > at.rest_ns ? low : high) = weight;
    }
    settle(node, best);
    return node;
  }

  [[nodiscard]] Cut try_cut(Node& node, const OutputTime& output, double weight, double per_byte,
                            std::set<Set>& best) {
    Cut at = cut(node, output, weight, per_byte);
    if (at.value_ns > node.least_ns - kClose) best.insert(at.inside);
    if (at.value_ns > node.least_ns) {
      node.least_ns = at.value_ns;
      node.weight = weight;
      node.per_byte = per_byte;
    }
    return at;
  }

  [[nodiscard]] Cut best_tangent(Node& node, const OutputTime& output, double weight,
                                 std::set<Set>& best) {
    double low = 0;
    double high = output.steepest();
    double per_byte = high / 2;
    Cut result;
    for (int step = 0; step < steps(node, 3, 12) && node.least_ns < known_ns_; ++step) {
      Cut at = try_cut(node, output, weight, per_byte, best);
      // The tangent at these bytes lies between the slopes to both sides of them.
      const double right = output(at.sent_bytes + 1) - output(at.sent_bytes);
      const double left = output(at.sent_bytes) - output(at.sent_bytes - 1);
      const bool is_tangent = per_byte <= right + kSlope && per_byte >= left - kSlope;
      (per_byte > right ? high : low) = per_byte;
      // Between two crossings of lines the slope itself is the best tangent.
      const double slope = std::min(std::max(left, right), output.steepest());
      per_byte = right - left < kSlope && low < slope && slope <= high ? slope : (low + high) / 2;
      if (step == 0 || at.value_ns > result.value_ns) result = std::move(at);
      if (is_tangent) break;
    }
    return result;
  }

  // An operator that some of the best cuts have inside and others outside; else whether one of them
  // has the value of the bound.
  void settle(Node& node, const std::set<Set>& best) const {
    node.is_settled = node.first == node.last;
    for (std::size_t op = 0; op < count_ && node.first == node.last; ++op) {
      const auto holds = [&](const Set& set) { return static_cast<bool>(set[op]); };
      const auto inside = std::ranges::count_if(best, holds);
      if (inside == 0 || inside == static_cast<std::ptrdiff_t>(best.size())) continue;
      node.undecided = op;
      node.is_settled = false;
      return;
    }
  }

  // A bound over many last operators is loose however long one looks for the best.
  [[nodiscard]] static int steps(const Node& node, int of_range, int of_one) {
    return node.first < node.last ? of_range : of_one;
  }

  static constexpr double kClose = 1;     // ns
  static constexpr double kSlope = 1e-6;  // ns per byte

  const Graph& graph_;
  const Timing& timing_;
  double rest_share_;
  double known_ns_;
  int most_cuts_;
  bool dives_;
  std::size_t count_;
  double fixed_ns_ = 0;
  double input_per_byte_ = 0;
  double first_input_ns_ = 0;
  double last_output_ns_ = 0;  // of the model's output, less what the last operator hides
  std::vector<double> compute_ns_;
  std::vector<double> work_ns_;
  std::vector<const Activation*> crossing_;  // that may
  std::set<Set> ideals_;
  int cuts_ = 0;
};

}  // namespace

std::optional<FirstCuts> find_first_cuts(const SegmentCosts& costs, std::uint32_t stages,
                                         double known_ns, int most_cuts, bool dives) {
  if (costs.has_host()) return std::nullopt;
  const Graph& graph = costs.graph();
  const Model& model = graph.model();
  const std::size_t count = graph.operator_count();
  std::size_t first = 0;
  std::size_t last = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (graph.writers(operator_id(i)).empty()) ++first;
    if (graph.readers(operator_id(i)).empty()) ++last;
  }
  const bool is_simple = first == 1 && last == 1 && graph.writers(operator_id(0)).empty() &&
                         graph.readers(operator_id(count - 1)).empty() &&
                         model.inputs().size() == 1 && model.outputs().size() == 1 &&
                         model.producer(model.outputs()[0]) == operator_id(count - 1);
  if (!is_simple || stages < 2 || count < 3) return std::nullopt;
  return FirstCutSearch(costs, stages, known_ns, most_cuts, dives).run();
}

}  // namespace segue
