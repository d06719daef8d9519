// Data that searches for pipelines of one graph on given kinds of devices share, computed on first
// use. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "planner/optimal/ideals.h"
#include "planner/optimal/lattice_stages.h"
#include "planner/optimal/range_stages.h"
#include "segue/device.h"
#include "segue/graph.h"
#include "segue/planner.h"

namespace segue {

template <typename T>
class MadeOnce {
 public:
  template <typename Make>
  [[nodiscard]] const T& get(Make make) const {
    std::call_once(flag_, [&] { value_ = std::make_unique<T>(make()); });
    return *value_;
  }

 private:
  mutable std::once_flag flag_;
  mutable std::unique_ptr<T> value_;
};

// Returns the limits with no replicas if the model keeps state.
[[nodiscard]] OptimalOptions within_model(OptimalOptions limits, const Graph& graph);

class SharedStages {
 public:
  // Limit for searches over pairs of ideals, of all ideals and along four orders. A device whose
  // costs are not sums is asked for each pair.
  static constexpr std::size_t kMostIdeals = 6000;
  static constexpr std::size_t kMostAskedIdeals = 300;

  SharedStages(const Graph& graph, std::vector<DeviceSpec> kinds, std::uint32_t most_devices);
  SharedStages(const SharedStages&) = delete;
  SharedStages& operator=(const SharedStages&) = delete;

  [[nodiscard]] const Graph& graph() const { return graph_; }
  [[nodiscard]] std::uint32_t most_devices() const { return most_devices_; }
  // Per kind of device.
  [[nodiscard]] std::span<const SegmentCosts> costs() const { return costs_; }
  // Whether tables of pairs of ideals would be too large even along the orders.
  [[nodiscard]] bool is_large() const { return is_large_; }

  // The functions below are for graphs that are not large.

  // Stages along the orders of IdealLattice::along_orders.
  [[nodiscard]] const LatticeStages& orders() const;

  struct Listed {
    std::unique_ptr<LatticeStages> stages;
    std::vector<std::uint32_t> narrow;  // ideals at the ends of gaps
    std::vector<IdealGap> gaps;         // by positions in the lattice
  };
  // All ideals. If there are too many: those along the orders, and all ideals outside the gaps.
  [[nodiscard]] const Listed& listed() const;

  // The functions below are for one kind of device.

  struct Ranges {
    std::vector<RangeStages> orders;    // the file order first; empty if times are not sums
    std::vector<std::uint32_t> narrow;  // cuts of the file order
    std::vector<IdealGap> gaps;
  };
  [[nodiscard]] const Ranges& ranges() const;

 private:
  [[nodiscard]] std::size_t most_ideals() const;
  [[nodiscard]] std::unique_ptr<LatticeStages> stages_over(IdealLattice lattice) const;
  [[nodiscard]] Listed list() const;
  [[nodiscard]] Ranges range() const;

  const Graph& graph_;
  std::vector<DeviceSpec> kinds_;
  std::uint32_t most_devices_;
  std::vector<std::vector<OperatorId>> cut_orders_;
  std::vector<SegmentCosts> costs_;  // per kind
  bool is_large_ = false;
  MadeOnce<std::unique_ptr<LatticeStages>> orders_;
  MadeOnce<Listed> listed_;
  MadeOnce<Ranges> ranges_;
};

}  // namespace segue
