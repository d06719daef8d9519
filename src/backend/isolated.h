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

namespace segue {

// Tells what `work` is about to do; the last such text stands in the message of a crash.
using Progress = std::function<void(const std::string& step)>;

// What a child that died was doing, and how it died: "signal 11, Segmentation fault".
struct Crash {
  std::string step;
  std::string reason;
};

// Returns what `work` returned. Errors and lack of memory that it throws arrive unchanged, any
// other exception as Error(kInternal). Throws Crash when the child died, Error(kIo) when the system
// gives no process.
[[nodiscard]] std::string run_isolated(const std::function<std::string(const Progress&)>& work);

}  // namespace segue
