// Memory that this process shares with its workers. Tensors are stored in it, so that they need not
// be copied from one process to another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/internal/file/descriptor.h"

namespace segue {

// An anonymous file that is mapped for reading and writing.
class MappedMemory {
 public:
  // Creates one. Throws Error(kIo) when the system has no memory.
  explicit MappedMemory(std::size_t size);
  // Maps a file of another process and takes ownership of the descriptor.
  MappedMemory(int descriptor, std::size_t size);
  MappedMemory(const MappedMemory&) = delete;
  MappedMemory& operator=(const MappedMemory&) = delete;
  ~MappedMemory();

  [[nodiscard]] int descriptor() const { return file_.number(); }
  // Closes the file; the mapping remains.
  void close_file() { file_.close(); }
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

 private:
  Descriptor file_;
  std::span<std::byte> bytes_;
};

// A pool that grows by chunks. A freed block is reused for the next block of its size. Thread-safe.
class SharedMemory : public std::enable_shared_from_this<SharedMemory> {
 public:
  // Throws Error(kIo) when there is no free descriptor.
  SharedMemory();

  // A position in a chunk, by which another process finds it.
  struct Place {
    std::size_t chunk = 0;
    std::size_t offset = 0;
  };

  // Bytes that return to the pool when the block is destroyed.
  class Block {
   public:
    Block() = default;
    Block(std::shared_ptr<SharedMemory> memory, std::span<std::byte> bytes)
        : memory_(std::move(memory)), bytes_(bytes) {}
    Block(Block&& other) noexcept
        : memory_(std::move(other.memory_)), bytes_(std::exchange(other.bytes_, {})) {}
    Block& operator=(Block&& other) noexcept {
      std::swap(memory_, other.memory_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Block() {
      if (memory_ != nullptr) memory_->give_back(bytes_);
    }
    [[nodiscard]] bool is_empty() const { return memory_ == nullptr; }
    [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

   private:
    std::shared_ptr<SharedMemory> memory_;
    std::span<std::byte> bytes_;
  };

  // Throws Error(kIo) when the system has no memory.
  [[nodiscard]] Block allocate(std::size_t size);
  // Returns nothing if the bytes are not in this memory.
  [[nodiscard]] std::optional<Place> place_of(std::span<const std::byte> bytes) const;
  [[nodiscard]] std::shared_ptr<const MappedMemory> chunk(std::size_t index) const;
  // A file that one process at a time locks (fcntl) while it opens a device.
  [[nodiscard]] int opening_lock() const { return opening_lock_.number(); }

 private:
  struct Blocks {
    std::size_t count = 0;
    std::vector<std::byte*> free;  // its capacity suffices for all blocks
  };
  void give_back(std::span<std::byte> bytes) noexcept;

  Descriptor opening_lock_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const MappedMemory>> chunks_;
  std::size_t used_of_last_ = 0;
  std::map<std::size_t, Blocks> blocks_;  // by size
};

}  // namespace segue
