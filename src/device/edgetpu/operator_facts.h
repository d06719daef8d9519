// Properties of an operator that do not depend on its segment, computed once for tables over many
// segments.
#pragma once

#include <cstdint>
#include <optional>

#include "device/edgetpu/caching.h"
#include "device/edgetpu/internal/segment_sum.h"

namespace segue {

// Sums over the operators of a segment. What was added can be subtracted again.
struct OperatorSums {
  std::uint64_t cycles = 0;
  std::uint64_t instruction_bytes = 0;
  std::uint64_t cached_bytes = 0;  // if all cacheable parameters are cached
  std::uint64_t uncached_bytes = 0;
  Streaming uncached;
  Streaming spilled;              // if no parameters are cached
  std::uint32_t unsupported = 0;  // operators that the device does not support

  OperatorSums& operator+=(const OperatorSums& other) {
    cycles += other.cycles;
    instruction_bytes += other.instruction_bytes;
    cached_bytes += other.cached_bytes;
    uncached_bytes += other.uncached_bytes;
    uncached += other.uncached;
    spilled += other.spilled;
    unsupported += other.unsupported;
    return *this;
  }
  OperatorSums& operator-=(const OperatorSums& other) {
    cycles -= other.cycles;
    instruction_bytes -= other.instruction_bytes;
    cached_bytes -= other.cached_bytes;
    uncached_bytes -= other.uncached_bytes;
    uncached -= other.uncached;
    spilled -= other.spilled;
    unsupported -= other.unsupported;
    return *this;
  }
  friend OperatorSums operator-(OperatorSums a, const OperatorSums& b) { return a -= b; }

  // Returns the segment without transfers and without streaming of cacheable parameters.
  [[nodiscard]] SegmentSum segment() const {
    return {.cycles = cycles,
            .instruction_bytes = kSegmentInstructionBytes + instruction_bytes,
            .streaming_ns = uncached.added_ns,
            .hidden_streaming_ns = uncached.hidden_ns};
  }
};

struct OperatorFacts {
  OperatorWork work;
  bool is_supported = true;
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
  [[nodiscard]] OperatorSums sums() const {
    return {work.cycles, work.instruction_bytes, cached_bytes(), uncached_bytes, uncached,
            spilled,     is_supported ? 0U : 1U};
  }
};

[[nodiscard]] inline OperatorFacts operator_facts(const Model& model, OperatorId id,
                                                  const DeviceSpec& device) {
  OperatorFacts facts;
  facts.work = operator_work(model, id, device);
  facts.is_supported = is_supported_on_device(model, id);
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
