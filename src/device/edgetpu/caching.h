// The order in which operators are given on-chip memory.
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

// Nothing for operators without parameters that could be cached.
[[nodiscard]] std::optional<CachingCandidate> caching_candidate(const Model& model, OperatorId id,
                                                                const DeviceSpec& device);

// Small operators first, then those whose weights are used least often per inference (smallest
// output map), larger ones first among equals; else in file order.
[[nodiscard]] bool is_cached_before(const CachingCandidate& a, const CachingCandidate& b);

}  // namespace segue
