#include "runtime/set/lender.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "segue/error.h"

namespace segue {
namespace {

// A device for one model. Its lease may end; then its sessions throw.
class LeasedBackend : public Backend {
 public:
  LeasedBackend(std::shared_ptr<Lender> lender, std::shared_ptr<const Lease> lease)
      : lender_(std::move(lender)),
        lease_(std::move(lease)),
        device_(lender_->device(lease_->tpu)) {
    device_.add_user();
  }

  [[nodiscard]] bool computes_on_core() const override {
    return device_.backend().computes_on_core();
  }
  [[nodiscard]] bool wants_compiled() const override { return device_.backend().wants_compiled(); }
  [[nodiscard]] std::optional<double> temperature_c() const override {
    return device_.backend().temperature_c();
  }
  [[nodiscard]] std::string description() const override { return device_.backend().description(); }
  [[nodiscard]] std::vector<std::string> faults() const override {
    return device_.backend().faults();
  }
  // The others lose the device too, unless it was taken for one of them.
  void give_up() const noexcept override {
    if (!lease_->is_taken) device_.lose("it failed, or did not answer");
  }
  void release() const noexcept override { device_.remove_user(); }

  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> model,
                                              const std::string& name) const override {
    check(*lease_, device_);
    const std::span<const std::byte> file = lender_->file_of(*lease_, model);
    std::unique_ptr<Session> session;
    device_.open([&] { session = device_.backend().open(file, name); });
    return std::make_unique<LeasedSession>(std::move(session), lender_, lease_, device_,
                                           lender_->simulated_use(*lease_));
  }

 private:
  static void check(const Lease& lease, const SharedDevice& device) {
    if (!lease.is_taken) return;
    throw Error(ErrorCode::kDevice,
                fmt::format("{} was taken for {}", device.name(), lease.taken_for));
  }

  class LeasedSession : public Session {
   public:
    LeasedSession(std::unique_ptr<Session> session, std::shared_ptr<Lender> lender,
                  std::shared_ptr<const Lease> lease, SharedDevice& device,
                  const std::optional<SimulatedUse>& simulated)
        : lender_(std::move(lender)),
          lease_(std::move(lease)),
          device_(device),
          simulated_(simulated),
          session_(std::move(session)) {}

    [[nodiscard]] std::span<const Port> inputs() const override { return session_->inputs(); }
    [[nodiscard]] std::span<const Port> outputs() const override { return session_->outputs(); }
    void run_into(std::span<const std::span<const std::byte>> inputs,
                  std::vector<TensorBytes>& outputs) override {
      check(*lease_, device_);
      device_.run(lease_->model, simulated_, [&] { session_->run_into(inputs, outputs); });
    }

   private:
    std::shared_ptr<Lender> lender_;  // owns the device
    std::shared_ptr<const Lease> lease_;
    SharedDevice& device_;
    std::optional<SimulatedUse> simulated_;
    std::unique_ptr<Session> session_;
  };

  std::shared_ptr<Lender> lender_;
  std::shared_ptr<const Lease> lease_;
  SharedDevice& device_;
};

bool is_better(const Merit& a, const Merit& b) {
  constexpr double kRounding = 1e-9;
  const auto differ = [](double one, double other) {
    if (std::isinf(one) || std::isinf(other)) return one != other;
    return std::abs(one - other) > kRounding * std::abs(other);
  };
  if (differ(a.demanded, b.demanded)) return a.demanded > b.demanded;
  if (differ(a.free, b.free)) return a.free > b.free;
  return differ(a.slack, b.slack) && a.slack > b.slack;
}

std::vector<std::shared_ptr<const Model>> models_of(const std::vector<SetRunModel>& models) {
  std::vector<std::shared_ptr<const Model>> result;
  for (const SetRunModel& model : models) result.push_back(model.model);
  return result;
}

}  // namespace

Lender::Lender(const SetPlan& plan, std::vector<SetRunModel> models,
               std::vector<PipelineDevice> devices, SetRunOptions options)
    : models_(std::move(models)),
      options_(std::move(options)),
      load_(plan, models_of(models_)),
      placements_(load_.initial()) {
  for (PipelineDevice& device : devices) {
    if (options_.pipeline.own_processes) device.backend = isolate(std::move(device.backend));
    devices_.emplace_back(std::move(device));
  }
}

// --- What pipelines get

