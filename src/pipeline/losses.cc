// What the pipeline does when a device is lost.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "pipeline/failure.h"
#include "pipeline/state.h"
#include "segue/units.h"

namespace segue {

void PipelineState::lose(std::size_t lost, const std::string& reason) {
  Device& device = devices_[lost];
  const std::size_t at = device.stage;
  Stage& stage = stages_[at];
  ItemPointer item = std::move(device.item);
  if (device.state == Device::State::kRunning) {
    --stage.running;
    --running_;
  } else if (device.state == Device::State::kOpening) {
    --stage.opening;
  }
  device.state = Device::State::kLost;
  device.backend->give_up();
  doom(device.session, std::move(device.owner));
  std::erase(stage.devices, lost);
  std::uint32_t attempts = 0;
  std::uint64_t number = 0;
  if (item != nullptr) {
    attempts = ++item->attempts;
    number = item->number;
    if (cancelled_ || at < dead_up_to_) {
      recycle(std::move(item));
    } else {
      put_back(std::move(item), at);
    }
  }
  DeviceLoss loss{device.name, stage.segment.name, reason,
                  remedy_or_end(lost, attempts, number, reason)};
  losses_.push_back(std::move(loss));
  choose_who_works();
  work_.notify_all();
}

// What takes over from a lost device; where nothing does, the pipeline ends here.
std::string PipelineState::remedy_or_end(std::size_t lost, std::uint32_t attempts,
                                         std::uint64_t number, const std::string& reason) {
  const Device& device = devices_[lost];
  const std::size_t at = device.stage;
  const std::string& segment = stages_[at].segment.name;
  if (cancelled_ || at < dead_up_to_) return "nothing: the pipeline ends";
  if (attempts >= options_.most_attempts) {
    fail_at(at, Error(ErrorCode::kDevice,
                      fmt::format("{}: input {} failed on {}, at last on {}: {}", segment, number,
                                  format_count(attempts, "device"), device.name, reason)));
    return "nothing: the input is at fault";
  }
  std::string remedy = find_remedy(at);
  if (!remedy.empty()) return remedy;
  fail_at(at, Error(ErrorCode::kDevice,
                    fmt::format("{}: no device is left for it; the last one, {}, was lost: {}",
                                segment, device.name, reason)));
  return "nothing: no device is left for the segment";
}

std::string PipelineState::find_remedy(std::size_t at) {
  if (must_replan_) return "the new plan that is being made";
  Stage& stage = stages_[at];
  const auto spare = std::ranges::find(devices_, Device::State::kSpare, &Device::state);
  if (spare != devices_.end()) {
    spare->state = Device::State::kToOpen;
    spare->stage = at;
    ++stage.opening;
    stage.all_devices.push_back(static_cast<std::size_t>(spare - devices_.begin()));
    return fmt::format("the spare {}", spare->name);
  }
  if (!stage.devices.empty() || stage.opening > 0)
    return fmt::format("the other devices of the stage ({})", stage.devices.size() + stage.opening);
  const std::size_t living = living_devices().size();
  if (!options_.replan || living == 0) return {};
  must_replan_ = true;
  return "a new plan for " + format_count(living, "device");
}

void PipelineState::finish_open(Job& job) {
  Device& device = devices_[job.device];
  if (!job.error.empty()) {
    lose(job.device, job.error);
    return;
  }
  Stage& stage = stages_[device.stage];
  --stage.opening;
  device.session = std::move(job.session);
  device.owner = std::move(job.owner);
  device.state = Device::State::kIdle;
  stage.devices.push_back(job.device);
}

void PipelineState::lose_in_replan(std::size_t lost, const std::string& reason) {
  ++replan_attempt_;
  replanning_ = false;
  Device& device = devices_[lost];
  device.state = Device::State::kLost;
  device.backend->give_up();
  doom(device.session, std::move(device.owner));
  if (device.stage != kNone) std::erase(stages_[device.stage].devices, lost);
  const std::size_t living = living_devices().size();
  losses_.push_back({device.name, "the new plan", reason,
                     living == 0 ? "nothing: no device is left" : "another plan"});
  if (living == 0) {
    fail_at(stages_.size() - 1,
            Error(ErrorCode::kDevice, fmt::format("no device is left; the last one, {}, was lost: "
                                                  "{}",
                                                  device.name, reason)));
  }
  work_.notify_all();
}

void PipelineState::finish_replan(Job& job) {
  if (job.attempt != replan_attempt_) {
    // Given up meanwhile: the device that it waited for is back.
    if (job.device != kNone) devices_[job.device].hangs = false;
    return;
  }
  replanning_ = false;
  if (cancelled_) {
    if (job.device != kNone) devices_[job.device].state = Device::State::kSpare;
    return;
  }
  const std::size_t last = stages_.size() - 1;
  if (!job.error.empty() && job.device != kNone) {
    lose_in_replan(job.device, job.error);
    return;
  }
  if (!job.error.empty() || !job.layout) {
    losses_.back().remedy = "nothing: no new plan could be made";
    fail_at(last, Error(ErrorCode::kDevice, fmt::format("no plan for the {} that {} left{}{}",
                                                        format_count(job.living.size(), "device"),
                                                        job.living.size() == 1 ? "is" : "are",
                                                        job.error.empty() ? "" : ": ", job.error)));
    return;
  }
  adopt(job);
}

// Everything on its way begins anew with its input.
void PipelineState::adopt(Job& job) {
  std::vector<ItemPointer> items;
  for (Stage& stage : stages_) {
    for (ItemPointer& item : stage.queue) items.push_back(std::move(item));
    for (ItemPointer& item : stage.done) items.push_back(std::move(item));
    stage.queue.clear();
    stage.done.clear();
  }
  install(std::move(*job.layout), std::move(job.routing), std::move(job.sessions));
  must_replan_ = false;
  for (ItemPointer& item : items) {
    item->values.assign(routing_.slots, nullptr);
    for (std::size_t i = 0; i < item->inputs.size(); ++i)
      item->values[routing_.inputs[i]] = item->inputs[i];
    put_back(std::move(item), 0);
  }
  work_.notify_all();
  room_.notify_all();
}

void PipelineState::fail_at(std::size_t stage, const Error& error) {
  if (!error_) {
    error_ = error;
    given_up_ = Clock::now();
  }
  must_replan_ = false;
  drop_up_to(stage);
  hand_over(stages_.size() - 1, Clock::now());
  notify_all();
}

// Forgets what waits or is done up to this stage; what computes there is forgotten when it ends.
void PipelineState::drop_up_to(std::size_t stage) {
  dead_up_to_ = std::max(dead_up_to_, stage + 1);
  for (std::size_t i = 0; i < dead_up_to_; ++i) {
    Stage& dead = stages_[i];
    for (ItemPointer& item : dead.queue) recycle(std::move(item));
    dead.queue.clear();
    // Finished in order: only these can still go on.
    std::vector<ItemPointer> kept;
    if (i == stage && !cancelled_) {
      std::ranges::sort(dead.done, {}, [](const ItemPointer& item) { return item->number; });
      std::uint64_t next = dead.next_out;
      for (ItemPointer& item : dead.done) {
        if (item->number == next) {
          ++next;
          kept.push_back(std::move(item));
        }
      }
    }
    for (ItemPointer& item : dead.done) {
      if (item != nullptr) recycle(std::move(item));
    }
    dead.done = std::move(kept);
  }
  in_flight_ = 0;
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    in_flight_ += stages_[i].queue.size() + stages_[i].done.size();
    if (i >= dead_up_to_) in_flight_ += stages_[i].running;
  }
}

void PipelineState::report_losses(Lock& lock) {
  reporting_ = true;
  while (losses_reported_ < losses_.size()) {
    const DeviceLoss loss = losses_[losses_reported_++];
    if (!options_.on_loss) continue;
    lock.unlock();
    std::string ignored;
    (void)succeeds([&] { options_.on_loss(loss); }, ignored);
    lock.lock();
  }
  reporting_ = false;
}

}  // namespace segue
