// The smallest bottleneck on equal devices when only the stages count, without a shared link. With
// a shared link it is a lower bound.
//
// For a bottleneck T, from the last cut to the first, the search computes the fewest devices that
// all operators after a cut need, over the stages that may follow and their replicas. T is bisected
// and moves to realisable values (Pinar and Aykanat, JPDC 2004).
//
// Where some cuts are not listed (gaps), the result is a lower bound of all pipelines: a cut in a
// gap may have any amount of the work there before it, and tensors that cross it cost nothing. In a
// gap, the search computes how much of its work must be done before a cut after which 1, 2, ...
// devices suffice.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "planner/optimal/ideals.h"
#include "planner/optimal/pace.h"
#include "planner/optimal/work_bounds.h"

namespace segue {

// `Stages` has the interface of LatticeStages for one kind of device.
template <typename Stages>
class EqualDevices {
 public:
  struct Stage {
    std::uint32_t from = 0;  // cuts
    std::uint32_t to = 0;
    std::uint32_t replicas = 0;
  };

  // `cuts` are the usable cuts of `stages`, ascending, with the first and the last one.
  EqualDevices(const Stages& stages, std::vector<std::uint32_t> cuts, std::vector<IdealGap> gaps,
               std::uint32_t devices, std::uint32_t max_replicas)
      : stages_(stages),
        cuts_(std::move(cuts)),
        gaps_(std::move(gaps)),
        devices_(devices),
        max_replicas_(max_replicas) {}

  // Returns the smallest bottleneck that is at least `least_ns`, a lower bound. Returns nothing if
  // it is larger than `limit_ns`.
  [[nodiscard]] std::optional<std::int64_t> solve(std::int64_t least_ns, std::int64_t limit_ns);

  // Returns the stages of a pipeline with this bottleneck. Only without gaps.
  [[nodiscard]] std::vector<Stage> pipeline() const;

  // Per cut: the number of devices that all operators after it need for this bottleneck; more than
  // the available number if the cut cannot be used.
  [[nodiscard]] std::span<const std::uint32_t> needed() const { return needed_; }

 private:
  static constexpr std::int64_t kNever = PaceLimits::kNone;
  struct Next {
    std::uint32_t to = 0;
    std::uint32_t replicas = 0;
  };

  [[nodiscard]] bool is_feasible(std::int64_t period_ns);
  void extend(std::size_t from, std::uint32_t most);
  [[nodiscard]] std::uint32_t extend_into_gaps(std::size_t from, std::uint32_t best);
  void fill(const IdealGap& gap);
  [[nodiscard]] std::int64_t least_ns_from(const IdealGap& gap, std::uint32_t beyond);
  [[nodiscard]] std::int64_t ending_ns(const IdealGap& gap, std::uint32_t to);
  [[nodiscard]] std::int64_t beginning_ns(std::uint32_t from, const IdealGap& gap);
  [[nodiscard]] std::int64_t reached_ns() const;

  const Stages& stages_;
  std::vector<std::uint32_t> cuts_;
  std::vector<IdealGap> gaps_;
  std::uint32_t devices_;
  std::uint32_t max_replicas_;
  std::int64_t period_ns_ = 0;
  std::vector<std::uint32_t> needed_;              // per cut of `stages_`
  std::vector<Next> next_;                         // per cut: the next stage
  std::vector<std::vector<std::uint32_t>> after_;  // per number of devices: cuts that need it
  // Per number of devices: the last gap that was filled and after which it suffices, with the work
  // done before it. Earlier gaps are no better.
  std::vector<std::pair<IdealGap, std::int64_t>> levels_;
  // Lower bounds by cut and gap. There are few gaps.
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::int64_t> beginnings_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::int64_t> endings_;
};

}  // namespace segue
