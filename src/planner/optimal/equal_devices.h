// The smallest bottleneck on equal devices when only the stages count, and no shared link. What it
// finds is a lower bound where one counts too.
//
// For a bottleneck T, from the last cut to the first: the fewest devices that all operators beyond
// a cut need, over the stages that may follow and their replicas. T is bisected and moves to
// realisable values (Pinar and Aykanat, JPDC 2004).
//
// Where some cuts are not listed (gaps), the bottleneck is one that no pipeline is below: a cut in
// a gap may have any amount of the work there before it, and nothing is known of what crosses it.
// Then T in a gap is described by how much of its work must be done before a cut after which 1, 2,
// ... devices suffice.
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

// `Stages` has what LatticeStages has of one kind of device.
template <typename Stages>
class EqualDevices {
 public:
  struct Stage {
    std::uint32_t from = 0;  // cuts
    std::uint32_t to = 0;
    std::uint32_t replicas = 0;
  };

  // `cuts`: those of `stages` that may be used, ascending; the first and the last among them.
  EqualDevices(const Stages& stages, std::vector<std::uint32_t> cuts, std::vector<IdealGap> gaps,
               std::uint32_t devices, std::uint32_t max_replicas)
      : stages_(stages),
        cuts_(std::move(cuts)),
        gaps_(std::move(gaps)),
        devices_(devices),
        max_replicas_(max_replicas) {}

  // The smallest bottleneck from `least_ns` on, which none is below; nothing if that is more than
  // `limit_ns`.
  [[nodiscard]] std::optional<std::int64_t> solve(std::int64_t least_ns, std::int64_t limit_ns);

  // The stages of a pipeline that has what `solve` found; where there are no gaps.
  [[nodiscard]] std::vector<Stage> pipeline() const;

  // Devices that all operators beyond a cut need for the bottleneck found; more than there are
  // where the cut is of no use.
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
  std::vector<Next> next_;                         // per cut: the stage that follows
  std::vector<std::vector<std::uint32_t>> after_;  // per number of devices: cuts that need it
  // Per number of devices: of the last gap filled after which it suffices. Those before it are no
  // better.
  std::vector<std::pair<IdealGap, std::int64_t>> levels_;
  // By cut and gap, where they are few.
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::int64_t> beginnings_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::int64_t> endings_;
};

}  // namespace segue
