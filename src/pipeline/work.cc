// Who does what next, and what becomes of it.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "backend/outputs.h"
#include "pipeline/failure.h"
#include "pipeline/state.h"
#include "segue/units.h"

namespace segue {

bool PipelineState::is_ready(const Stage& stage) const {
  if (passing_ || stage.queue.empty() || stage.running >= stage.devices.size()) return false;
  // What all others wait for may always begin: it may have come back from a device that was lost.
  return stage.queue.front()->number == stage.next_out ||
         stage.running + stage.done.size() < stage.window();
}

bool PipelineState::is_short(const Stage& stage) {
  return stage.mean_ns >= 0 && stage.mean_ns < kShortNs;
}

// What is short first, the last stage before all; then what this thread's last device goes on with.
std::size_t PipelineState::choose_stage(std::size_t home) const {
  std::size_t chosen = kNone;
  for (std::size_t i = stages_.size(); i-- > 0;) {
    if (!is_ready(stages_[i])) continue;
    if (is_short(stages_[i])) return i;
    const bool is_home =
        home != kNone && devices_[home].stage == i && devices_[home].state == Device::State::kIdle;
    if (chosen == kNone || is_home) chosen = i;
  }
  return chosen;
}

bool PipelineState::take(Job& job, std::size_t home) {
  if (cancelled_) return false;
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if (devices_[i].state != Device::State::kToOpen) continue;
    occupy(devices_[i], Device::State::kOpening, Clock::now());
    job.kind = Job::Kind::kOpen;
    job.device = i;
    job.attempt = ++devices_[i].attempt;
    job.segment = stages_[devices_[i].stage].segment;
    return true;
  }
  if (must_replan_) {
    if (!is_time_to_replan()) return false;
    replanning_ = true;
    job.kind = Job::Kind::kReplan;
    job.attempt = ++replan_attempt_;
    job.living = living_devices();
    job.device = kNone;
    return true;
  }
  const std::size_t stage = choose_stage(home);
  if (stage == kNone) return false;
  begin_run(job, stage, home);
  return true;
}

bool PipelineState::is_time_to_replan() const {
  return must_replan_ && !replanning_ && running_ == 0 &&
         std::ranges::all_of(stages_, [](const Stage& stage) { return stage.opening == 0; });
}

void PipelineState::begin_run(Job& job, std::size_t at, std::size_t home) {
  Stage& stage = stages_[at];
  std::size_t chosen = home;
  if (home == kNone || devices_[home].stage != at || devices_[home].state != Device::State::kIdle) {
    chosen = *std::ranges::find_if(
        stage.devices, [this](std::size_t i) { return devices_[i].state == Device::State::kIdle; });
  }
  Device& device = devices_[chosen];
  const auto now = Clock::now();
  change_queue(stage, now);
  device.item = std::move(stage.queue.front());
  stage.queue.pop_front();
  occupy(device, Device::State::kRunning, now);
  ++stage.running;
  ++running_;
  job.kind = Job::Kind::kRun;
  job.device = chosen;
  job.attempt = ++device.attempt;
  job.owner = device.owner;
  job.session = device.session;
  const StageRoute& route = routing_.stages[at];
  job.inputs.clear();
  job.spans.clear();
  for (const std::size_t slot : route.reads) {
    job.inputs.push_back(device.item->values[slot]);
    job.spans.push_back(job.inputs.back()->view());
  }
  job.results.clear();
  job.sizes.clear();
  job.outputs.resize(route.writes.size());
  for (std::size_t i = 0; i < route.writes.size(); ++i) {
    job.results.push_back(value_for(route.writes[i]));
    job.sizes.push_back(route.output_ports[i].bytes);
    job.outputs[i] = std::move(job.results.back()->bytes);
  }
  if (at > 0) {
    hand_over(at - 1, now);
  } else if (producers_waiting_ > 0) {
    room_.notify_one();
  }
}

