// Host bytes of ranges of depths, equal to those of the simulated compiler, in a fraction of a
// microsecond per range.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "device/edgetpu/caching.h"
#include "device/edgetpu/internal/reserved_ranges.h"
#include "segue/cost.h"

namespace segue {

class DepthRanges {
 public:
  // Refers to the graph, which must outlive it. O(operators log operators).
  DepthRanges(const Graph& graph, const DeviceSpec& device);

  // Whether all operators with first <= depth <= last run on the device. If not, the operators on
  // the host depend on the range, and host_bytes is not valid.
  [[nodiscard]] bool is_on_device(std::uint32_t first, std::uint32_t last) const {
    return sums_[last].unsupported == sums_[first - 1].unsupported;
  }

  // O(log^2 depth) if all parameters fit, otherwise also O(candidates of the model).
  [[nodiscard]] std::uint64_t host_bytes(std::uint32_t first, std::uint32_t last) const;

 private:
  // Sums over all operators up to a depth.
  struct Sums {
    std::uint64_t cached_bytes = 0;    // of candidates, if they are cached
    std::uint64_t uncached_bytes = 0;  // streamed in every case
    std::uint32_t unsupported = 0;
    std::uint32_t candidates = 0;
  };
  struct Candidate {
    std::uint32_t depth = 0;
    std::uint64_t bytes = 0;
  };

  void sum_operators();
  [[nodiscard]] std::vector<ReservedRanges::Item> reserved_by_depth() const;
  [[nodiscard]] std::uint64_t spilled_bytes(std::uint32_t first, std::uint32_t last,
                                            std::uint64_t capacity) const;

  const Graph& graph_;
  DeviceSpec device_;
  std::vector<Sums> sums_;               // per depth, 0 .. depth
  std::vector<Candidate> in_order_;      // all candidates, in caching order
  std::vector<std::uint32_t> by_depth_;  // positions in in_order_, ascending depth
  ReservedRanges reserved_;              // by depth
};

}  // namespace segue
