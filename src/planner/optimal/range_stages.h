// The stages between the cuts along one order of the operators, with the interface of
// LatticeStages, for graphs of up to some hundred thousand operators. Sums over operators are
// differences of prefix sums. Tensors that cross a cut are sorted by their next reader and by their
// writer.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <vector>

#include "device/edgetpu/internal/segment_costs.h"
#include "planner/optimal/bits.h"
#include "planner/optimal/work_bounds.h"

namespace segue {

// Thread-safe. The costs must outlive it.
class RangeStages {
 public:
  static constexpr bool kIsOrdered = true;  // whether cuts are ordered by the work before them

  // Returns nothing if some operators run on the host, because times are then not sums, or if so
  // many tensors cross so many cuts that the tables would be too large.
  [[nodiscard]] static std::optional<RangeStages> along(const SegmentCosts& costs,
                                                        std::vector<OperatorId> order,
                                                        std::uint32_t most_devices);

  [[nodiscard]] const WorkBounds& bounds() const { return bounds_; }
  // Number of cuts. Cut `i` is after the first `i` operators.
  [[nodiscard]] std::size_t size() const { return order_.size() + 1; }
  // Returns the operators between two cuts in file order.
  [[nodiscard]] std::vector<OperatorId> operators(std::size_t from, std::size_t to) const;

  [[nodiscard]] bool may_take(std::size_t from, std::size_t to, std::int64_t longest_ns) const;
  [[nodiscard]] std::size_t last_within(std::size_t from, std::int64_t longest_ns) const;
  [[nodiscard]] std::int64_t time_ns(std::size_t from, std::size_t to) const;
  [[nodiscard]] std::int64_t least_beginning_ns(std::size_t from, const IdealGap& gap) const;
  [[nodiscard]] std::int64_t least_ending_ns(const IdealGap& gap, std::size_t to) const;
  [[nodiscard]] std::int64_t least_between_ns(const IdealGap& gap, const IdealGap& later) const;

 private:
  // A tensor that crosses a cut. Bytes include the tensors that are read before it, or were written
  // after it.
  struct Crossing {
    std::uint32_t operator_position = 0;  // its next reader, or its writer
    std::uint64_t bytes = 0;
  };
  struct Crossings {
    std::vector<std::size_t> starts;  // per cut: position in `all`
    std::vector<Crossing> all;

    // Returns the bytes of the first crossings of a cut, up to one that is not inside.
    template <typename IsInside>
    [[nodiscard]] std::uint64_t bytes_while(std::size_t cut, IsInside is_inside) const {
      const auto of_cut = std::span(all).subspan(starts[cut], starts[cut + 1] - starts[cut]);
      const auto beyond =
          std::ranges::partition_point(of_cut, is_inside, &Crossing::operator_position);
      return beyond == of_cut.begin() ? 0 : std::prev(beyond)->bytes;
    }
  };
  [[nodiscard]] std::int64_t least_ns_without_border(std::size_t from, std::size_t to) const;
  RangeStages(const SegmentCosts& costs, std::vector<OperatorId> order, std::uint32_t most_devices);
  [[nodiscard]] const OperatorFacts& op_at(std::size_t position) const {
    return costs_->operators()[index(order_[position])];
  }
  [[nodiscard]] const Timing& timing() const { return costs_->device().timing; }
  [[nodiscard]] std::size_t first_cut_of(const Activation& tensor) const;
  [[nodiscard]] std::vector<std::uint32_t> readers_of(const Activation& tensor) const;
  [[nodiscard]] bool gather_tensors();
  void gather_crossings();
  template <typename Compare>
  void sum_crossings(Crossings& crossings, Compare compare) const;
  void gather_crowding();
  void gather_candidates();
  [[nodiscard]] std::uint64_t input_bytes(std::size_t from, std::size_t to) const;
  [[nodiscard]] std::uint64_t output_bytes(std::size_t from, std::size_t to) const;
  [[nodiscard]] SegmentSum sum_without_spilling(std::size_t from, std::size_t to) const;
  [[nodiscard]] std::span<const bits::Word> ranks_before(std::size_t step) const {
    return std::span(ranks_before_).subspan(step * words_per_step_, words_per_step_);
  }
  void add_spilled(std::size_t from, std::size_t to, std::uint64_t left_bytes,
                   SegmentSum& sum) const;

  const SegmentCosts* costs_;
  std::vector<OperatorId> order_;
  std::vector<std::uint32_t> positions_;  // per operator: position in the order
  WorkBounds bounds_;
  std::vector<OperatorSums> sums_;                 // per cut, over the operators before it
  std::vector<std::uint64_t> model_output_bytes_;  // per cut, written before it
  Crossings next_reads_;                           // per cut, by next reader ascending
  Crossings writes_;                               // per cut, by writer descending
  std::vector<std::uint32_t>
      next_crowded_;                   // per cut: next reader whose tiles a map from outside crowds
  std::vector<std::uint32_t> ranked_;  // positions of operators with parameters, by rank
  // Per rank: the smallest size of it and all later ones; behind the last one, the largest number.
  std::vector<std::uint64_t> least_bytes_from_;
  std::size_t words_per_step_ = 0;
  std::vector<bits::Word> ranks_before_;  // per kStep-th cut: the ranks before it
};

}  // namespace segue
