#include "model/internal/file_bytes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/internal/file/descriptor.h"
#include "segue/error.h"

namespace segue {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& reason) {
  throw Error(ErrorCode::kIo, fmt::format("{}: {}", path.string(), reason));
}

}  // namespace

FileBytes::FileBytes(const std::filesystem::path& path) {
  // Opening a pipe would block until there is a writer. O_NONBLOCK avoids that; pipes are refused
  // below.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.number() < 0) fail(path, std::string("cannot open: ") + std::strerror(errno));
  struct stat status {};
  if (::fstat(file.number(), &status) != 0) fail(path, std::strerror(errno));
  if (S_ISDIR(status.st_mode)) {
    std::error_code absent;
    fail(path, std::filesystem::exists(path / "saved_model.pb", absent)
                   ? "a TensorFlow SavedModel; convert it with "
                     "tf.lite.TFLiteConverter.from_saved_model"
                   : "a folder; name a .tflite file");
  }
  if (!S_ISREG(status.st_mode)) fail(path, "not a file; give a .tflite model");
  if (status.st_size == 0) return;
  const auto size = static_cast<std::size_t>(status.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number(), 0);
  if (address == MAP_FAILED) fail(path, std::string("cannot map: ") + std::strerror(errno));
  mapped_ = true;
  view_ = {static_cast<const std::byte*>(address), size};
}

void FileBytes::drop_pages() const {
  if (mapped_) ::madvise(const_cast<std::byte*>(view_.data()), view_.size(), MADV_DONTNEED);
}

FileBytes::~FileBytes() {
  if (mapped_) ::munmap(const_cast<std::byte*>(view_.data()), view_.size());
}

}  // namespace segue
