#include "planner/optimal/first_cuts.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "planner/optimal/min_cut.h"
#include "segue/stop.h"

namespace segue {
namespace {

using Set = std::vector<bool>;  // of operators

constexpr double kUnit = 1 << 20;  // capacities are integers, in fractions of a nanosecond

// Limit of more than an hour, which no relevant plan takes.
constexpr double kMostNs = 4e12;

std::int64_t capacity(double ns) {
  return static_cast<std::int64_t>(std::min(ns, kMostNs) * kUnit);
}

// A set of possible first stages.
struct Branch {
  std::size_t first = 0;  // the last operator in file order is in [first, last]
  std::size_t last = 0;
  Set inside;
  Set outside;
  double least_ns = 0;
  double weight = 0.5;        // the weight that gave the bound
  std::size_t undecided = 0;  // an operator on which the best cuts disagree
  bool is_settled = false;    // the cuts agree: the bound is the value of a set
};

class FirstCutSearch {
 public:
  FirstCutSearch(const SegmentCosts& costs, std::uint32_t stages, double known_ns, int most_cuts,
                 bool dives)
      : graph_(costs.graph()),
        rest_share_(1.0 / (stages - 1)),
        known_ns_(known_ns),
        most_cuts_(most_cuts),
        dives_(dives),
        count_(costs.operators().size()) {
    const Timing& timing = costs.device().timing;
    const double link = 1e9 / timing.link_bytes_per_s.value;
    const double slowdown = timing.host_slowdown.value;
    input_per_byte_ = link + timing.input_ns_per_byte.value * slowdown;
    output_per_byte_ = link + timing.output_ns_per_byte.value * slowdown;
    first_ns_ = rest_ns_ =
        timing.invoke_ns.value * slowdown +
        static_cast<double>(kSegmentInstructionBytes) * costs.instruction_ns_per_byte();
    for (const OperatorFacts& op : costs.operators()) {
      work_ns_.push_back(static_cast<double>(op.work.cycles) / timing.clock_hz.value * 1e9 +
                         static_cast<double>(op.work.instruction_bytes) *
                             costs.instruction_ns_per_byte() +
                         static_cast<double>(op.uncached.added_ns));
    }
    for (const Activation& tensor : costs.activations()) {
      if (tensor.is_model_output)
        rest_ns_ += static_cast<double>(tensor.sent_bytes) * output_per_byte_;
      if (tensor.readers.empty()) continue;
      if (tensor.writer == SegmentCosts::kNone) {
        first_ns_ += static_cast<double>(tensor.bytes) * input_per_byte_;
      } else {
        crossing_.push_back(&tensor);
      }
    }
  }

  [[nodiscard]] FirstCuts run() {
    // Nodes with many decisions give candidates; nodes with the lowest bound give proofs.
    const auto is_worse = [&](const Branch& a, const Branch& b) {
      const auto width = [&](const Branch& node) { return dives_ ? node.last - node.first : 0; };
      return std::pair(width(a), a.least_ns) > std::pair(width(b), b.least_ns);
    };
    std::vector<Branch> open{solved(root())};
    double settled_ns = known_ns_;
    while (!open.empty() && cuts_ < most_cuts_) {
      std::ranges::pop_heap(open, is_worse);
      const Branch node = std::move(open.back());
      open.pop_back();
      if (node.least_ns >= known_ns_) continue;
      if (node.is_settled) {
        settled_ns = std::min(settled_ns, node.least_ns);
        continue;
      }
      for (Branch& child : branches(node)) {
        if (!is_possible(child)) continue;
        open.push_back(solved(std::move(child)));
        std::ranges::push_heap(open, is_worse);
      }
    }
    // Discarded nodes are no better than the best known bottleneck.
    double least_ns = std::min(settled_ns, known_ns_);
    for (const Branch& node : open) least_ns = std::min(least_ns, node.least_ns);
    return {least_ns, {ideals_.begin(), ideals_.end()}};
  }

 private:
  struct Cut {
    double value_ns = 0;
    double first_ns = 0;  // time of the first stage
    double rest_ns = 0;   // time of the rest, per device
    Set inside;
  };

  // The first operator is in the first stage, and the last operator is not.
  [[nodiscard]] Branch root() const {
    Branch node{0, count_ - 2, Set(count_), Set(count_)};
    node.inside[0] = true;
    node.outside[count_ - 1] = true;
    return node;
  }

  void put_inside(Branch& node, std::size_t op) const {
    if (node.inside[op]) return;
    node.inside[op] = true;
    for (const OperatorId writer : graph_.writers(operator_id(op))) put_inside(node, index(writer));
  }
  void put_outside(Branch& node, std::size_t op) const {
    if (node.outside[op]) return;
    node.outside[op] = true;
    for (const OperatorId reader : graph_.readers(operator_id(op)))
      put_outside(node, index(reader));
  }

  [[nodiscard]] std::vector<Branch> branches(const Branch& node) const {
    std::vector<Branch> children(2, node);
    if (node.first == node.last) {
      put_inside(children[0], node.undecided);
      put_outside(children[1], node.undecided);
      return children;
    }
    // The last operator of the first stage in file order has the largest influence.
    const std::size_t middle = (node.first + node.last) / 2;
    children[0].last = middle;
    children[1].first = middle + 1;
    for (Branch& child : children) {
      for (std::size_t op = child.last + 1; op < count_; ++op) put_outside(child, op);
      if (child.first == child.last) put_inside(child, child.first);
    }
    return children;
  }

