#include "runtime/set/shared_device.h"

#include <fmt/format.h>

#include <thread>

#include "segue/error.h"

namespace segue {

// The caller's turn, until the end of its scope.
class SharedDevice::Turn {
 public:
  explicit Turn(SharedDevice& device) : device_(device) {
    std::unique_lock lock(device_.mutex_);
    const std::uint64_t ticket = device_.next_ticket_++;
    device_.turn_.wait(lock, [&] { return device_.served_ == ticket || !device_.lost_.empty(); });
    if (device_.lost_.empty()) return;
    throw Error(ErrorCode::kDevice, fmt::format("{} was lost: {}", device_.name(), device_.lost_));
  }
  ~Turn() {
    const std::lock_guard lock(device_.mutex_);
    ++device_.served_;
    device_.turn_.notify_all();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  SharedDevice& device_;
};

void SharedDevice::open(const std::function<void()>& work) {
  const Turn turn(*this);
  work();
}

void SharedDevice::run(std::uint32_t model, const std::optional<SimulatedUse>& simulated,
                       const std::function<void()>& work) {
  const Turn turn(*this);
  const auto begin = Clock::now();
  bool is_change = false;
  {
    const std::lock_guard lock(mutex_);
    is_change = last_model_ && *last_model_ != model;
    last_model_ = model;
  }
  work();
  if (simulated)
    std::this_thread::sleep_until(begin + simulated->time +
                                  (is_change ? simulated->reload : Nanoseconds(0)));
  const auto end = Clock::now();
  const std::lock_guard lock(mutex_);
  ++inferences_;
  changes_ += is_change ? 1 : 0;
  busy_ += end - begin;
  period_ = Period{period_ ? period_->begin : begin, end};
}

void SharedDevice::lose(const std::string& reason) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!lost_.empty()) return;
    lost_ = reason;
  }
  turn_.notify_all();
  device_.backend->give_up();
}

bool SharedDevice::is_lost() const {
  const std::lock_guard lock(mutex_);
  return !lost_.empty();
}

void SharedDevice::add_user() {
  const std::lock_guard lock(mutex_);
  ++users_;
}

void SharedDevice::remove_user() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (--users_ > 0) return;
  }
  device_.backend->release();
}

SharedDeviceStatistics SharedDevice::statistics() const {
  const std::lock_guard lock(mutex_);
  return {.name = device_.name,
          .inferences = inferences_,
          .changes = changes_,
          .busy = busy_,
          .lost = lost_};
}

std::optional<SharedDevice::Period> SharedDevice::period() const {
  const std::lock_guard lock(mutex_);
  return period_;
}

}  // namespace segue
