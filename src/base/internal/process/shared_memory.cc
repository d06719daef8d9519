#include "base/internal/process/shared_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <functional>

#include "base/internal/process/child.h"
#include "segue/error.h"

namespace segue {
namespace {

Descriptor make_file(std::size_t size) {
  const int number = ::memfd_create("segue-tensors", MFD_CLOEXEC);
  if (number < 0) fail_to_make("shared memory");
  Descriptor file(beyond_standard(number));
  if (::ftruncate(file.number(), static_cast<off_t>(size)) != 0) fail_to_make("shared memory");
  return file;
}

// The size of a cache line, so that two processes do not write to the same one.
constexpr std::size_t kAlignment = 64;
constexpr std::size_t kChunkBytes = std::size_t{4} << 20U;

std::size_t rounded_up(std::size_t size) {
  return (std::max<std::size_t>(size, 1) + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

MappedMemory::MappedMemory(std::size_t size) : MappedMemory(make_file(size).release(), size) {}

MappedMemory::MappedMemory(int descriptor, std::size_t size) : file_(descriptor) {
  if (size == 0) return;
  void* const begin = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_.number(), 0);
  if (begin == MAP_FAILED) fail_to_make("shared memory");
  bytes_ = {static_cast<std::byte*>(begin), size};
}

MappedMemory::~MappedMemory() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

SharedMemory::SharedMemory() : opening_lock_(make_file(1)) {}

SharedMemory::Block SharedMemory::allocate(std::size_t size) {
  const std::size_t rounded = rounded_up(size);
  const std::lock_guard lock(mutex_);
  Blocks& blocks = blocks_[rounded];
  if (!blocks.free.empty()) {
    std::byte* const begin = blocks.free.back();
    blocks.free.pop_back();
    return {shared_from_this(), {begin, size}};
  }
  blocks.free.reserve(blocks.count + 1);
  if (chunks_.empty() || used_of_last_ + rounded > chunks_.back()->bytes().size()) {
    chunks_.push_back(std::make_shared<const MappedMemory>(std::max(kChunkBytes, rounded)));
    used_of_last_ = 0;
  }
  const std::span<std::byte> bytes = chunks_.back()->bytes().subspan(used_of_last_, size);
  used_of_last_ += rounded;
  ++blocks.count;
  return {shared_from_this(), bytes};
}

std::optional<SharedMemory::Place> SharedMemory::place_of(std::span<const std::byte> bytes) const {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    const std::span<const std::byte> chunk = chunks_[i]->bytes();
    const std::less_equal<const std::byte*> is_not_behind;
    if (is_not_behind(chunk.data(), bytes.data()) &&
        is_not_behind(bytes.data() + bytes.size(), chunk.data() + chunk.size()))
      return Place{i, static_cast<std::size_t>(bytes.data() - chunk.data())};
  }
  return std::nullopt;
}

std::shared_ptr<const MappedMemory> SharedMemory::chunk(std::size_t index) const {
  const std::lock_guard lock(mutex_);
  return chunks_.at(index);
}

void SharedMemory::give_back(std::span<std::byte> bytes) noexcept {
  const std::lock_guard lock(mutex_);
  blocks_.find(rounded_up(bytes.size()))->second.free.push_back(bytes.data());
}

}  // namespace segue
