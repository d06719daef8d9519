// Runs a function in a child process, so that code we cannot trust may die without taking the
// program along.
//
// The child is a fork: it sees everything the caller has in memory, and nothing it changes comes
// back but the text that `work` returns. Limits: of a caller with several threads only the calling
// one exists in the child, so `work` must not wait for the others, nor take a lock that one of them
// may hold at this moment (the C library releases those of its allocator itself).
#pragma once

#include <functional>
#include <string>

#include "segue/units.h"

namespace segue {

// Tells what `work` is about to do; the last such text stands in the message of a crash.
using Progress = std::function<void(const std::string& step)>;

// What a child that died was doing, and how it died: "signal 11, Segmentation fault".
struct Crash {
  std::string step;
  std::string reason;
  bool timed_out = false;  // it did not die by itself
};

// Returns what `work` returned. Errors and lack of memory that it throws arrive unchanged, any
// other exception and a text above 16 MiB as Error(kInternal). Throws Crash when the child died or
// had to be killed since its time was up, Error(kIo) when the system gives no process. The child
// has none of the caller's open files but the standard streams.
[[nodiscard]] std::string run_isolated(const std::function<std::string(const Progress&)>& work,
                                       Nanoseconds timeout = kLongestWait);

}  // namespace segue
