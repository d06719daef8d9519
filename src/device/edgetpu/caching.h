// The order in which operators receive on-chip memory.
#pragma once

#include <cstdint>
#include <optional>

#include "segue/cost.h"

namespace segue {

struct CachingCandidate {
  OperatorId op{};
  bool is_small = false;
  std::uint64_t output_pixels = 0;
  ParameterFootprint footprint;
};

// Returns nothing for operators without cacheable parameters.
[[nodiscard]] std::optional<CachingCandidate> caching_candidate(const Model& model, OperatorId id,
                                                                const DeviceSpec& device);

// Orders small operators first, then by ascending size of the output map (how often a weight is
// used per inference), then by descending size of the parameters, then in file order.
[[nodiscard]] bool is_cached_before(const CachingCandidate& a, const CachingCandidate& b);

}  // namespace segue
