/// The operator graph of a model: depths, costs, and what crosses a cut.
///
/// depth(v) is the longest path, counted in operators, from a model input to v: inputs have depth
/// 0, an operator that reads only inputs and constants has depth 1. Every edge goes strictly up in
/// depth, so cutting between two depths always leaves convex segments in a chain ("horizontal
/// cut"). Source: "Balanced segmentation of CNNs for multi-TPU inference", section on definitions.
///
/// Thread-safety: immutable after construction.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "segue/model.h"

namespace [[gnu::visibility("default")]] segue {

/// What one operator weighs.
struct OperatorStats {
  std::uint32_t depth = 0;            // 1 .. Graph::depth()
  std::uint64_t parameter_bytes = 0;  // its constant inputs, as stored in the file
  std::uint64_t macs = 0;             // multiply-accumulates of one inference
  std::uint64_t input_bytes = 0;      // its computed inputs
  std::uint64_t output_bytes = 0;     // its outputs
};

/// Sums over all operators of one depth.
struct Level {
  std::uint32_t depth = 0;
  std::uint32_t operator_count = 0;
  std::uint64_t parameter_bytes = 0;
  std::uint64_t macs = 0;
  std::uint64_t output_bytes = 0;
  // The cut below this level: computed tensors written at this depth or above it (model inputs
  // included) and read deeper.
  std::uint32_t crossing_tensors = 0;
  std::uint64_t crossing_bytes = 0;
};

class Graph {
 public:
  /// O(operators + tensors). The model must outlive the graph.
  explicit Graph(const Model& model);
  explicit Graph(Model&&) = delete;

  [[nodiscard]] const Model& model() const { return *model_; }
  [[nodiscard]] std::size_t operator_count() const { return stats_.size(); }
  [[nodiscard]] const OperatorStats& stats(OperatorId id) const { return stats_[index(id)]; }

  /// Operators that read a result of `id`, each once, in file order.
  [[nodiscard]] std::span<const OperatorId> readers(OperatorId id) const {
    return readers_[index(id)];
  }
  /// Operators whose results `id` reads, each once, in file order.
  [[nodiscard]] std::span<const OperatorId> writers(OperatorId id) const {
    return writers_[index(id)];
  }

  /// The largest depth.
  [[nodiscard]] std::uint32_t depth() const { return static_cast<std::uint32_t>(levels_.size()); }
  /// Depths 1 .. depth(), in order: levels()[d - 1] has depth d.
  [[nodiscard]] std::span<const Level> levels() const { return levels_; }

  /// Operators with first <= depth <= last, in file order. O(k log k) for k of them.
  [[nodiscard]] std::vector<OperatorId> operators_between(std::uint32_t first,
                                                          std::uint32_t last) const;

  /// Computed tensors that cross the cut below `depth`, by position. O(tensors).
  [[nodiscard]] std::vector<TensorId> crossing(std::uint32_t depth) const;

  [[nodiscard]] std::uint64_t parameter_bytes() const { return parameter_bytes_; }
  [[nodiscard]] std::uint64_t macs() const { return macs_; }

  /// The order in which Google's compiler counts operators into segments: Kahn's algorithm with a
  /// stack. An operator that nobody reads is put at the bottom when its last input is written, and
  /// so comes late; those without computed inputs begin in file order. Readers of an operator
  /// follow its outputs as it lists them; libcoral's order is that of a hash table there.
  /// Source: google-coral/libcoral, coral/tools/partitioner. O(operators + edges).
  [[nodiscard]] std::vector<OperatorId> vendor_order() const;

 private:
  struct Lifetime {
    std::uint32_t written = 0;    // depth of the writer; 0: model input
    std::uint32_t last_read = 0;  // depth of the last reader; 0: none
  };

  void link(OperatorId id);
  void weigh(OperatorId id);
  void sum_levels();
  void count_crossings();

  const Model* model_;
  std::vector<OperatorStats> stats_;
  std::vector<std::vector<OperatorId>> readers_;
  std::vector<std::vector<OperatorId>> writers_;
  std::vector<Lifetime> lifetimes_;  // per tensor
  std::vector<Level> levels_;
  std::vector<OperatorId> by_depth_;       // ascending depth, file order within one
  std::vector<std::size_t> level_starts_;  // in by_depth_; one more than levels
  std::uint64_t parameter_bytes_ = 0;
  std::uint64_t macs_ = 0;
};

/// Segments in pipeline order; each a non-empty convex set of operators in file order. Together
/// they hold every operator once, and no operator reads from a later segment.
struct Segmentation {
  std::vector<std::vector<OperatorId>> segments;
};

/// Throws Error(kInvalidArgument) naming the first operator that breaks the promise above.
void check_segmentation(const Graph& graph, const Segmentation& segmentation);

}  // namespace segue
