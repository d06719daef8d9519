// Runs another program to its end, or until its time is up.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "segue/units.h"

namespace segue {

// How a program ended and what it printed.
struct ProcessResult {
  std::string output;   // stdout and stderr as they came; of very much, the beginning and the end
  int exit_status = 0;  // of one that ended by itself
  int signal = 0;       // that ended it; 0: none
  bool timed_out = false;
  Nanoseconds time{0};

  [[nodiscard]] bool succeeded() const { return exit_status == 0 && signal == 0 && !timed_out; }
  // "exit status 1", "signal 11 (Segmentation fault)", "not finished after 180.00 s"
  [[nodiscard]] std::string end() const;
};

// `command`: a program, looked up in PATH where it has no slash, and its arguments. It reads from
// /dev/null and works in `folder`. When the time is up, or the calling thread ends, it is killed;
// so is, in the first case, all it has started. What it leaves running is not waited for. Throws
// Error(kCompiler) where there is no such program, Error(kIo) where the system gives no process, or
// tells nobody how it ended since this process ignores SIGCHLD.
// Thread-safe.
[[nodiscard]] ProcessResult run_process(std::span<const std::string> command,
                                        const std::filesystem::path& folder, Nanoseconds timeout);

// Kills all programs that run_process waits for and what they have started. For handlers of signals
// that end this process.
void kill_running_programs() noexcept;

}  // namespace segue
