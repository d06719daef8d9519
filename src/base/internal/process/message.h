// Messages between two processes of this program: sequences of numbers and texts over a socket that
// preserves message boundaries. Both ends are the same build on the same machine.
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

// Reads the fields of a message. Throws Error(kInternal) when the message is too short, because the
// other process is then damaged.
class MessageReader {
 public:
  explicit MessageReader(std::span<const std::byte> bytes) : rest_(bytes) {}
  [[nodiscard]] std::uint64_t number();
  [[nodiscard]] std::string text();

 private:
  [[nodiscard]] std::span<const std::byte> take(std::size_t size);
  std::span<const std::byte> rest_;
};

// One end of a connection (SOCK_SEQPACKET). The caller owns the socket. Not thread-safe.
class MessageSocket {
 public:
  // Maximum size of a message, in bytes.
  static constexpr std::size_t kLongest = std::size_t{128} << 10U;

  explicit MessageSocket(int socket);
  // Sends a message, with the descriptor `file` if given. Returns false when the other end is
  // closed. Throws Error(kInternal) for a message above kLongest, and Error(kIo) when the system
  // cannot send it.
  [[nodiscard]] bool send(std::span<const std::byte> message, int file = -1) const;
  // Waits for the next message, which is valid until the next call. Returns nothing when the other
  // end is closed. Throws Error(kIo) when there is no free descriptor for a file that was sent with
  // it.
  [[nodiscard]] std::optional<MessageReader> receive();
  // Returns the descriptor of the last message, which the caller then owns; -1 if there was none.
  [[nodiscard]] int take_file();

 private:
  int socket_;
  int file_ = -1;
  std::unique_ptr<std::byte[]> buffer_;
};

}  // namespace segue