PipelineDevice Lender::lease(std::uint32_t model, std::uint32_t tpu) {
  auto lease = std::make_shared<Lease>();
  lease->model = model;
  lease->tpu = tpu;
  leases_.push_back(lease);
  return {devices_[tpu].name(),
          std::make_shared<const LeasedBackend>(shared_from_this(), std::move(lease))};
}

std::vector<PipelineDevice> Lender::devices_of(std::uint32_t model) {
  const std::lock_guard lock(mutex_);
  std::vector<PipelineDevice> result;
  for (const std::uint32_t tpu : placements_[model].tpus) result.push_back(lease(model, tpu));
  return result;
}

PipelineOptions Lender::options_of(std::uint32_t model) {
  PipelineOptions result = options_.pipeline;
  if (result.watchdog > Nanoseconds(0)) {
    // An inference may wait for those of other models.
    const auto wait_ns = static_cast<double>(load_.plan().models[model].latency.count());
    const double limit_ns =
        static_cast<double>(result.watchdog.count()) + wait_ns * options_.time_scale.value_or(1);
    result.watchdog = limit_ns < static_cast<double>(kLongestWait.count())
                          ? Nanoseconds(static_cast<std::int64_t>(limit_ns))
                          : kLongestWait;
  }
  const auto self = shared_from_this();
  result.borrow = [self, model](const DeviceLoss& loss) { return self->borrow(model, loss); };
  if (models_[model].model != nullptr)
    result.replan = [self, model](std::uint32_t devices) { return self->replan(model, devices); };
  if (options_.on_loss) {
    const std::string name = load_.plan().models[model].demand.name;
    result.on_loss = [self, name](const DeviceLoss& loss) { self->options_.on_loss(name, loss); };
  }
  return result;
}

std::span<const std::byte> Lender::file_of(const Lease& lease,
                                           std::span<const std::byte> segment) const {
  const std::lock_guard lock(mutex_);
  const auto& files = models_[lease.model].files;
  const auto file = files.find(lease.tpu);
  // The file is for the stage that the set planned there.
  const Placement& placement = placements_[lease.model];
  const auto stage = placement.stages.find(lease.tpu);
  const bool is_as_planned =
      placement.plan == nullptr && file != files.end() && stage != placement.stages.end() &&
      planned_resident(load_.plan(), lease.model, stage->second, lease.tpu) != nullptr;
  return is_as_planned ? file->second.model : segment;
}

std::optional<SimulatedUse> Lender::simulated_use(const Lease& lease) const {
  if (!options_.time_scale) return std::nullopt;
  const std::lock_guard lock(mutex_);
  // After a new plan that leaves a device idle, a pipeline may take it as its spare.
  if (!placements_[lease.model].stages.contains(lease.tpu)) return std::nullopt;
  const SetLoad::Use use = load_.use(placements_, lease.model, lease.tpu);
  const auto scaled = [&](Nanoseconds time) {
    return Nanoseconds(
        static_cast<std::int64_t>(static_cast<double>(time.count()) * *options_.time_scale));
  };
  return SimulatedUse{scaled(use.time), scaled(use.reload)};
}

std::vector<SharedDeviceStatistics> Lender::statistics() const {
  std::vector<SharedDeviceStatistics> result;
  std::optional<SharedDevice::Period> all;
  for (const SharedDevice& device : devices_) {
    result.push_back(device.statistics());
    const auto period = device.period();
    if (!period) continue;
    if (!all) all = period;
    all = {std::min(all->begin, period->begin), std::max(all->end, period->end)};
  }
  const std::lock_guard lock(mutex_);
  for (std::uint32_t t = 0; t < result.size(); ++t) {
    if (all && all->end > all->begin)
      result[t].utilisation = static_cast<double>(result[t].busy.count()) /
                              static_cast<double>(Nanoseconds(all->end - all->begin).count());
    for (const std::uint32_t model : users_of(t))
      result[t].models.push_back(load_.plan().models[model].demand.name);
  }
  return result;
}

// --- Losses

std::vector<std::uint32_t> Lender::users_of(std::uint32_t tpu) const {
  std::vector<std::uint32_t> result;
  for (std::uint32_t m = 0; m < placements_.size(); ++m)
    if (placements_[m].stages.contains(tpu)) result.push_back(m);
  return result;
}

std::vector<bool> Lender::lost() const {
  std::vector<bool> result;
  for (const SharedDevice& device : devices_) result.push_back(device.is_lost());
  return result;
}