void PipelineState::run_in_shared_memory(Job& job) const {
  job.places.clear();
  for (std::size_t i = 0; i < job.results.size(); ++i) {
    SharedMemory::Block& block = job.results[i]->shared;
    if (block.is_empty() || block.bytes().size() != job.sizes[i])
      block = memory_->allocate(job.sizes[i]);
    job.places.push_back(block.bytes());
  }
  job.session->run_to(job.spans, job.places);
}

// One more thread for what is ready beside the job just taken. Short work waits for this thread,
// unless what it took is long.
void PipelineState::wake_for_rest(bool takes_long) {
  if (idle_ <= waking_) return;
  // A caller that ends the last run before a new plan makes none itself.
  const bool has_more = is_time_to_replan() || !doomed_.empty() ||
                        std::ranges::any_of(stages_, [&](const Stage& stage) {
                          return is_ready(stage) && (takes_long || !is_short(stage));
                        });
  if (!has_more) return;
  ++waking_;
  work_.notify_one();
}

void PipelineState::choose_who_works() {
  is_done_by_callers_ =
      options_.trace_capacity == 0 && losses_.empty() && memory_ == nullptr &&
      std::ranges::all_of(stages_, [this](const Stage& stage) {
        return is_short(stage) && std::ranges::all_of(stage.devices, [this](std::size_t i) {
                 return devices_[i].is_local;
               });
      });
}

bool PipelineState::leave_to_workers() {
  if (is_done_by_callers_) return false;
  wake_for_rest(true);
  return true;
}

void PipelineState::call_for_help() {
  if (consumers_waiting_ == 0 && producers_waiting_ == 0) return;
  if (choose_stage(kNone) == kNone) return;
  (consumers_waiting_ > 0 ? arrival_ : room_).notify_one();
}

bool PipelineState::help(Lock& lock) {
  if (!is_done_by_callers_) return false;
  if (can_pass()) {
    pass_through(lock);
    if (!leave_to_workers()) call_for_help();
    return true;
  }
  std::unique_ptr<Job> job;
  if (free_jobs_.empty()) {
    job = std::make_unique<Job>();
  } else {
    job = std::move(free_jobs_.back());
    free_jobs_.pop_back();
  }
  const bool has_work = take(*job, kNone);
  if (has_work) {
    lock.unlock();
    perform(*job);
    lock.lock();
    finish(*job);
    // It may have taken long this time: what is ready is the workers' again.
    if (!leave_to_workers()) call_for_help();
  }
  free_jobs_.push_back(std::move(job));
  return has_work;
}

void PipelineState::perform(Job& job) {
  const auto work = [&] {
    switch (job.kind) {
      case Job::Kind::kRun:
        if (memory_ != nullptr) {
          run_in_shared_memory(job);
        } else {
          job.session->run_into(job.spans, job.outputs);
        }
        break;
      case Job::Kind::kOpen: {
        job.owner = job.segment.owner;
        job.session = devices_[job.device].backend->open(job.segment.model, job.segment.name);
        break;
      }
      case Job::Kind::kReplan:
        perform_replan(job);
        break;
    }
  };
  job.error.clear();
  (void)succeeds(work, job.error);
  job.end = Clock::now();
}

// The device at hand is `job.device`, and opening, so that the watchdog looks after it.
void PipelineState::perform_replan(Job& job) {
  job.sessions.clear();
  job.layout = options_.replan(static_cast<std::uint32_t>(job.living.size()));
  if (!job.layout) return;
  check_layout(*job.layout, job.living.size());
  const auto settle = [&] {
    if (job.device != kNone && job.attempt == replan_attempt_)
      devices_[job.device].state = Device::State::kSpare;
  };
  const auto begin_open = [&](std::size_t device) {
    const Lock lock(mutex_);
    settle();
    if (job.attempt != replan_attempt_ || cancelled_)
      throw Error(ErrorCode::kDevice, "nobody waits for this plan any more");
    job.device = device;
    occupy(devices_[device], Device::State::kOpening, Clock::now());
  };
  open_all(*job.layout, job.sessions,
           [&](std::size_t position, const PipelineSegment& segment) -> std::shared_ptr<Session> {
             const std::size_t device = job.living[position];
             begin_open(device);
             return devices_[device].backend->open(segment.model, segment.name);
           });
  {
    const Lock lock(mutex_);
    settle();
    if (job.attempt == replan_attempt_) job.device = kNone;
  }
  job.routing = route(*job.layout, job.sessions);
}

