#include "base/internal/process/message.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/internal/process/child.h"
#include "segue/error.h"

namespace segue {
namespace {

// Space for one descriptor that is sent with a message.
struct Control {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> bytes{};
};

}  // namespace

void MessageWriter::number(std::uint64_t value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void MessageWriter::text(std::string_view value) {
  number(value.size());
  const auto bytes = std::as_bytes(std::span(value));
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

std::span<const std::byte> MessageReader::take(std::size_t size) {
  if (size > rest_.size())
    throw Error(ErrorCode::kInternal, "a message from another process is truncated");
  const auto taken = rest_.first(size);
  rest_ = rest_.subspan(size);
  return taken;
}

std::uint64_t MessageReader::number() {
  std::uint64_t value = 0;
  std::memcpy(&value, take(sizeof value).data(), sizeof value);
  return value;
}

std::string MessageReader::text() {
  const auto bytes = take(number());
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

MessageSocket::MessageSocket(int socket)
    : socket_(socket), buffer_(std::make_unique_for_overwrite<std::byte[]>(kLongest)) {}

bool MessageSocket::send(std::span<const std::byte> message, int file) const {
  if (message.size() > kLongest)
    throw Error(ErrorCode::kInternal, "a message for another process is too long");
  iovec part{const_cast<std::byte*>(message.data()), message.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  Control control;
  if (file >= 0) {
    header.msg_control = control.bytes.data();
    header.msg_controllen = control.bytes.size();
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof file);
    std::memcpy(CMSG_DATA(rights), &file, sizeof file);
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket_, &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return true;
  if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) return false;
  fail_to_make("a message to another process");
}

std::optional<MessageReader> MessageSocket::receive() {
  if (file_ >= 0) ::close(take_file());
  iovec part{buffer_.get(), kLongest};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  Control control;
  header.msg_control = control.bytes.data();
  header.msg_controllen = control.bytes.size();
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket_, &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return std::nullopt;
  if ((header.msg_flags & MSG_CTRUNC) != 0) {
    throw Error(
        ErrorCode::kIo,
        "no file descriptor is left for shared memory; raise the limit of open files (ulimit -n)");
  }
  const cmsghdr* const rights = CMSG_FIRSTHDR(&header);
  if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS)
    std::memcpy(&file_, CMSG_DATA(rights), sizeof file_);
  return MessageReader({buffer_.get(), static_cast<std::size_t>(got)});
}

int MessageSocket::take_file() { return std::exchange(file_, -1); }

}  // namespace segue
