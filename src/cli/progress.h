// Shows on a terminal how far a run is and how long it will still take.
#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace segue::cli {

// Writes to stderr if that is a terminal, and only after the first second.
class Progress {
 public:
  explicit Progress(std::uint64_t total) : total_(total), is_shown_(::isatty(STDERR_FILENO) == 1) {}
  ~Progress() {
    if (is_shown_ && last_ > begin_) std::fputs("\r\033[K", stderr);
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance() {
    ++done_;
    const auto now = std::chrono::steady_clock::now();
    if (!is_shown_ || now - begin_ < std::chrono::seconds(1) ||
        now - last_ < std::chrono::milliseconds(200))
      return;
    last_ = now;
    const double seconds = std::chrono::duration<double>(now - begin_).count();
    const double rate = static_cast<double>(done_) / seconds;
    std::fputs(fmt::format("\r{}/{}  {:.1f}/s  {:.0f} s left \033[K", done_, total_, rate,
                           static_cast<double>(total_ - done_) / rate)
                   .c_str(),
               stderr);
  }

 private:
  std::uint64_t total_;
  bool is_shown_;
  std::uint64_t done_ = 0;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_ = begin_;
};

// Shows which device is being opened, because an Edge TPU stick takes two seconds. Writes to stderr
// if that is a terminal.
class OpeningProgress {
 public:
  OpeningProgress() = default;
  OpeningProgress(const OpeningProgress&) = delete;
  OpeningProgress& operator=(const OpeningProgress&) = delete;
  ~OpeningProgress() {
    if (was_shown_) std::fputs("\r\033[K", stderr);
  }
  void show(const std::string& device, std::uint32_t number, std::uint32_t devices) {
    if (::isatty(STDERR_FILENO) != 1) return;
    was_shown_ = true;
    std::fputs(fmt::format("\ropening {} ({} of {}) \033[K", device, number, devices).c_str(),
               stderr);
  }

 private:
  bool was_shown_ = false;
};

}  // namespace segue::cli