// --- what a thread did

void PipelineState::finish(Job& job) {
  if (job.kind == Job::Kind::kReplan) {
    finish_replan(job);
  } else if (devices_[job.device].attempt != job.attempt ||
             devices_[job.device].state == Device::State::kLost) {
    // Given up meanwhile: what it did belongs to nobody.
    devices_[job.device].hangs = false;
  } else if (job.kind == Job::Kind::kOpen) {
    finish_open(job);
  } else {
    finish_run(job);
  }
  job.inputs.clear();
  // The last to let go of a session leaves it to be ended without the lock.
  if (job.session.use_count() == 1) doom(job.session, std::move(job.owner));
  job.session.reset();
  job.owner.reset();
  if (job.kind == Job::Kind::kRun) return;
  if (!job.sessions.empty()) {  // of a plan that failed: they read the segments of its layout
    const auto owner = std::make_shared<const PipelineLayout>(std::move(*job.layout));
    for (std::shared_ptr<Session>& session : job.sessions) doom(session, owner);
  }
  job.segment = {};
  job.sessions.clear();
  job.layout.reset();
}

void PipelineState::record_run(Device& device, Nanoseconds time, std::uint64_t inputs) {
  Stage& stage = stages_[device.stage];
  device.busy += time;
  device.inputs += inputs;
  stage.time += time;
  stage.inputs += inputs;
  constexpr std::int64_t kMemory = 8;  // runs after which a change is mostly followed
  const std::int64_t of_one = time.count() / static_cast<std::int64_t>(inputs);
  const bool was_short = is_short(stage);
  stage.mean_ns = stage.mean_ns < 0 ? of_one : stage.mean_ns + (of_one - stage.mean_ns) / kMemory;
  if (is_short(stage) != was_short) choose_who_works();
}

void PipelineState::record_event(const Job& job) {
  const Device& device = devices_[job.device];
  if (events_.size() == options_.trace_capacity) events_.pop_front();
  events_.push_back({static_cast<std::uint32_t>(job.device),
                     static_cast<std::uint32_t>(device.stage), device.item->number,
                     device.started - first_push_, job.end - first_push_});
}

void PipelineState::finish_run(Job& job) {
  Device& device = devices_[job.device];
  const std::size_t at = device.stage;
  Stage& stage = stages_[at];
  const StageRoute& route = routing_.stages[at];
  // In shared memory the session has checked the sizes itself.
  if (job.error.empty() && memory_ == nullptr)
    job.error = wrong_outputs(route.output_ports, job.outputs);
  if (!job.error.empty()) {
    lose(job.device, job.error);
    return;
  }
  device.state = Device::State::kIdle;
  --stage.running;
  --running_;
  record_run(device, job.end - device.started, 1);
  if (options_.trace_capacity > 0) record_event(job);
  ItemPointer item = std::move(device.item);
  job.inputs.clear();
  if (cancelled_ || at < dead_up_to_) {
    recycle(std::move(item));
    return;
  }
  for (std::size_t i = 0; i < route.writes.size(); ++i) {
    if (memory_ == nullptr) job.results[i]->bytes = std::move(job.outputs[i]);
    item->values[route.writes[i]] = std::move(job.results[i]);
  }
  for (const std::size_t slot : route.frees) release(item->values[slot], slot);
  item->attempts = 0;
  stage.done.push_back(std::move(item));
  hand_over(at, job.end);
}

}  // namespace segue
