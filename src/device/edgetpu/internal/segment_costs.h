// The data that determines the costs of all segments of one graph on one kind of device, computed
// once. All searches, their bounds and the profile use it. Only the certificate checker computes
// costs independently.
//
// The costs of an Edge TPU follow from sums over operators. For another kind of device, its
// DeviceModel computes them one segment at a time. In that case there are no activations and no
// caching order, and bounds are DeviceModel::least_time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "device/edgetpu/operator_facts.h"
#include "segue/cost.h"
#include "segue/graph.h"

namespace segue {

// Lower bounds of an operator's cost, independent of its segment.
struct OperatorBound {
  std::int64_t work_ns = 0;        // computation, and streaming of parameters that are never cached
  std::int64_t spill_ns = 0;       // in addition, if its parameters stream
  std::uint64_t cached_bytes = 0;  // on chip, if they do not stream
};

// A tensor that is computed or an input, not a constant.
struct Activation {
  std::size_t writer = 0;  // operator; SegmentCosts::kNone: a model input
  std::uint64_t bytes = 0;
  std::uint64_t sent_bytes = 0;
  std::vector<std::uint32_t> readers;          // operators, ascending, each once
  std::vector<std::uint32_t> crowded_readers;  // readers whose tiles it crowds
  bool is_model_output = false;                // a computed tensor that the model returns
};

// Immutable. Refers to the graph and the device, which must outlive it.
class SegmentCosts {
 public:
  static constexpr auto kNone = static_cast<std::size_t>(-1);

  // O(operators log operators + edges), or O(operators^2) in the worst case if some operators run
  // on the host.
  SegmentCosts(const Graph& graph, const DeviceSpec& device);

  [[nodiscard]] const Graph& graph() const { return *graph_; }
  // Whether costs follow from the sums below.
  [[nodiscard]] bool are_sums() const { return compiler_ == nullptr; }
  // The time of a segment; only if costs are not sums.
  struct Asked {
    SegmentTime time;
    std::uint64_t host_bytes = 0;
  };
  [[nodiscard]] Asked ask(std::span<const OperatorId> operators) const;
  [[nodiscard]] const DeviceSpec& device() const { return *device_; }
  [[nodiscard]] std::span<const OperatorFacts> operators() const { return operators_; }
  [[nodiscard]] std::span<const Activation> activations() const { return activations_; }
  // Positions in activations(): the tensors that an operator reads, each once, and those that it
  // writes.
  [[nodiscard]] std::span<const std::uint32_t> reads(std::size_t op) const { return reads_[op]; }
  [[nodiscard]] std::span<const std::uint32_t> writes(std::size_t op) const { return writes_[op]; }
  // Operators with cacheable parameters, in caching order.
  [[nodiscard]] std::span<const CachingCandidate> caching_order() const { return caching_order_; }

  // Whether some operator runs on the host in every segmentation.
  [[nodiscard]] bool has_host() const { return has_host_; }
  [[nodiscard]] bool is_supported(std::size_t op) const { return operators_[op].is_supported; }
  // Whether it runs on the host in some segment.
  [[nodiscard]] bool may_run_on_host(std::size_t op) const { return may_run_on_host_[op]; }
  // Its time on the host; 0 if it never runs there.
  [[nodiscard]] std::int64_t host_ns(std::size_t op) const { return host_ns_[op]; }

  [[nodiscard]] OperatorBound bound(std::size_t op) const;
  // Fixed time of every segment with operators on the device: invocation and the segment's own
  // instructions.
  [[nodiscard]] std::int64_t fixed_ns() const;
  [[nodiscard]] std::int64_t input_ns(std::uint64_t bytes) const;
  [[nodiscard]] std::int64_t output_ns(std::uint64_t bytes) const;
  // Memory for parameters, over all segments.
  [[nodiscard]] std::uint64_t largest_capacity() const;
  [[nodiscard]] std::uint64_t smallest_capacity() const;
  // Memory for parameters of a segment; `is_inside` tells whether an operator is in it. O(operators
  // that reserve more than the minimum).
  template <typename IsInside>
  [[nodiscard]] std::uint64_t capacity(IsInside is_inside) const {
    const auto comes_from_host = [&](std::uint32_t t) {
      return activations_[t].writer == kNone || !is_inside(activations_[t].writer);
    };
    for (const Reserve& reserve : reserves_) {
      if (!is_inside(reserve.op)) continue;
      if (!reserve.is_at_input || std::ranges::any_of(reads_[reserve.op], comes_from_host))
        return parameter_capacity(device_->memory, reserve.rows);
    }
    return largest_capacity();
  }
  [[nodiscard]] double instruction_ns_per_byte() const {
    return device_->timing.instruction_share.value / device_->timing.link_bytes_per_s.value * 1e9;
  }
  // Streaming of an operator whose parameters do not fit and that is the last of its segment.
  [[nodiscard]] Streaming spilled_last(std::size_t op, bool is_crowded) const;

 private:
  // Memory for activations that an operator needs, if it is more than the minimum.
  struct Reserve {
    std::uint32_t rows = 0;
    std::uint32_t op = 0;
    bool is_at_input = false;  // only if it reads an activation from the host
  };

  void gather_operators();
  void gather_activations();
  void gather_least_times();

  const Graph* graph_;
  const DeviceSpec* device_;
  std::shared_ptr<const Compiler> compiler_;  // of a device whose costs are not sums
  std::vector<OperatorFacts> operators_;
  std::vector<bool> may_run_on_host_;
  std::vector<std::int64_t> host_ns_;
  std::vector<std::int64_t> least_ns_;  // DeviceModel::least_time, per operator
  bool has_host_ = false;
  std::vector<Activation> activations_;
  std::vector<std::vector<std::uint32_t>> reads_;
  std::vector<std::vector<std::uint32_t>> writes_;
  std::vector<CachingCandidate> caching_order_;
  // In descending order of rows. The first that applies to a segment determines its capacity.
  std::vector<Reserve> reserves_;
};

}  // namespace segue