  // Whether no operator is both inside and outside, and the decided work alone is below the best
  // known bottleneck.
  [[nodiscard]] bool is_possible(const Branch& node) const {
    double first_ns = first_ns_;
    double rest_ns = rest_ns_;
    for (std::size_t op = 0; op < count_; ++op) {
      if (node.inside[op] && node.outside[op]) return false;
      if (node.inside[op]) first_ns += work_ns_[op];
      if (node.outside[op]) rest_ns += work_ns_[op];
    }
    return first_ns < known_ns_ && rest_ns * rest_share_ < known_ns_;
  }

  // Returns the node of an operator in the network: 0 if inside, 1 if outside, otherwise its own.
  [[nodiscard]] static std::size_t node_of(const Branch& node, std::size_t op) {
    if (node.inside[op]) return 0;
    return node.outside[op] ? 1 : op + 2;
  }

  // Adds the costs of the operators' work on either side. Returns the costs of decided operators.
  [[nodiscard]] double add_work(const Branch& node, double weight, double rest_weight,
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

  // A tensor that crosses the cut costs one output and one input, regardless of the number of
  // readers.
  void add_transfers(const Branch& node, double per_sent_byte, double per_read_byte,
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

  [[nodiscard]] Cut cut(const Branch& node, double weight) {
    ++cuts_;
    const double rest_weight = (1 - weight) * rest_share_;
    MinCut network(count_ + 2 + crossing_.size());
    const double decided_ns = add_work(node, weight, rest_weight, network);
    add_transfers(node, weight * output_per_byte_, rest_weight * input_per_byte_, network);
    Cut result;
    result.value_ns = decided_ns + static_cast<double>(network.solve()) / kUnit +
                      weight * first_ns_ + rest_weight * rest_ns_;
    result.inside.resize(count_);
    for (std::size_t op = 0; op < count_; ++op) {
      const std::size_t at = node_of(node, op);
      result.inside[op] = at == 0 || (at > 1 && network.is_on_source_side(at));
    }
    measure(result);
    return result;
  }

  void measure(Cut& cut) {
    cut.first_ns = first_ns_;
    double rest_ns = rest_ns_;
    for (std::size_t op = 0; op < count_; ++op)
      (cut.inside[op] ? cut.first_ns : rest_ns) += work_ns_[op];
    for (const Activation* tensor : crossing_) {
      const auto is_outside = [&](std::size_t op) { return !cut.inside[op]; };
      if (!cut.inside[tensor->writer] || std::ranges::none_of(tensor->readers, is_outside))
        continue;
      cut.first_ns += output_per_byte_ * static_cast<double>(tensor->sent_bytes);
      rest_ns += input_per_byte_ * static_cast<double>(tensor->bytes);
    }
    cut.rest_ns = rest_ns * rest_share_;
    const double bottleneck_ns = std::max(cut.first_ns, cut.rest_ns);
    if (bottleneck_ns >= known_ns_ + kClose) return;
    ideals_.insert(cut.inside);
    // With two stages the rest is one stage, so this is a pipeline, apart from streaming.
    if (rest_share_ == 1) known_ns_ = std::min(known_ns_, bottleneck_ns);
  }

  // Computes the largest bound over all weights by bisection. If the first stage of a cut is larger
  // than the rest, its weight must grow.
  [[nodiscard]] Branch solved(Branch node) {
    // With many possible last operators the bound is loose for every weight.
    const int most_steps = node.first < node.last ? 4 : 24;
    std::optional<Cut> first_larger;  // the latest cut of each kind
    std::optional<Cut> rest_larger;
    node.least_ns = 0;
    double reached_ns = known_ns_;
    double low = 0;
    double high = 1;
    // The best weight of the parent node often suffices.
    for (int step = 0; step < most_steps && node.least_ns < known_ns_; ++step) {
      const double weight = step == 0 ? node.weight : step == 1 ? 1 : (low + high) / 2;
      check_stopped();
      Cut at = cut(node, weight);
      reached_ns = std::min(reached_ns, std::max(at.first_ns, at.rest_ns));
      if (at.value_ns > node.least_ns) {
        node.least_ns = at.value_ns;
        node.weight = weight;
      }
      const bool is_first_larger = at.first_ns > at.rest_ns;
      if (is_first_larger && weight == 1) break;
      (is_first_larger ? low : high) = weight;
      (is_first_larger ? first_larger : rest_larger) = std::move(at);
    }
    node.is_settled = reached_ns <= node.least_ns + kClose;
    if (!node.is_settled && node.first == node.last)
      node.undecided = undecided(node, first_larger, rest_larger);
    return node;
  }

  // Returns an operator that is inside in one cut and outside in the other. If they agree, returns
  // any undecided operator.
  [[nodiscard]] std::size_t undecided(const Branch& node, const std::optional<Cut>& a,
                                      const std::optional<Cut>& b) const {
    for (std::size_t op = 0; a && b && op < count_; ++op) {
      if (a->inside[op] != b->inside[op]) return op;
    }
    for (std::size_t op = 0; op < count_; ++op) {
      if (!node.inside[op] && !node.outside[op]) return op;
    }
    return 0;
  }

  static constexpr double kClose = 1;  // ns

  const Graph& graph_;
  double rest_share_;
  double known_ns_;
  int most_cuts_;
  bool dives_;
  std::size_t count_;
  double input_per_byte_ = 0;
  double output_per_byte_ = 0;
  double first_ns_ = 0;  // in every first stage
  double rest_ns_ = 0;   // in every rest
  std::vector<double> work_ns_;
  std::vector<const Activation*> crossing_;  // tensors that may cross the cut
  std::set<Set> ideals_;
  int cuts_ = 0;
};

}  // namespace

std::optional<FirstCuts> find_first_cuts(const SegmentCosts& costs, std::uint32_t stages,
                                         double known_ns, int most_cuts, bool dives) {
  if (costs.has_host() || !costs.are_sums()) return std::nullopt;
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
