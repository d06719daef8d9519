// The smallest bottleneck on equal devices when only the stages count: neither the runner nor a
// shared link. What it finds is a lower bound where those count too.
//
// best[n][I]: the smallest bottleneck of all operators beyond ideal I on n devices, over the stages
// that may follow and their replicas. One pass over the pairs of ideals.
#pragma once

#include <cstdint>
#include <vector>

#include "optimal/ideal_costs.h"
#include "optimal/ideals.h"
#include "optimal/stage_pairs.h"
#include "optimal/work_bounds.h"

namespace segue {

class EqualDevices {
 public:
  EqualDevices(const IdealLattice& lattice, const IdealCosts& costs, const WorkBounds& bounds,
               std::uint32_t devices, std::uint32_t max_replicas)
      : lattice_(lattice),
        costs_(costs),
        bounds_(bounds),
        devices_(devices),
        max_replicas_(max_replicas) {}

  struct Stage {
    std::uint32_t from = 0;  // ideals
    std::uint32_t to = 0;
    std::uint32_t replicas = 0;
  };
  // The stages of a pipeline with the smallest bottleneck; empty if that is more than `limit_ns`.
  [[nodiscard]] std::vector<Stage> solve(std::int64_t limit_ns);
  [[nodiscard]] std::int64_t bottleneck_ns() const { return at(devices_, 0).bottleneck_ns; }

  // All pairs that are a stage of a pipeline with this bottleneck, which `solve` reached, or only
  // of those with the fewest stages; and some that are a stage of none.
  [[nodiscard]] StagePairs stages_within(std::int64_t bottleneck_ns, bool with_fewest_stages);

 private:
  struct Best {
    std::int64_t bottleneck_ns = 0;
    std::uint32_t to = 0;  // the first stage ends there
    std::uint32_t replicas = 0;
  };

  [[nodiscard]] Best& at(std::uint32_t devices, std::size_t ideal) {
    return best_[ideal * (devices_ + 1) + devices];
  }
  [[nodiscard]] const Best& at(std::uint32_t devices, std::size_t ideal) const {
    return best_[ideal * (devices_ + 1) + devices];
  }
  [[nodiscard]] bool improves(std::size_t from, std::size_t to, std::int64_t time_ns,
                              std::uint32_t left) const;
  void extend(std::size_t from, std::int64_t limit_ns);
  [[nodiscard]] std::uint32_t devices_beyond(std::size_t ideal, std::int64_t limit_ns) const;

  const IdealLattice& lattice_;
  const IdealCosts& costs_;
  const WorkBounds& bounds_;
  std::uint32_t devices_;
  std::uint32_t max_replicas_;
  std::vector<Best> best_;
  std::vector<std::uint32_t> beyond_;  // per ideal: devices that all other operators need
};

}  // namespace segue
