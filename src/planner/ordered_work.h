// Runs independent pieces of work on several threads and delivers the results in order.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "segue/stop.h"

namespace segue {

// Calls `work(0)` to `work(count - 1)` on `threads` threads (0: one per core), and `accept(i,
// result)` in ascending order on the calling thread. Rethrows the exception with the smallest
// number; no more work is started after it. The threads have the caller's StopScope.
template <typename Work, typename Accept>
void run_in_order(std::size_t count, std::uint32_t threads, const Work& work,
                  const Accept& accept) {
  struct Outcome {
    std::optional<decltype(work(std::size_t{}))> result;
    std::exception_ptr error;
    bool is_there = false;
  };
  if (threads == 0) threads = std::max(std::thread::hardware_concurrency(), 1U);
  std::vector<Outcome> outcomes(count);
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::condition_variable is_done;
  const auto run = [&, stop = stop_token_of_thread()] {
    const StopScope scope(stop);
    for (std::size_t i = next++; i < count; i = next++) {
      Outcome outcome{{}, {}, true};
      try {
        outcome.result = work(i);
      } catch (...) {
        outcome.error = std::current_exception();
      }
      const std::scoped_lock lock(mutex);
      outcomes[i] = std::move(outcome);
      is_done.notify_one();
    }
  };
  std::vector<std::jthread> workers;
  try {
    for (std::size_t i = 0; i < std::min<std::size_t>(threads, count); ++i)
      workers.emplace_back(run);
    for (std::size_t i = 0; i < count; ++i) {
      std::unique_lock lock(mutex);
      is_done.wait(lock, [&] { return outcomes[i].is_there; });
      Outcome outcome = std::move(outcomes[i]);
      lock.unlock();
      if (outcome.error) std::rethrow_exception(outcome.error);
      accept(i, std::move(*outcome.result));
    }
  } catch (...) {
    next = count;
    throw;
  }
}

}  // namespace segue
