// The pipeline's threads: workers and the watchdog.
#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "runtime/pipeline/failure.h"
#include "runtime/pipeline/state.h"
#include "segue/units.h"

namespace segue {

using pipeline::Device;

void PipelineState::add_thread(void (PipelineState::*run)()) {
  Thread& thread = threads_.emplace_back();
  try {
    thread.thread = std::thread([self = shared_from_this(), run, &thread] {
      (self.get()->*run)();
      const Lock lock(self->mutex_);
      thread.has_ended = true;
      self->exit_.notify_all();
    });
  } catch (const std::system_error&) {
    threads_.pop_back();
    throw;
  }
}

void PipelineState::start_threads() {
  try {
    const Lock lock(mutex_);
    for (std::size_t i = 0; i < devices_.size(); ++i) add_thread(&PipelineState::work);
    if (options_.watchdog > Nanoseconds::zero()) add_thread(&PipelineState::watch);
  } catch (const std::system_error& error) {
    stop();
    throw Error(ErrorCode::kIo,
                fmt::format("cannot start the {} threads of the pipeline: {}; stop other programs",
                            devices_.size() + 1, error.what()));
  }
}

void PipelineState::lose(std::size_t device, const std::string& reason) {
  const std::size_t before = devices_.size();
  failures_.lose(device, reason);
  scheduler_.set_device_count(devices_.size());
  try {
    if (devices_.size() > before) add_thread(&PipelineState::work);
  } catch (const std::system_error&) {
    // The thread of the lost device takes the new one, unless it hangs.
  }
  wake_all();
}

void PipelineState::stop() {
  Lock lock(mutex_);
  failures_.cancel();
  is_stopping_ = true;
  wake_all();
  // Threads of devices that the watchdog gave up may never return and are left alone. Sessions that
  // are being closed get as long as an input.
  const auto have_ended = [this](std::size_t but) {
    const auto left = std::ranges::count(threads_, false, &Thread::has_ended);
    return left <= std::ranges::count(devices_, true, &Device::hangs) + static_cast<long>(but);
  };
  exit_.wait(lock, [&] { return have_ended(closing_); });
  // All at once, because each may take some time.
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
    if (devices_.has_retired()) {
      close_retired(lock);
      continue;
    }
    if (is_stopping_) break;
    if (failures_.has_unreported() && !is_reporting_) {
      report_losses(lock);
      continue;
    }
    if (!take(job, home)) {
      if (wakes_.any()) {
        unlock(lock);
        lock.lock();
        continue;
      }
      ++idle_;
      work_.wait(lock);
      --idle_;
      if (waking_ > 0) --waking_;
      continue;
    }
    wake_worker();
    home = job.device;
    unlock(lock);
    perform(job);
    lock.lock();
    finish(job);
  }
  watchdog_.notify_all();  // it observes the devices that still compute
  unlock(lock);
}

std::optional<PipelineState::Clock::time_point> PipelineState::busy_since(
    std::size_t device) const {
  if (devices_[device].state == Device::State::kOpening) return devices_[device].opening_since;
  if (devices_[device].state != Device::State::kReady || !scheduler_.device(device).is_running())
    return std::nullopt;
  return scheduler_.device(device).started;
}

// Gives up devices that exceed the time limit. It wakes up no later than the earliest deadline of
// the current work; work that starts meanwhile has a later deadline.
void PipelineState::watch() {
  Lock lock(mutex_);
  while (true) {
    const auto now = Clock::now();
    auto next = now + options_.watchdog;
    bool is_busy = failures_.is_replanning();
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      const auto since = busy_since(i);
      if (!since) continue;
      if (*since + options_.watchdog > now) {
        is_busy = true;
        next = std::min(next, *since + options_.watchdog);
        continue;
      }
      devices_[i].hangs = true;
      const auto reason = fmt::format("did not answer within {}", format_time(options_.watchdog));
      if (failures_.is_replanning()) {
        failures_.lose_in_new_plan(i, reason);
      } else {
        lose(i, reason);
      }
      wake_all();
      exit_.notify_all();
    }
    if (failures_.has_unreported() && !is_reporting_) {
      report_losses(lock);
    } else if (is_busy) {
      watchdog_.wait_until(lock, next);
    } else {
      if (is_stopping_) return;
      is_watchdog_asleep_ = true;
      watchdog_.wait(lock, [&] { return is_stopping_ || !is_watchdog_asleep_; });
      is_watchdog_asleep_ = false;
    }
  }
}

void PipelineState::begin_opening(std::size_t device) {
  devices_[device].state = Device::State::kOpening;
  devices_[device].opening_since = Clock::now();
  wake_watchdog();
}

void PipelineState::wake_watchdog() {
  if (!is_watchdog_asleep_) return;
  is_watchdog_asleep_ = false;
  watchdog_.notify_one();
}

void PipelineState::wake_worker() {
  if (idle_ <= waking_) return;
  const bool has_more =
      failures_.can_begin_plan() || devices_.has_retired() || scheduler_.has_work(kNone);
  if (!has_more) return;
  ++waking_;
  wakes_.worker = true;
}

void PipelineState::wake_callers() {
  if (producers_waiting_ > 0 && scheduler_.has_room()) wakes_.producer = true;
  if (consumers_waiting_ == 0) return;
  if (is_over()) {
    wakes_.all_consumers = true;
  } else if (scheduler_.has_result()) {
    wakes_.consumer = true;
  }
}

void PipelineState::unlock(Lock& lock) {
  const Wakes wakes = std::exchange(wakes_, {});
  lock.unlock();
  if (wakes.worker) work_.notify_one();
  if (wakes.producer) room_.notify_one();
  if (wakes.all_consumers) {
    arrival_.notify_all();
  } else if (wakes.consumer) {
    arrival_.notify_one();
  }
}

void PipelineState::wake_all() {
  work_.notify_all();
  room_.notify_all();
  arrival_.notify_all();
  watchdog_.notify_all();
}

void PipelineState::close_retired(Lock& lock) {
  auto retired = devices_.take_retired();
  ++closing_;
  unlock(lock);
  retired.clear();
  lock.lock();
  --closing_;
  exit_.notify_all();
}

void PipelineState::report_losses(Lock& lock) {
  is_reporting_ = true;
  while (failures_.has_unreported()) {
    const DeviceLoss loss = failures_.take_unreported();
    if (!options_.on_loss) continue;
    unlock(lock);
    std::string ignored;
    (void)pipeline::succeeds([&] { options_.on_loss(loss); }, ignored);
    lock.lock();
  }
  is_reporting_ = false;
}

}  // namespace segue
