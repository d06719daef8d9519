// A program of ours that works for this process and may die, abort or hang without harm to it.
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

#include "base/file/descriptor.h"
#include "base/process/message.h"

namespace segue {

// The descriptor at which a worker finds its end of the connection.
inline constexpr int kWorkerSocket = 3;

// Killed with this process, however that ends. One thread at a time sends and receives; any thread
// may ask it to end, or kill it.
class Worker {
 public:
  // Throws Error(kDevice) where the program does not exist, Error(kIo) where the system gives no
  // process, thread or descriptor.
  Worker(const std::filesystem::path& program, const std::string& title);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  // Asks it to end, and kills it where it has not ended a second after it was first asked.
  ~Worker();

  // False where the worker is gone; else as MessageSocket. What it wrote to stderr before is
  // forgotten.
  [[nodiscard]] bool send(std::span<const std::byte> message, int file = -1);
  [[nodiscard]] std::optional<MessageReader> receive() { return socket_.receive(); }

  // Copies into or out of the worker's memory at `address`. False where the system does not allow
  // it or the worker is gone. Any thread may call them.
  [[nodiscard]] bool write_memory(std::span<const std::byte> from, std::uint64_t address) const;
  [[nodiscard]] bool read_memory(std::uint64_t address, std::span<std::byte> to) const;

  // Return at once. A thread that waits for an answer learns that the worker is gone.
  void ask_to_end() noexcept;
  void kill() noexcept;

  // How it ended: "signal 6 (Aborted)". Kills it where it lives, and waits a second at most.
  [[nodiscard]] std::string end();
  // The last line that it wrote to stderr since the last message was sent; empty: none.
  [[nodiscard]] std::string last_words() const;

 private:
  using Clock = std::chrono::steady_clock;
  // What the thread that waits for the worker's end knows.
  struct Life {
    std::mutex mutex;
    std::condition_variable changed;
    pid_t id = 0;  // negative: not started, and why stands in `failure`
    int failure = 0;
    bool has_ended = false;
    std::string end;
  };
  static void live(const std::shared_ptr<Life>& life, const std::string& program,
                   const std::string& title, int socket, int errors);
  // Whether it ended before that.
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
