// How the models of a set may be cut, and what a stage costs in a part of a TPU's memory.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "segue/cost.h"
#include "segue/plan_set.h"
#include "segue/planner.h"

namespace segue {

// A stage with a given part of the memory.
struct PlacedStage {
  std::uint64_t on_chip_bytes = 0;
  std::uint64_t host_bytes = 0;
  SegmentTime time;
  Nanoseconds reload{0};  // sending the on-chip parameters
};

// One stage of a layout. It remembers its costs; not thread-safe.
class SetStage {
 public:
  SetStage(const Graph& graph, std::vector<OperatorId> operators, const DeviceSpec& device);

  // The memory for parameters of a TPU that runs only this stage.
  [[nodiscard]] std::uint64_t room() const { return room_; }
  [[nodiscard]] const std::vector<OperatorId>& operators() const { return operators_; }
  // With `room` bytes for parameters.
  [[nodiscard]] const PlacedStage& in(std::uint64_t room) const;

 private:
  [[nodiscard]] PlacedStage place(std::uint64_t room) const;

  const Graph& graph_;
  std::vector<OperatorId> operators_;
  const DeviceSpec& device_;
  std::uint64_t room_;
  std::uint64_t enough_;  // all parameters that are ever cached
  mutable std::map<std::uint64_t, PlacedStage> placed_;
};

// A model as a chain of stages.
using SetLayout = std::vector<SetStage>;

// The choices of one model. Graph and pool must outlive it.
class SetChoices {
 public:
  SetChoices(const Graph& graph, const ModelDemand& demand, const DevicePool& pool);

  // The optimal plan on at most `count` TPUs within the latency, or else the one of least latency.
  // Not set if it needs fewer TPUs, or does not exist.
  [[nodiscard]] const std::optional<Plan>& own(std::uint32_t count);
  // Whether stages may have replicas.
  [[nodiscard]] bool replicates() const { return replicates_; }
  // The layouts of exactly `stages` stages.
  [[nodiscard]] const std::vector<SetLayout>& layouts(std::uint32_t stages);

 private:
  [[nodiscard]] std::optional<Plan> plan_own(std::uint32_t count) const;
  [[nodiscard]] std::vector<SetLayout> cut(std::uint32_t stages) const;

  const Graph& graph_;
  const ModelDemand& demand_;
  const DevicePool& pool_;
  StrategyPlanner planner_;
  bool replicates_;
  std::map<std::uint32_t, std::optional<Plan>> own_;
  std::map<std::uint32_t, std::vector<SetLayout>> layouts_;
};

}  // namespace segue