// `without` are the placements in which the model goes on without a new device.
Lender::Change Lender::best_change(std::uint32_t model, std::uint32_t stage,
                                   const Placements& without, bool runs_without) {
  const std::vector<bool> is_lost = lost();
  Change best{without};
  Merit most = runs_without ? load_.merit(without, is_lost) : Merit{};
  const auto consider = [&](Change change) {
    const Merit merit = load_.merit(change.placements, is_lost);
    if (!is_better(merit, most)) return;
    most = merit;
    best = std::move(change);
  };
  const bool has_all = runs_without && most.demanded >= 1 &&
                       load_.plan().models[model].demand.rate_per_s.has_value();
  // What the model had before the loss, with this device in place of the lost one.
  const auto with = [&](std::uint32_t tpu) {
    Change change{placements_, tpu};
    Placement& placement = change.placements[model];
    std::erase_if(placement.tpus, [&](std::uint32_t of) { return is_lost[of]; });
    std::erase_if(placement.stages, [&](const auto& of) { return is_lost[of.first]; });
    placement.tpus.push_back(tpu);
    placement.stages[tpu] = stage;
    return change;
  };
  std::vector<std::uint32_t> candidates;
  for (std::uint32_t t = 0; t < devices_.size(); ++t)
    if (!is_lost[t] && !placements_[model].stages.contains(t)) candidates.push_back(t);
  for (const std::uint32_t t : candidates)
    if (users_of(t).empty()) return with(t);
  if (has_all) return best;
  for (const std::uint32_t t : candidates) {
    consider(with(t));
    const auto users = users_of(t);
    if (users.size() > 1) continue;
    Change instead = with(t);
    instead.donor = users[0];
    if (load_.remove(instead.placements[users[0]], users[0], t)) consider(std::move(instead));
  }
  return best;
}

// The donor's pipeline finds out with its next inference on the device.
void Lender::end_lease(std::uint32_t donor, std::uint32_t tpu, std::uint32_t model) {
  for (const auto& lease : leases_) {
    if (lease->model != donor || lease->tpu != tpu || lease->is_taken) continue;
    lease->taken_for = load_.plan().models[model].demand.name;
    lease->is_taken = true;
    ++unnoticed_[{donor, tpu}];
  }
}

std::optional<PipelineDevice> Lender::borrow(std::uint32_t model, const DeviceLoss& loss) {
  const std::lock_guard lock(mutex_);
  const auto lost = std::ranges::find(devices_, loss.device, &SharedDevice::name);
  if (lost == devices_.end()) return std::nullopt;
  const auto tpu = static_cast<std::uint32_t>(lost - devices_.begin());
  const auto taken = unnoticed_.find({model, tpu});
  if (taken != unnoticed_.end()) {
    if (--taken->second == 0) unnoticed_.erase(taken);
    return std::nullopt;
  }
  const auto stage = placements_[model].stages.find(tpu);
  if (stage == placements_[model].stages.end()) return std::nullopt;
  Placements without = placements_;
  const bool runs_without = load_.remove(without[model], model, tpu);
  Change change = best_change(model, stage->second, without, runs_without);
  // The model's pipeline makes the new plan itself, and tells it then.
  if (!change.tpu && change.placements[model].plan != placements_[model].plan)
    change.placements[model] = placements_[model];
  placements_ = std::move(change.placements);
  std::erase(placements_[model].tpus, tpu);
  placements_[model].stages.erase(tpu);
  if (!change.tpu) return std::nullopt;
  if (change.donor) end_lease(*change.donor, *change.tpu, model);
  return lease(model, *change.tpu);
}

std::optional<PipelineLayout> Lender::replan(std::uint32_t model, std::uint32_t devices) {
  std::unique_lock lock(mutex_);
  const std::vector<std::uint32_t> planned_for = placements_[model].tpus;
  Placement placement = placements_[model];
  std::erase_if(placement.tpus, [&](std::uint32_t tpu) { return devices_[tpu].is_lost(); });
  // The pipeline may count a device that was taken from it. Opening it fails, and then the pipeline
  // asks again.
  const bool is_final = placement.tpus.size() == devices;
  if (!is_final) placement.tpus.resize(devices);
  if (!load_.replan(placement, model)) return std::nullopt;
  // Compilation may take minutes, in which other models lose and borrow devices.
  lock.unlock();
  std::optional<PipelineLayout> layout =
      options_.cut ? options_.cut(*models_[model].model, *placement.plan)
                   : pipeline_layout(*models_[model].model, *placement.plan);
  lock.lock();
  const bool is_current = placements_[model].tpus == planned_for;
  if (layout && is_final && is_current) placements_[model] = std::move(placement);
  return layout;
}

}  // namespace segue
