// A program of ours that works for this process and may die, abort or hang without harm to it.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "file/descriptor.h"
#include "process/message.h"

namespace segue {

// The descriptor at which a worker finds its end of the connection.
inline constexpr int kWorkerSocket = 3;

// Ends with this process, however this process ends; when destroyed, it is asked to end, and killed
// where it does not. One thread at a time sends and receives; any thread may kill.
class Worker {
 public:
  // Throws Error(kDevice) where the program does not exist, Error(kIo) where the system gives no
  // process.
  Worker(const std::filesystem::path& program, const std::string& title);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  // As those of MessageSocket. What the worker wrote to stderr before is forgotten.
  [[nodiscard]] bool send(std::span<const std::byte> message, int file = -1);
  [[nodiscard]] std::optional<MessageReader> receive() { return socket_.receive(); }

  // Returns at once; whoever waits for an answer learns that the worker is gone.
  void kill() noexcept;
  // How it ended: "signal 6 (Aborted)". Waits for the end, which must be near.
  [[nodiscard]] std::string end();
  // The last line that it wrote to stderr since the last message was sent; empty: none.
  [[nodiscard]] std::string last_words() const;
  [[nodiscard]] pid_t id() const { return id_; }

 private:
  [[nodiscard]] bool closes_connection();

  Descriptor connection_;
  Descriptor errors_;
  MessageSocket socket_;
  pid_t id_ = 0;
  std::mutex end_mutex_;  // of id_ being collected, after which the number may be another's
  bool is_collected_ = false;
  std::string end_;
};

// In a worker: ends this process soon after the one it works for is gone, even where the caller
// hangs. Until then the caller may end in order.
void end_with_parent(int socket);

}  // namespace segue
