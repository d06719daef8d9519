// Properties of an operator that do not depend on its segment, computed once for tables over many
// segments.
#pragma once

#include <cstdint>
#include <optional>

#include "device/edgetpu/caching.h"
#include "device/edgetpu/internal/segment_sum.h"

namespace segue {

struct OperatorFacts {
  OperatorWork work;
  bool crowds_tile = false;  // if its map comes from the host; see input_crowds_tile
  // If its parameters can be cached: their size, and the streaming if there is no room.
  std::optional<CachingCandidate> candidate;
  Streaming spilled;
  // For parameters that are never cached.
  std::uint64_t uncached_bytes = 0;
  Streaming uncached;

  [[nodiscard]] std::uint64_t cached_bytes() const {
    return candidate ? candidate->footprint.bytes : 0;
  }
};

[[nodiscard]] inline OperatorFacts operator_facts(const Model& model, OperatorId id,
                                                  const DeviceSpec& device) {
  OperatorFacts facts;
  facts.work = operator_work(model, id, device);
  facts.crowds_tile = input_crowds_tile(model, id, device.activations);
  facts.candidate = caching_candidate(model, id, device);
  const auto streamed = [&](std::uint64_t bytes) {
    return streaming(facts.work, bytes, facts.work.crossings, device.timing);
  };
  if (facts.candidate) {
    facts.spilled = streamed(facts.candidate->footprint.bytes);
  } else {
    facts.uncached_bytes = parameter_footprint(model, id, device).bytes;
    if (facts.uncached_bytes > 0) facts.uncached = streamed(facts.uncached_bytes);
  }
  return facts;
}

}  // namespace segue
