// A device that several pipelines use by turns.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "segue/pipeline.h"
#include "segue/set_run.h"

namespace segue {

// The inference of a model on a device in simulated time.
struct SimulatedUse {
  Nanoseconds time{0};
  Nanoseconds reload{0};  // added after another model
};

// Thread-safe. One caller at a time has the device; others wait in order of arrival.
class SharedDevice {
 public:
  explicit SharedDevice(PipelineDevice device) : device_(std::move(device)) {}

  [[nodiscard]] const std::string& name() const { return device_.name; }
  [[nodiscard]] const Backend& backend() const { return *device_.backend; }

  // Calls `work` when it is the caller's turn. Throws Error(kDevice) if the device is lost, and
  // what `work` throws.
  void open(const std::function<void()>& work);
  // The same for an inference, which counts, and lasts at least as long as `simulated`.
  void run(std::uint32_t model, const std::optional<SimulatedUse>& simulated,
           const std::function<void()>& work);

  // Gives the device up for all. The first reason counts.
  void lose(const std::string& reason) noexcept;
  [[nodiscard]] bool is_lost() const;

  // The device's process ends with its last user.
  void add_user();
  void remove_user() noexcept;

  // Name, counts, times and loss; `models` stays empty.
  [[nodiscard]] SharedDeviceStatistics statistics() const;
  // The first begin and the last end of inferences.
  struct Period {
    std::chrono::steady_clock::time_point begin;
    std::chrono::steady_clock::time_point end;
  };
  [[nodiscard]] std::optional<Period> period() const;

 private:
  using Clock = std::chrono::steady_clock;
  class Turn;

  PipelineDevice device_;
  mutable std::mutex mutex_;
  std::condition_variable turn_;
  std::uint64_t next_ticket_ = 0;
  std::uint64_t served_ = 0;
  std::string lost_;
  std::uint32_t users_ = 0;
  std::optional<std::uint32_t> last_model_;
  std::uint64_t inferences_ = 0;
  std::uint64_t changes_ = 0;
  Nanoseconds busy_{0};
  std::optional<Period> period_;
};

}  // namespace segue
