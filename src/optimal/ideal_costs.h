// Costs of the differences of ideals on one kind of device, each as simulate_segment gives it, in a
// fraction of a microsecond.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "optimal/ideals.h"
#include "segue/compiler.h"
#include "segue/simulator.h"
#include "simulator/operator_facts.h"

namespace segue {

class IdealCosts {
 public:
  IdealCosts(const Graph& graph, const IdealLattice& lattice, const DeviceSpec& device);

  struct Cost {
    std::int64_t time_ns = 0;
    std::int64_t link_ns = 0;  // of the time, the link is busy
    std::uint64_t host_bytes = 0;
  };
  // Of the segment between two ideals, `from` a proper subset of `to`.
  [[nodiscard]] Cost operator()(std::size_t from, std::size_t to) const;

  // What an operator costs at least, whatever segment it is in.
  struct OperatorBound {
    std::int64_t work_ns = 0;        // computation, and streaming of what is never cached
    std::int64_t spill_ns = 0;       // more, if its parameters are streamed
    std::uint64_t cached_bytes = 0;  // on chip, if they are not
  };
  [[nodiscard]] OperatorBound bound(std::size_t op) const;
  [[nodiscard]] std::int64_t least_fixed_ns() const;
  // Whether all that crosses the border of `from` is read between the two for the last time. Then
  // the stage between them receives all of it, and writes all that crosses the border of `to`.
  [[nodiscard]] bool reads_all(std::size_t from, std::size_t to) const;
  // What a stage that begins, or ends, at this ideal spends on all that crosses its border, as far
  // as nothing hides it.
  [[nodiscard]] std::int64_t input_ns(std::size_t ideal) const;
  [[nodiscard]] std::int64_t output_ns(std::size_t ideal) const;
  [[nodiscard]] std::uint64_t largest_capacity() const;

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
  // Of all tensors that cross the border of an ideal.
  struct Border {
    std::vector<std::uint32_t> tensors;
    std::vector<IdealLattice::Word> readers;  // outside
    std::uint64_t input_bytes = 0;            // of a stage that reads all
    bool is_crowded = false;                  // then, by some reader
    std::uint64_t output_bytes = 0;           // of a stage that writes all; model outputs apart
    std::uint64_t model_output_bytes = 0;     // that operators of the ideal write
  };
  // Sums over the operators of an ideal.
  struct IdealSums {
    std::uint64_t cycles = 0;
    std::uint64_t cached_bytes = 0;
    std::uint64_t uncached_bytes = 0;
    Streaming uncached;
    std::uint32_t unsupported = 0;  // operators that the device does not have
  };

  void gather_operators();
  void gather_tensors();
  void gather_ideal(std::size_t ideal);
  void gather_border(std::size_t ideal);
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
  std::vector<bool> is_supported_;          // by the device, per operator
  std::vector<bool> may_run_on_host_;       // in some segment
  std::vector<TensorFacts> tensors_;        // of activations
  std::vector<std::size_t> model_outputs_;  // in tensors_
  std::vector<CachingCandidate> caching_order_;
  // Per ideal.
  std::vector<IdealSums> sums_;
  std::vector<Border> borders_;
  std::size_t words_per_ideal_ = 0;
  std::vector<IdealLattice::Word> candidates_;  // its operators' positions in caching_order_
};

}  // namespace segue
