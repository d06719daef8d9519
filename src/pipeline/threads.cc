// The pipeline's threads: those that work, and the one that looks after what they wait for.
#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "pipeline/state.h"

namespace segue {

void PipelineState::start_threads() {
  const auto add = [this](void (PipelineState::*run)()) {
    Thread& thread = threads_.emplace_back();
    thread.thread = std::thread([self = shared_from_this(), run, &thread] {
      (self.get()->*run)();
      const Lock lock(self->mutex_);
      thread.has_ended = true;
      self->exit_.notify_all();
    });
  };
  try {
    const Lock lock(mutex_);
    for (std::size_t i = 0; i < devices_.size(); ++i) add(&PipelineState::work);
    if (options_.watchdog > Nanoseconds::zero()) add(&PipelineState::watch);
  } catch (const std::system_error& error) {
    threads_.pop_back();  // the one that the system did not give
    stop();
    throw Error(ErrorCode::kIo, fmt::format("the pipeline needs {} threads: {}; end other programs",
                                            devices_.size() + 1, error.what()));
  }
}

void PipelineState::stop() {
  Lock lock(mutex_);
  cancelled_ = true;
  stopping_ = true;
  drop_up_to(stages_.size() - 1);
  notify_all();
  // Devices that the watchdog gave up may never return; nobody waits for their threads. Sessions
  // that are being ended get as long as an input.
  const auto have_ended = [this](std::size_t but) {
    const auto left = std::ranges::count(threads_, false, &Thread::has_ended);
    return left <= std::ranges::count(devices_, true, &Device::hangs) + static_cast<long>(but);
  };
  exit_.wait(lock, [&] { return have_ended(ending_); });
  // All at once: each may take its time.
  for (const Device& device : devices_) device.backend->release();
  const auto ends = [&] { return have_ended(0); };
  if (options_.watchdog > Nanoseconds::zero()) {
    exit_.wait_for(lock, options_.watchdog, ends);
  } else {
    exit_.wait(lock, ends);
  }
  report_losses(lock);
  std::vector<std::thread> ended;
  for (Thread& thread : threads_) {
    if (thread.has_ended) {
      ended.push_back(std::move(thread.thread));
    } else {
      thread.thread.detach();
    }
  }
  lock.unlock();
  for (std::thread& thread : ended) thread.join();
}

void PipelineState::work() {
  Lock lock(mutex_);
  Job job;
  std::size_t home = kNone;
  while (true) {
    if (!doomed_.empty()) {
      end_doomed(lock);
      continue;
    }
    if (stopping_) break;
    if (losses_reported_ < losses_.size() && !reporting_) {
      report_losses(lock);
      continue;
    }
    if (!take(job, home)) {
      ++idle_;
      work_.wait(lock);
      --idle_;
      if (waking_ > 0) --waking_;
      continue;
    }
    const bool takes_long =
        job.kind != Job::Kind::kRun || !is_short(stages_[devices_[job.device].stage]);
    wake_for_rest(takes_long);
    home = job.device;
    lock.unlock();
    perform(job);
    lock.lock();
    finish(job);
  }
  watchdog_.notify_all();  // which looks after those that still compute
}

// Gives up devices that take too long. Its next look is never later than the earliest deadline of
// what runs now, and what begins meanwhile has a later one.
void PipelineState::watch() {
  Lock lock(mutex_);
  const auto is_busy = [](const Device& device) {
    return device.state == Device::State::kRunning || device.state == Device::State::kOpening;
  };
  while (!stopping_ || replanning_ || std::ranges::any_of(devices_, is_busy)) {
    const auto now = Clock::now();
    auto next = now + options_.watchdog;
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      if (!is_busy(devices_[i])) continue;
      const auto deadline = devices_[i].started + options_.watchdog;
      if (deadline > now) {
        next = std::min(next, deadline);
        continue;
      }
      devices_[i].hangs = true;
      const auto reason = fmt::format("did not answer within {}", format_time(options_.watchdog));
      if (replanning_) {
        lose_in_replan(i, reason);
      } else {
        lose(i, reason);
      }
      exit_.notify_all();
    }
    if (losses_reported_ < losses_.size() && !reporting_) report_losses(lock);
    if (!replanning_ && std::ranges::none_of(devices_, is_busy)) {
      watcher_sleeps_ = true;
      watchdog_.wait(lock, [&] { return stopping_ || !watcher_sleeps_; });
      watcher_sleeps_ = false;
      continue;
    }
    watchdog_.wait_until(lock, next);
  }
}

void PipelineState::occupy(Device& device, Device::State state, Clock::time_point now) {
  device.state = state;
  device.started = now;
  if (!watcher_sleeps_) return;
  watcher_sleeps_ = false;
  watchdog_.notify_one();
}

void PipelineState::end_doomed(Lock& lock) {
  std::vector<Doomed> doomed;
  doomed.swap(doomed_);
  ++ending_;
  lock.unlock();
  doomed.clear();
  lock.lock();
  --ending_;
  exit_.notify_all();
}

}  // namespace segue
