// A program of ours that works for this process and may die, abort or hang without harm to it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "file/descriptor.h"
#include "process/message.h"

namespace segue {

// The descriptor at which a worker finds its end of the connection. Its second argument is the
// number of the process that it works for.
inline constexpr int kWorkerSocket = 3;

// Ends with this process, however this process ends. One thread at a time sends and receives; any
// thread may ask it to end, or kill it.
class Worker {
 public:
  // Throws Error(kDevice) where the program does not exist, Error(kIo) where the system gives no
  // process, descriptor or handle.
  Worker(const std::filesystem::path& program, const std::string& title);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  // Asks it to end, and kills it where it has not ended a second after it was first asked.
  ~Worker();

  // False where the worker is gone; else as MessageSocket. What it wrote to stderr before is
  // forgotten.
  [[nodiscard]] bool send(std::span<const std::byte> message, int file = -1);
  [[nodiscard]] std::optional<MessageReader> receive() { return socket_.receive(); }

  // Return at once. A thread that waits for an answer learns that the worker is gone.
  void ask_to_end() noexcept;
  void kill() noexcept;

  // How it ended: "signal 6 (Aborted)". Kills it where it lives, and waits a second at most.
  [[nodiscard]] std::string end();
  // The last line that it wrote to stderr since the last message was sent; empty: none.
  [[nodiscard]] std::string last_words() const;

 private:
  using Clock = std::chrono::steady_clock;
  // Whether it ended before that.
  [[nodiscard]] bool ends_by(Clock::time_point deadline) const noexcept;
  [[nodiscard]] std::string collect();

  Descriptor connection_;
  Descriptor errors_;
  MessageSocket socket_;
  pid_t id_ = 0;
  Descriptor handle_;  // signals this process and no other, whatever its number is used for later
  std::mutex end_mutex_;
  std::optional<Clock::time_point> asked_;
  std::optional<std::string> end_;
};

// In a worker: ends this process soon after `parent`, the process it works for, is gone, even where
// the caller hangs. Until then the caller may end in order.
void end_with_parent(int socket, pid_t parent);

}  // namespace segue
