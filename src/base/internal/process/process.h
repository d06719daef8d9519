// Runs another program until it ends or its time is up.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "segue/units.h"

namespace segue {

// The output of a program and how it ended.
struct ProcessResult {
  std::string
      output;  // stdout and stderr as printed; only the beginning and the end of a long output
  int exit_status = 0;  // if it exited
  int signal = 0;       // the signal that ended it; 0: none
  bool timed_out = false;
  Nanoseconds time{0};

  [[nodiscard]] bool succeeded() const { return exit_status == 0 && signal == 0 && !timed_out; }
  // "exit status 1", "signal 11 (Segmentation fault)", "not finished after 180.00 s"
  [[nodiscard]] std::string end() const;
};

// Runs `command`: a program, searched in PATH if its name has no slash, and its arguments. Its
// stdin is /dev/null, and its working directory is `folder`. It is killed when the time is up or
// when the calling thread ends; when the time is up, its child processes are killed too. Programs
// that it leaves running are not waited for. Throws Error(kCompiler) when the program does not
// exist, and Error(kIo) when the system cannot create a process or this process ignores SIGCHLD, so
// that the exit status is lost. Thread-safe.
[[nodiscard]] ProcessResult run_process(std::span<const std::string> command,
                                        const std::filesystem::path& folder, Nanoseconds timeout);

// Kills all programs that run_process waits for, and their child processes. For handlers of signals
// that end this process.
void kill_running_programs() noexcept;

}  // namespace segue
