// What searches for the best pipelines of one graph on given kinds of devices share, made when it
// is first needed. Thread-safe.
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

class SharedStages {
 public:
  // For searches that look at pairs of ideals: of all of them, and along three orders.
  static constexpr std::size_t kMostIdeals = 6000;

  SharedStages(const Graph& graph, std::vector<DeviceSpec> kinds, std::uint32_t most_devices);
  SharedStages(const SharedStages&) = delete;
  SharedStages& operator=(const SharedStages&) = delete;

  [[nodiscard]] const Graph& graph() const { return graph_; }
  [[nodiscard]] std::uint32_t most_devices() const { return most_devices_; }
  // Per kind of device.
  [[nodiscard]] std::span<const SegmentCosts> costs() const { return costs_; }
  // Whether a table of pairs of ideals would be too much even along orders.
  [[nodiscard]] bool is_large() const { return is_large_; }

  // Below: where the graph is not large.

  // Along the orders by depth, by file and Google's.
  [[nodiscard]] const LatticeStages& orders() const;

  struct Listed {
    std::unique_ptr<LatticeStages> stages;
    std::vector<std::uint32_t> narrow;  // ideals that gaps lie between
    std::vector<IdealGap> gaps;         // in the same numbers
  };
  // All ideals; where they are too many, those along orders and where the graph is narrow.
  [[nodiscard]] const Listed& listed() const;

  // Below: of one kind of device.

  struct Ranges {
    std::vector<RangeStages> orders;    // by file first; none where there are no sums
    std::vector<std::uint32_t> narrow;  // cuts of that one
    std::vector<IdealGap> gaps;
  };
  [[nodiscard]] const Ranges& ranges() const;

 private:
  [[nodiscard]] std::unique_ptr<LatticeStages> stages_over(IdealLattice lattice) const;
  [[nodiscard]] Listed list() const;
  [[nodiscard]] Ranges range() const;

  const Graph& graph_;
  std::vector<DeviceSpec> kinds_;
  std::uint32_t most_devices_;
  std::vector<SegmentCosts> costs_;  // per kind
  bool is_large_;
  MadeOnce<std::unique_ptr<LatticeStages>> orders_;
  MadeOnce<Listed> listed_;
  MadeOnce<Ranges> ranges_;
};

}  // namespace segue
