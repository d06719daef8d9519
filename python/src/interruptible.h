// Lets Ctrl-C end long calls.
#pragma once

#include <chrono>
#include <future>
#include <stop_token>

#include "module.h"
#include "segue/stop.h"

namespace segue::python {

// Computes `work` on another thread without the interpreter's lock, while this thread, which holds
// the lock, handles signals. If a handler raises an exception, as that of Ctrl-C does, the work is
// stopped before the exception is passed on.
template <typename Work>
auto run_interruptibly(const Work& work) {
  constexpr auto kBetweenChecks = std::chrono::milliseconds(20);
  std::stop_source stop;
  auto result = std::async(std::launch::async, [&] {
    const StopScope scope(stop.get_token());
    return work();
  });
  const nb::gil_scoped_release released;
  while (result.wait_for(kBetweenChecks) != std::future_status::ready) {
    const nb::gil_scoped_acquire held;
    if (PyErr_CheckSignals() == 0) continue;
    nb::python_error raised;
    stop.request_stop();
    const nb::gil_scoped_release while_it_ends;
    result.wait();
    throw raised;
  }
  return result.get();
}

// Wraps a function so that Python can call it as interruptible work.
template <typename Result, typename... Arguments>
auto interruptible(Result (*call)(Arguments...)) {
  return [call](Arguments... arguments) -> Result {
    return run_interruptibly([&] { return call(arguments...); });
  };
}

}  // namespace segue::python
