// Messages between two processes of this program: numbers and texts in a row, over a socket that
// keeps their borders. Both ends are the same build on the same machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace segue {

class MessageWriter {
 public:
  void number(std::uint64_t value);
  void text(std::string_view value);
  void clear() { bytes_.clear(); }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// Throws Error(kInternal) where the message ends too early: the other process is damaged.
class MessageReader {
 public:
  explicit MessageReader(std::span<const std::byte> bytes) : rest_(bytes) {}
  [[nodiscard]] std::uint64_t number();
  [[nodiscard]] std::string text();

 private:
  [[nodiscard]] std::span<const std::byte> take(std::size_t size);
  std::span<const std::byte> rest_;
};

// One end of a connection (SOCK_SEQPACKET), which the caller owns. Not thread-safe.
class MessageSocket {
 public:
  // A message is never longer.
  static constexpr std::size_t kLongest = std::size_t{128} << 10U;

  explicit MessageSocket(int socket);
  // False where the other end is gone. Throws Error(kInternal) for a message above kLongest,
  // Error(kIo) where the system does not send it. A `file` goes along as a descriptor of the other
  // process.
  [[nodiscard]] bool send(std::span<const std::byte> message, int file = -1) const;
  // Waits for the next message, which stays valid until the call after it. Nothing where the other
  // end is gone. Throws Error(kIo) where there is no descriptor for its file.
  [[nodiscard]] std::optional<MessageReader> receive();
  // The descriptor that came with the last message, given to the caller; -1: none.
  [[nodiscard]] int take_file();

 private:
  int socket_;
  int file_ = -1;
  std::unique_ptr<std::byte[]> buffer_;
};

}  // namespace segue
