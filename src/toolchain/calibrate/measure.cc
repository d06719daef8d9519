#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "segue/calibrate.h"
#include "segue/error.h"
#include "segue/units.h"

namespace segue {
namespace {

constexpr std::uint32_t kWarmUpRuns = 2;
constexpr std::uint32_t kMostRuns = 40;
constexpr std::uint32_t kFewestRuns = 10;
constexpr Nanoseconds kBudget = std::chrono::milliseconds(500);

Nanoseconds steady_time() { return std::chrono::steady_clock::now().time_since_epoch(); }

// Requires at least one time.
ProbeTime summary(std::vector<Nanoseconds> times) {
  std::ranges::sort(times);
  ProbeTime result;
  result.runs = static_cast<std::uint32_t>(times.size());
  result.median = times[times.size() / 2];
  const Nanoseconds quartiles = times[times.size() * 3 / 4] - times[times.size() / 4];
  if (result.median > Nanoseconds(0)) result.spread = to_s(quartiles) / to_s(result.median);
  return result;
}

ProbeTime measure(Session& session, const std::function<Nanoseconds()>& clock) {
  const auto values = random_inputs(session.inputs(), 1);
  const std::vector<std::span<const std::byte>> inputs(values.begin(), values.end());
  std::vector<TensorBytes> outputs;
  for (std::uint32_t i = 0; i < kWarmUpRuns; ++i) session.run_into(inputs, outputs);
  std::vector<Nanoseconds> times;
  const Nanoseconds begin = clock();
  Nanoseconds now = begin;
  while (times.size() < kMostRuns && (times.size() < kFewestRuns || now - begin < kBudget)) {
    const Nanoseconds before = clock();
    session.run_into(inputs, outputs);
    now = clock();
    times.push_back(now - before);
  }
  return summary(std::move(times));
}

// Gives up the device if a probe takes too long.
class Watchdog {
 public:
  explicit Watchdog(const Backend& backend)
      : thread_([this, &backend](const std::stop_token& stop) {
          std::mutex mutex;
          std::unique_lock lock(mutex);
          std::condition_variable_any never;
          if (never.wait_for(lock, stop, kMostProbeTime, [&] { return stop.stop_requested(); }))
            return;
          has_bitten_ = true;
          backend.give_up();
        }) {}
  [[nodiscard]] bool has_bitten() const { return has_bitten_; }

 private:
  std::atomic<bool> has_bitten_ = false;
  std::jthread thread_;
};

void check(const ProbeTime& time, const std::string& name) {
  if (time.median <= Nanoseconds(0))
    throw Error(ErrorCode::kDevice,
                fmt::format("{}: measured time is 0; use a clock with a higher resolution", name));
  if (time.spread <= kMostProbeSpread) return;
  throw Error(
      ErrorCode::kDevice,
      fmt::format(
          "{}: the middle half of {} runs spreads over {:.0f} % of the median {}, more than {:.0f} "
          "%; stop other programs on this computer and this device, fix the CPU clock (cpupower "
          "frequency-set -g performance), let the device cool, and measure again",
          name, time.runs, 100 * time.spread, format_time(time.median), 100 * kMostProbeSpread));
}

}  // namespace

std::vector<ProbeTime> measure_probes(std::span<const Model> compiled, const Backend& backend,
                                      const std::function<Nanoseconds()>& clock) {
  std::vector<ProbeTime> times;
  for (const Model& probe : compiled) {
    const Watchdog watchdog(backend);
    try {
      // Opens one session at a time, because a second model would take memory of the device from
      // the first.
      const auto session = backend.open(probe.runnable_bytes(), probe.name());
      times.push_back(measure(*session, clock ? clock : steady_time));
    } catch (const Error&) {
      if (!watchdog.has_bitten()) throw;
      throw Error(ErrorCode::kDevice, fmt::format("{}: the device did not finish within {}; reset "
                                                  "it and measure again",
                                                  probe.name(), format_time(kMostProbeTime)));
    }
    check(times.back(), probe.name());
  }
  return times;
}

}  // namespace segue
