// Costs of the differences of ideals on one kind of device, each as simulate_segment gives it, in a
// fraction of a microsecond; with operators on the host as fast only along a Row.
#pragma once

#include <cstdint>
#include <vector>

#include "device/edgetpu/segment_costs.h"
#include "planner/optimal/ideals.h"

namespace segue {

class IdealCosts {
 public:
  // Both must outlive it.
  IdealCosts(const SegmentCosts& costs, const IdealLattice& lattice);

  struct Cost {
    std::int64_t time_ns = 0;
    std::int64_t link_ns = 0;  // of the time, the link is busy
    std::uint64_t host_bytes = 0;
  };
  // Of the segment between two ideals, `from` a proper subset of `to`.
  [[nodiscard]] Cost operator()(std::size_t from, std::size_t to) const;
  class Row;

  [[nodiscard]] const SegmentCosts& of_operators() const { return costs_; }
  // Of a stage: what it takes whatever is in it.
  [[nodiscard]] std::int64_t least_fixed_ns() const;
  // Whether all that crosses the border of `from` is read between the two for the last time. Then
  // the stage between them receives all of it, and writes all that crosses the border of `to`.
  [[nodiscard]] bool reads_all(std::size_t from, std::size_t to) const;
  // What a stage that begins, or ends, at this ideal spends on all that crosses its border, as far
  // as nothing hides it.
  [[nodiscard]] std::int64_t input_ns(std::size_t ideal) const;
  [[nodiscard]] std::int64_t output_ns(std::size_t ideal) const;
  // Of a stage that begins at an ideal, and goes on beyond another: what it takes for the operators
  // between them, without streaming what could be cached.
  [[nodiscard]] std::int64_t least_beginning_ns(std::size_t from, std::size_t to) const;
  // The same of a stage that ends at an ideal and begins before another, without its fixed time.
  [[nodiscard]] std::int64_t least_ending_ns(std::size_t from, std::size_t to) const;
  [[nodiscard]] bool may_run_on_host(std::size_t from, std::size_t to) const;

  // No segmentation's stages take less together: all of the whole model's time but the streaming of
  // what does not fit.
  [[nodiscard]] std::int64_t least_sum_ns() const;

 private:
  // What the device caches of a segment, candidate by candidate; the rest is streamed.
  struct Cache {
    std::uint64_t left_bytes = 0;
    std::size_t last = 0;  // the last operator of the segment
    bool is_crowded = false;
  };
  // Of all tensors that cross the border of an ideal.
  struct Border {
    std::vector<std::uint32_t> tensors;
    std::vector<IdealLattice::Word> readers;  // outside
    std::uint64_t input_bytes = 0;            // of a stage that reads all
    bool is_crowded = false;                  // then, by some reader
    std::uint64_t output_bytes = 0;           // of a stage that writes all; model outputs apart
    std::uint64_t model_output_bytes = 0;     // that operators of the ideal write
  };
  // Sums over the operators of an ideal.
  struct IdealSums {
    std::uint64_t cycles = 0;
    std::uint64_t instruction_bytes = 0;
    std::uint64_t cached_bytes = 0;
    std::uint64_t uncached_bytes = 0;
    Streaming uncached;
    std::uint32_t unsupported = 0;  // operators that the device does not have

    void add(const OperatorFacts& op) {
      cycles += op.work.cycles;
      instruction_bytes += op.work.instruction_bytes;
      cached_bytes += op.cached_bytes();
      uncached_bytes += op.uncached_bytes;
      uncached.added_ns += op.uncached.added_ns;
      uncached.hidden_ns += op.uncached.hidden_ns;
    }
    void remove(const OperatorFacts& op) {
      cycles -= op.work.cycles;
      instruction_bytes -= op.work.instruction_bytes;
      cached_bytes -= op.cached_bytes();
      uncached_bytes -= op.uncached_bytes;
      uncached.added_ns -= op.uncached.added_ns;
      uncached.hidden_ns -= op.uncached.hidden_ns;
    }
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
  std::vector<IdealSums> sums_;
  std::vector<Border> borders_;
  std::size_t words_per_ideal_ = 0;
  std::vector<IdealLattice::Word> candidates_;  // its operators' positions in caching_order_
};

// The costs of the stages that begin at one ideal. Which operators run on the host depends on where
// the stage begins, but not on where it ends: they are found once, and each cost is that of the one
// before with some operators more or less. Cheapest where `to` ascends.
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
  std::vector<Word> on_device_;  // operators beyond `from_` that would run there
  std::vector<Word> ours_;       // those of them up to the ideal at hand
  std::vector<Word> theirs_;     // the host's
  std::int64_t host_ns_ = 0;
  std::vector<std::uint32_t> readers_;  // per tensor: of ours
  IdealSums sums_;
  SegmentSum border_;
  std::uint32_t crowded_ = 0;  // of ours: read a map from outside that crowds their tiles
};

}  // namespace segue
