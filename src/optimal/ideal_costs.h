// Times of the differences of ideals, each as simulate_segment gives it, in a fraction of a
// microsecond.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "compiler/caching.h"
#include "optimal/ideals.h"
#include "segue/compiler.h"
#include "segue/simulator.h"
#include "simulator/segment_sum.h"

namespace segue {

class IdealCosts {
 public:
  IdealCosts(const Graph& graph, const IdealLattice& lattice, const DeviceSpec& device);

  struct Cost {
    Nanoseconds time{0};
    std::uint64_t host_bytes = 0;
  };
  // Of the segment between two ideals, `from` a proper subset of `to`.
  [[nodiscard]] Cost operator()(std::size_t from, std::size_t to) const;

  // No segment between them takes less: the fixed cost and its computation (what an output hides is
  // less than the output), or the streaming of what cannot fit (what computing hides is less than
  // the computation). Monotone in both ends.
  [[nodiscard]] std::int64_t least_ns(std::size_t from, std::size_t to) const {
    constexpr std::int64_t kRounding = 2;  // each part of a time is rounded on its own
    const std::int64_t compute = compute_ns_[to] - compute_ns_[from];
    const std::int64_t stream = stream_all_ns_[to] - stream_all_ns_[from] - cache_ns_;
    return fixed_ns_ + std::max(compute, stream) - kRounding;
  }
  // The computation of an ideal's operators, whatever segments they are in.
  [[nodiscard]] std::int64_t compute_ns(std::size_t ideal) const { return compute_ns_[ideal]; }
  // No segmentation's stages take less together: all of the whole model's time but the streaming of
  // what does not fit.
  [[nodiscard]] std::int64_t least_sum_ns() const;

 private:
  struct TensorFacts {
    std::size_t writer = 0;  // kNone: a model input
    std::uint64_t bytes = 0;
    std::uint64_t sent_bytes = 0;
    std::vector<std::size_t> readers;
    std::vector<std::size_t> crowded_readers;  // whose tiles it crowds
    bool is_model_output = false;
  };
  struct OperatorFacts {
    OperatorWork work;
    std::uint64_t cached_bytes = 0;
    std::uint64_t streamed_bytes = 0;  // of these, when they do not fit
    std::uint64_t uncached_bytes = 0;
    Streaming uncached;
  };

  [[nodiscard]] std::int64_t link_ns(std::uint64_t bytes) const;
  void gather_operators();
  void gather_tensors();
  void gather_ideal(std::size_t ideal);
  void add_border(std::size_t from, std::size_t to, SegmentSum& sum, bool& is_crowded) const;
  void add_spilled(std::size_t from, std::size_t to, std::uint64_t capacity, bool is_crowded,
                   SegmentSum& sum, std::uint64_t& host_bytes) const;
  [[nodiscard]] bool is_inside(std::size_t from, std::size_t to, std::size_t op) const {
    return lattice_.contains(to, op) && !lattice_.contains(from, op);
  }

  static constexpr auto kNone = static_cast<std::size_t>(-1);

  const Graph& graph_;
  const IdealLattice& lattice_;
  const DeviceSpec& device_;
  std::unique_ptr<Compiler> compiler_;  // where some operators run on the host; else null
  std::vector<OperatorFacts> operators_;
  std::vector<TensorFacts> tensors_;
  std::vector<std::size_t> model_outputs_;       // in tensors_
  std::vector<CachingCandidate> caching_order_;  //
  std::int64_t fixed_ns_ = 0;
  std::int64_t cache_ns_ = 0;  // to stream as much as a device caches at most
  // Per ideal: sums over its operators, and the tensors that cross its border.
  std::vector<std::uint64_t> cycles_;
  std::vector<std::int64_t> compute_ns_;
  std::vector<std::int64_t> stream_all_ns_;  // if nothing were cached, in one crossing
  std::vector<std::uint64_t> cached_bytes_;
  std::vector<std::uint64_t> uncached_bytes_;
  std::vector<std::int64_t> uncached_ns_;
  std::vector<std::vector<std::uint32_t>> crossing_;
};

}  // namespace segue
