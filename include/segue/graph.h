/// The operator graph of a model: depths, costs per operator, and tensors that cross a cut.
///
/// The depth of an operator is the longest path to it from a model input, counted in operators. An
/// operator that reads only inputs and constants has depth 1. Every edge leads to a larger depth,
/// so a cut between two depths (a "horizontal cut") always yields convex segments that form a
/// chain. The strategies of segmentation.h and planner.h return a `Segmentation` of such a graph.
///
/// Example:
///
///     const segue::Model model = segue::read_model("resnet50.tflite");
///     const segue::Graph graph(model);
///     for (const segue::Level& level : graph.levels())
///       std::printf("%u: %llu bytes cross\n", level.depth,
///                   static_cast<unsigned long long>(level.crossing_bytes));
///
/// Source of the definitions: "Balanced segmentation of CNNs for multi-TPU inference" (J.
/// Supercomputing 81, 2025), as its abstract and summaries state them (docs/segmentation.md).
///
/// Thread-safety: a Graph is immutable; any number of threads may read it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "segue/model.h"

namespace [[gnu::visibility("default")]] segue {

// --- Costs

/// Size and work of one operator.
struct OperatorStats {
  std::uint32_t depth = 0;            // 1 .. Graph::depth()
  std::uint64_t parameter_bytes = 0;  // constant inputs, as stored in the file
  std::uint64_t macs = 0;             // multiply-accumulates per inference
  std::uint64_t input_bytes = 0;      // computed inputs
  std::uint64_t output_bytes = 0;     // outputs
};

/// Sums over all operators of one depth, and the cut below it.
struct Level {
  std::uint32_t depth = 0;
  std::uint32_t operator_count = 0;
  std::uint64_t parameter_bytes = 0;
  std::uint64_t macs = 0;
  std::uint64_t output_bytes = 0;
  // Tensors that cross the cut below this level: model inputs and computed tensors that are written
  // at this depth or a smaller one and read at a larger depth.
  std::uint32_t crossing_tensors = 0;
  std::uint64_t crossing_bytes = 0;
};

// --- Graph

/// The operators of a model as a directed acyclic graph. It refers to the model, which must outlive
/// it.
class Graph {
 public:
  /// O(operators + tensors).
  explicit Graph(const Model& model);
  explicit Graph(Model&&) = delete;

  [[nodiscard]] const Model& model() const { return *model_; }
  [[nodiscard]] std::size_t operator_count() const { return stats_.size(); }
  [[nodiscard]] const OperatorStats& stats(OperatorId id) const { return stats_[index(id)]; }

  /// Operators that read an output of `id`, each once, in file order.
  [[nodiscard]] std::span<const OperatorId> readers(OperatorId id) const {
    return readers_[index(id)];
  }
  /// Operators whose outputs `id` reads, each once, in file order.
  [[nodiscard]] std::span<const OperatorId> writers(OperatorId id) const {
    return writers_[index(id)];
  }

  /// The largest depth.
  [[nodiscard]] std::uint32_t depth() const { return static_cast<std::uint32_t>(levels_.size()); }
  /// Levels of depth 1 .. depth() in order: levels()[d - 1] has depth d.
  [[nodiscard]] std::span<const Level> levels() const { return levels_; }

  /// Operators with first <= depth <= last, in file order. O(k log k) for k operators.
  [[nodiscard]] std::vector<OperatorId> operators_between(std::uint32_t first,
                                                          std::uint32_t last) const;

  /// Tensors that cross the cut below `depth`, by position. O(tensors).
  [[nodiscard]] std::vector<TensorId> crossing(std::uint32_t depth) const;

  /// Sums over all operators.
  [[nodiscard]] std::uint64_t parameter_bytes() const { return parameter_bytes_; }
  [[nodiscard]] std::uint64_t macs() const { return macs_; }

  /// The order in which Google's compiler assigns operators to segments: Kahn's algorithm with a
  /// stack. Operators without computed inputs are pushed in file order. An operator that becomes
  /// ready is pushed on top, or, if no operator reads its outputs, at the bottom, so that it comes
  /// late. Readers of an operator with several outputs are visited in the order of the outputs;
  /// libcoral visits them in the order of a hash table. O(operators + edges).
  /// Source: google-coral/libcoral, coral/tools/partitioner.
  [[nodiscard]] std::vector<OperatorId> vendor_order() const;

 private:
  struct Lifetime {
    std::uint32_t written = 0;    // depth of the writer; 0: a model input
    std::uint32_t last_read = 0;  // depth of the last reader; 0: no reader
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

// --- Segmentation

/// A partition of the graph into segments, in pipeline order. Each segment is a non-empty convex
/// set of operators in file order. Every operator is in exactly one segment, and no operator reads
/// from a later segment.
struct Segmentation {
  std::vector<std::vector<OperatorId>> segments;
};

/// Throws Error(kInvalidArgument) when `segmentation` violates these conditions. The message names
/// the first segment or operator that does. O(operators + edges).
void check_segmentation(const Graph& graph, const Segmentation& segmentation);

}  // namespace segue
