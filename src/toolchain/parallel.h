// Several compilers at a time.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace segue {

// Calls `work` with 0 .. count - 1 on several threads. The first exception arrives when all that
// had begun is done.
template <typename Work>
void for_each_in_parallel(std::size_t count, std::uint32_t jobs, const Work& work) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto run = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        work(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (failure == nullptr) failure = std::current_exception();
        next = count;
      }
    }
  };
  const std::size_t wanted = jobs > 0 ? jobs : std::max(std::thread::hardware_concurrency(), 1U);
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 1; i < std::min(wanted, count); ++i) threads.emplace_back(run);
    run();
  }
  if (failure != nullptr) std::rethrow_exception(failure);
}

}  // namespace segue
