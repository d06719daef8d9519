// Costs of differences of ideals on one kind of device, equal to those of simulate_segment, in a
// fraction of a microsecond. With operators on the host, only a Row is as fast.
#pragma once

#include <cstdint>
#include <vector>

#include "device/edgetpu/internal/segment_costs.h"
#include "planner/optimal/ideals.h"

namespace segue {

class IdealCosts {
 public:
  // Both must outlive it.
  IdealCosts(const SegmentCosts& costs, const IdealLattice& lattice);

  struct Cost {
    std::int64_t time_ns = 0;
    std::int64_t link_ns = 0;  // time for which the link is busy
    std::uint64_t host_bytes = 0;
  };
  // Returns the cost of the segment between two ideals; `from` is a proper subset of `to`.
  [[nodiscard]] Cost operator()(std::size_t from, std::size_t to) const;
  class Row;

  [[nodiscard]] const SegmentCosts& of_operators() const { return costs_; }
  // A lower bound of the fixed time of a stage.
  [[nodiscard]] std::int64_t least_fixed_ns() const;
  // Whether all tensors that cross the border of `from` have their last reader between the two
  // ideals. The stage between them then receives all of them and writes all tensors that cross the
  // border of `to`.
  [[nodiscard]] bool reads_all(std::size_t from, std::size_t to) const;
  // The time that a stage that begins (ends) at this ideal takes for all tensors that cross its
  // border, without overlap.
  [[nodiscard]] std::int64_t input_ns(std::size_t ideal) const;
  [[nodiscard]] std::int64_t output_ns(std::size_t ideal) const;
  // A lower bound for a stage that begins at an ideal and ends after another: the time of the
  // operators between them, without avoidable streaming.
  [[nodiscard]] std::int64_t least_beginning_ns(std::size_t from, std::size_t to) const;
  // The same for a stage that ends at an ideal and begins before another, without its fixed time.
  [[nodiscard]] std::int64_t least_ending_ns(std::size_t from, std::size_t to) const;
  [[nodiscard]] bool may_run_on_host(std::size_t from, std::size_t to) const;

  // A lower bound of the sum of all stages of any segmentation: the time of the whole model without
  // streaming of parameters that do not fit.
  [[nodiscard]] std::int64_t least_sum_ns() const;

 private:
  // State of caching the candidates of a segment one by one; the others stream.
  struct Cache {
    std::uint64_t left_bytes = 0;
    std::size_t last = 0;  // the last operator of the segment
    bool is_crowded = false;
  };
  // The tensors that cross the border of an ideal.
  struct Border {
    std::vector<std::uint32_t> tensors;
    std::vector<IdealLattice::Word> readers;  // readers outside the ideal
    std::uint64_t input_bytes = 0;            // of a stage that reads all of them
    bool is_crowded = false;                  // whether that crowds the tiles of a reader
    std::uint64_t output_bytes = 0;  // of a stage that writes all of them, without model outputs
    std::uint64_t model_output_bytes = 0;  // written by operators of the ideal
  };
  void gather_ideal(std::size_t ideal);
  void gather_border(std::size_t ideal);
  void add_border(std::size_t from, std::size_t to, SegmentSum& sum, bool& is_crowded) const;
  void take(const CachingCandidate& candidate, Cache& cache, SegmentSum& sum,
            std::uint64_t& host_bytes) const;
  [[nodiscard]] static Cost to_cost(const SegmentTime& time, std::uint64_t host_bytes) {
    return {time.total().count(), time.link().count(), host_bytes};
  }
  [[nodiscard]] bool is_inside(std::size_t from, std::size_t to, std::size_t op) const {
    return lattice_.contains(to, op) && !lattice_.contains(from, op);
  }

  const SegmentCosts& costs_;
  const IdealLattice& lattice_;
  // Per ideal.
  std::vector<OperatorSums> sums_;
  std::vector<Border> borders_;
  std::size_t words_per_ideal_ = 0;
  std::vector<IdealLattice::Word> candidates_;  // positions of its operators in caching_order()
};

// The costs of the stages that begin at one ideal. The operators on the host depend on the
// beginning of the stage and not on its end, so they are determined once. Each cost is computed
// from the previous one by adding or removing operators. It is cheapest if `to` ascends.
class IdealCosts::Row {
 public:
  Row(const IdealCosts& ideals, std::size_t from)
      : ideals_(ideals), costs_(ideals.costs_), from_(from) {}

  [[nodiscard]] Cost operator()(std::size_t to);
  [[nodiscard]] std::int64_t least_beginning_ns(std::size_t to);
  [[nodiscard]] std::int64_t least_ending_ns(std::size_t to);

 private:
  using Word = IdealLattice::Word;

  void begin();
  void go_to(std::size_t to);
  void add(std::size_t op);
  void remove(std::size_t op);
  void count_writes(std::size_t op, bool is_added);
  [[nodiscard]] bool is_ours(std::size_t op) const;
  [[nodiscard]] bool leaves(const Activation& tensor, std::uint32_t readers) const {
    return tensor.is_model_output || readers < tensor.readers.size();
  }

  const IdealCosts& ideals_;
  const SegmentCosts& costs_;
  std::size_t from_;
  std::vector<Word> on_device_;  // operators after `from_` that would run on the device
  std::vector<Word> ours_;       // of these, the operators of the current segment
  std::vector<Word> theirs_;     // operators of the segment on the host
  std::int64_t host_ns_ = 0;
  std::vector<std::uint32_t> readers_;  // per tensor: number of readers in `ours_`
  OperatorSums sums_;
  std::uint64_t input_bytes_ = 0;
  std::uint64_t output_bytes_ = 0;
  std::uint32_t crowded_ =
      0;  // operators in `ours_` that read a map from outside that crowds their tiles
};

}  // namespace segue
