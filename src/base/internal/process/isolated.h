// Runs a function in a child process, so that untrusted code can crash without ending the program.
//
// The child is a fork. It sees the caller's memory, and only the text that `work` returns reaches
// the caller. If the caller has several threads, only the calling one exists in the child. `work`
// must therefore not wait for other threads, nor take a lock that one of them may hold (the C
// library releases those of its allocator).
#pragma once

#include <functional>
#include <string>

#include "segue/units.h"

namespace segue {

// Reports the step that `work` is about to do. The message of a crash has the last step.
using StepReport = std::function<void(const std::string& step)>;

// The step in which a child died, and how it died: "signal 11, Segmentation fault".
struct Crash {
  std::string step;
  std::string reason;
  bool timed_out = false;  // killed because its time was up
};

// Returns the result of `work`. Rethrows its Errors and std::bad_alloc unchanged. Any other
// exception, and a result above 16 MiB, becomes Error(kInternal). A requested stop (stop.h) kills
// the child. Throws Crash when the child died or was killed because its time was up, and Error(kIo)
// when the system cannot create a process. The child has none of the caller's open files except the
// standard streams.
[[nodiscard]] std::string run_isolated(const std::function<std::string(const StepReport&)>& work,
                                       Nanoseconds timeout = kLongestWait);

}  // namespace segue
