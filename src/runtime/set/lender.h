// Who uses which device of a set, and who gives one up when one is lost.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runtime/set/load.h"
#include "runtime/set/shared_device.h"
#include "segue/set_run.h"

namespace segue {

// A model's right to use a device. It ends when the device is taken for another model.
struct Lease {
  std::uint32_t model = 0;
  std::uint32_t tpu = 0;
  std::string taken_for = {};  // written before `is_taken`
  std::atomic<bool> is_taken = false;
};

// Thread-safe. It is called by pipelines that hold their locks, and calls none of them.
class [[gnu::visibility("hidden")]] Lender : public std::enable_shared_from_this<Lender> {
 public:
  Lender(const SetPlan& plan, std::vector<SetRunModel> models, std::vector<PipelineDevice> devices,
         SetRunOptions options);

  [[nodiscard]] const PipelineLayout& layout(std::uint32_t model) const {
    return models_[model].layout;
  }
  // The devices of a model's pipeline, in order. Called once for each model.
  [[nodiscard]] std::vector<PipelineDevice> devices_of(std::uint32_t model);
  // With the callbacks of a model's pipeline.
  [[nodiscard]] PipelineOptions options_of(std::uint32_t model);
  [[nodiscard]] std::vector<SharedDeviceStatistics> statistics() const;

  // For leased backends.
  [[nodiscard]] SharedDevice& device(std::uint32_t tpu) { return devices_[tpu]; }
  // What a TPU opens for a segment.
  [[nodiscard]] std::span<const std::byte> file_of(const Lease& lease,
                                                   std::span<const std::byte> segment) const;
  [[nodiscard]] std::optional<SimulatedUse> simulated_use(const Lease& lease) const;

 private:
  [[nodiscard]] PipelineDevice lease(std::uint32_t model, std::uint32_t tpu);
  [[nodiscard]] std::optional<PipelineDevice> borrow(std::uint32_t model, const DeviceLoss& loss);
  [[nodiscard]] std::optional<PipelineLayout> replan(std::uint32_t model, std::uint32_t devices);

  // A change of placements after a loss.
  struct Change {
    Placements placements;
    std::optional<std::uint32_t> tpu = std::nullopt;    // that the model gets
    std::optional<std::uint32_t> donor = std::nullopt;  // that gives it up
  };
  [[nodiscard]] Change best_change(std::uint32_t model, std::uint32_t stage,
                                   const Placements& without, bool runs_without);
  void end_lease(std::uint32_t donor, std::uint32_t tpu, std::uint32_t model);
  [[nodiscard]] std::vector<std::uint32_t> users_of(std::uint32_t tpu) const;
  [[nodiscard]] std::vector<bool> lost() const;

  std::vector<SetRunModel> models_;
  SetRunOptions options_;
  std::deque<SharedDevice> devices_;
  mutable std::mutex mutex_;
  SetLoad load_;
  Placements placements_;
  std::vector<std::shared_ptr<Lease>> leases_;  // also ended ones
  // Devices that were taken from a model whose pipeline has not found out yet.
  std::map<std::pair<std::uint32_t, std::uint32_t>, int> unnoticed_;  // by model and TPU
};

}  // namespace segue
