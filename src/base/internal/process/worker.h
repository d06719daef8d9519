// A child program of Segue that works for this process and may die, abort or hang without harm.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>

#include "base/internal/file/descriptor.h"
#include "base/internal/process/message.h"

namespace segue {

// The descriptor of the worker's end of the connection.
inline constexpr int kWorkerSocket = 3;

// A worker is killed when this process ends in any way. One thread at a time may send and receive.
// Any thread may ask the worker to end, or kill it.
class Worker {
 public:
  // Throws Error(kDevice) when the program does not exist, and Error(kIo) when the system has no
  // process, thread or descriptor.
  Worker(const std::filesystem::path& program, const std::string& title);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  // Asks the worker to end, and kills it one second after the first request if it is still running.
  ~Worker();

  // Returns false if the worker has ended. Otherwise behaves like MessageSocket::send. Discards
  // what the worker has written to stderr so far.
  [[nodiscard]] bool send(std::span<const std::byte> message, int file = -1);
  [[nodiscard]] std::optional<MessageReader> receive() { return socket_.receive(); }

  // Copies into or out of the worker's memory at `address`. Returns false when the system does not
  // allow it or the worker has ended. Any thread may call these.
  [[nodiscard]] bool write_memory(std::span<const std::byte> from, std::uint64_t address) const;
  [[nodiscard]] bool read_memory(std::uint64_t address, std::span<std::byte> to) const;

  // Return at once. A thread that waits for an answer is told that the worker has ended.
  void ask_to_end() noexcept;
  void kill() noexcept;

  // Returns how it ended: "signal 6 (Aborted)". Kills a running worker and waits at most one
  // second.
  [[nodiscard]] std::string end();
  // Returns the last line that it wrote to stderr since the last message was sent; empty if there
  // is none.
  [[nodiscard]] std::string last_words() const;

 private:
  using Clock = std::chrono::steady_clock;
  // State of the thread that waits for the worker's end.
  struct Life {
    std::mutex mutex;
    std::condition_variable changed;
    pid_t id = 0;  // negative: not started; `failure` has the reason
    int failure = 0;
    bool has_ended = false;
    std::string end;
  };
  static void live(const std::shared_ptr<Life>& life, const std::string& program,
                   const std::string& title, int socket, int errors);
  // Returns whether it has ended by the deadline.
  [[nodiscard]] bool ends_by(Clock::time_point deadline) const;

  Descriptor connection_;
  Descriptor errors_;
  MessageSocket socket_;
  std::shared_ptr<Life> life_ = std::make_shared<Life>();
  std::thread thread_;
  std::mutex asked_mutex_;
  std::optional<Clock::time_point> asked_;
};

}  // namespace segue
