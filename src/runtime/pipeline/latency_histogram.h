// Percentiles of any number of latencies in constant memory, as in HdrHistogram: the width of a
// bucket is at most 1/64 of its value.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

#include "segue/pipeline.h"

namespace segue::pipeline {

class LatencyHistogram {
 public:
  void record(Nanoseconds latency) {
    const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(latency.count(), 0));
    ++buckets_[bucket_of(ns)];
    ++count_;
    sum_ns_ += static_cast<double>(ns);
    max_ns_ = std::max(max_ns_, ns);
  }

  // Returns the latency that a share of all latencies does not exceed, within the width of a
  // bucket.
  [[nodiscard]] Nanoseconds percentile(double share) const {
    const auto rank = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
    std::uint64_t passed = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      passed += buckets_[i];
      if (passed >= std::max<std::uint64_t>(rank, 1))
        return Nanoseconds(std::min(middle_of(i), max_ns_));
    }
    return Nanoseconds(max_ns_);
  }

  [[nodiscard]] LatencyStatistics statistics() const {
    if (count_ == 0) return {};
    return {Nanoseconds(static_cast<std::int64_t>(sum_ns_ / static_cast<double>(count_))),
            percentile(0.5), percentile(0.99), Nanoseconds(max_ns_)};
  }

 private:
  static constexpr unsigned kBits = 6;  // of a bucket's position within its power of two
  static constexpr std::size_t kPerPower = std::size_t{1} << kBits;

  static std::size_t bucket_of(std::uint64_t ns) {
    if (ns < kPerPower) return ns;
    const auto power = static_cast<unsigned>(std::bit_width(ns)) - 1;
    return (power - kBits + 1) * kPerPower + ((ns >> (power - kBits)) & (kPerPower - 1));
  }
  static std::uint64_t middle_of(std::size_t bucket) {
    if (bucket < kPerPower) return bucket;
    const std::size_t shift = bucket / kPerPower - 1;
    const std::uint64_t low = (kPerPower + bucket % kPerPower) << shift;
    return low + ((std::uint64_t{1} << shift) / 2);
  }

  std::array<std::uint64_t, (64 - kBits + 1) * kPerPower> buckets_{};
  std::uint64_t count_ = 0;
  double sum_ns_ = 0;
  std::uint64_t max_ns_ = 0;
};

}  // namespace segue::pipeline
