#include "runtime/pipeline/failures.h"

#include <fmt/format.h>

#include "runtime/pipeline/failure.h"
#include "segue/units.h"

namespace segue::pipeline {

void Failures::lose(std::size_t device, const std::string& reason) {
  const auto input = scheduler_.remove_device(device, Clock::now());
  devices_.lose(device);
  const Device& lost = devices_[device];
  losses_.push_back(
      {lost.name, segments_[lost.stage].name, reason, take_over(device, input, reason)});
}

std::string Failures::take_over(std::size_t lost,
                                const std::optional<Scheduler::Interrupted>& input,
                                const std::string& reason) {
  const Device& device = devices_[lost];
  const std::string& segment = segments_[device.stage].name;
  if (scheduler_.is_dropped(device.stage)) return "none, the pipeline ends";
  if (input && input->attempts >= options_.most_attempts) {
    fail_at(device.stage, fmt::format("{}: input {} failed on {}, most recently on {}: {}", segment,
                                      input->number, format_count(input->attempts, "device"),
                                      device.name, reason));
    return "none, the input is the cause";
  }
  // An input that failed on several devices may be the cause. Its last attempt is not made on the
  // device of another model.
  const bool may_borrow = !input || input->attempts + 1 < options_.most_attempts;
  std::string fallback = find_fallback(lost, reason, may_borrow);
  if (!fallback.empty()) return fallback;
  fail_at(device.stage,
          fmt::format("{}: no device is left to run it; the last one, {}, was lost: {}", segment,
                      device.name, reason));
  return "none, no device is left for the segment";
}

std::string Failures::borrow_for(std::size_t lost, const std::string& reason) {
  if (!options_.borrow) return {};
  const Device& device = devices_[lost];
  const DeviceLoss loss{device.name, segments_[device.stage].name, reason, ""};
  std::optional<PipelineDevice> borrowed;
  std::string ignored;
  (void)succeeds([&] { borrowed = options_.borrow(loss); }, ignored);
  if (!borrowed) return {};
  std::string name = borrowed->name;
  devices_.borrow(std::move(*borrowed), device.stage);
  return name;
}

std::string Failures::find_fallback(std::size_t lost, const std::string& reason, bool may_borrow) {
  const std::size_t stage = devices_[lost].stage;
  if (must_replan_) return "the new plan in progress";
  if (segments_[stage].host != nullptr) return {};
  const std::size_t left =
      scheduler_.stages()[stage].devices.size() + devices_.count_opening(stage);
  if (const std::size_t spare = devices_.find(Device::State::kSpare); spare != kNone) {
    devices_[spare].state = Device::State::kToOpen;
    devices_[spare].stage = stage;
    return fmt::format("spare device {}", devices_[spare].name);
  }
  if (may_borrow) {
    if (const std::string name = borrow_for(lost, reason); !name.empty())
      return fmt::format("borrowed device {}", name);
  }
  if (left > 0) return fmt::format("the other devices of the stage ({})", left);
  const std::size_t living = devices_.living().size();
  if (!options_.replan || living == 0) return {};
  must_replan_ = true;
  return "a new plan for " + format_count(living, "device");
}

bool Failures::can_begin_plan() const {
  return must_replan_ && !replanning_ && scheduler_.running() == 0 &&
         devices_.find(Device::State::kToOpen) == kNone &&
         devices_.find(Device::State::kOpening) == kNone;
}

void Failures::begin_plan(NewPlan& plan) {
  replanning_ = true;
  plan.attempt = ++plan_attempt_;
  plan.living = devices_.living();
  plan.device = kNone;
}

void Failures::lose_in_new_plan(std::size_t device, const std::string& reason) {
  ++plan_attempt_;
  replanning_ = false;
  (void)scheduler_.remove_device(device, Clock::now());
  devices_.lose(device);
  const bool is_last = devices_.living().empty();
  losses_.push_back({devices_[device].name, "the new plan", reason,
                     is_last ? "none, no device is left" : "another plan"});
  if (is_last) {
    fail_at(segments_.size() - 1, fmt::format("no device is left; the last one, {}, was lost: {}",
                                              devices_[device].name, reason));
  }
}

bool Failures::finish_new_plan(NewPlan& plan, const std::string& error) {
  if (!is_current(plan)) {
    // The watchdog gave up the device for which this plan waited; its thread has returned now.
    if (plan.device != kNone) devices_[plan.device].hangs = false;
    return false;
  }
  replanning_ = false;
  if (cancelled_) {
    if (plan.device != kNone) devices_[plan.device].state = Device::State::kSpare;
    return false;
  }
  if (!error.empty() && plan.device != kNone) {
    lose_in_new_plan(plan.device, error);
    return false;
  }
  if (error.empty() && plan.layout) {
    must_replan_ = false;
    return true;
  }
  losses_.back().remedy = "none, no new plan was found";
  fail_at(segments_.size() - 1, fmt::format("no plan for the remaining {}{}{}",
                                            format_count(plan.living.size(), "device"),
                                            error.empty() ? "" : ": ", error));
  return false;
}

void Failures::fail_at(std::size_t stage, const std::string& reason) {
  const auto now = Clock::now();
  if (!error_) {
    error_.emplace(ErrorCode::kDevice, reason);
    ended_ = now;
  }
  must_replan_ = false;
  scheduler_.drop_up_to(stage, true);
  scheduler_.finish_all_results(now);
}

void Failures::cancel() {
  if (!cancelled_ && !error_) ended_ = Clock::now();
  cancelled_ = true;
  must_replan_ = false;
  scheduler_.drop_up_to(segments_.size() - 1, false);
  scheduler_.drop_results();
}

}  // namespace segue::pipeline
