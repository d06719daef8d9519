// Host bytes of ranges of depths, equal to those of the simulated compiler, in a fraction of a
// microsecond per range whose parameters fit.
#pragma once

#include <cstdint>
#include <vector>

#include "device/edgetpu/internal/segment_costs.h"

namespace segue {

class DepthRanges {
 public:
  // Takes as long as SegmentCosts. The graph and the device must outlive it.
  DepthRanges(const Graph& graph, const DeviceSpec& device);

  // Whether all operators with first <= depth <= last run on the device. If not, the operators on
  // the host depend on the range, and host_bytes is not valid.
  [[nodiscard]] bool is_on_device(std::uint32_t first, std::uint32_t last) const {
    return sums_[last].unsupported == sums_[first - 1].unsupported;
  }

  // O(1) if all parameters fit beside the largest reserve, otherwise O(operators of the model).
  [[nodiscard]] std::uint64_t host_bytes(std::uint32_t first, std::uint32_t last) const;

 private:
  struct Candidate {
    std::uint32_t depth = 0;
    std::uint64_t bytes = 0;
  };

  [[nodiscard]] std::uint64_t spilled_bytes(std::uint32_t first, std::uint32_t last,
                                            std::uint64_t capacity) const;

  SegmentCosts costs_;
  std::vector<std::uint32_t> depths_;    // per operator
  std::vector<OperatorSums> sums_;       // per depth, 0 to depth, over all operators up to it
  std::vector<Candidate> in_order_;      // all candidates, in caching order
  std::vector<std::uint32_t> by_depth_;  // positions in in_order_, ascending depth
};

}  // namespace segue
