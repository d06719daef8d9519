// The bytes of a model file.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <utility>
#include <vector>

namespace segue {

// A file mapped read-only, or bytes in memory.
class FileBytes {
 public:
  explicit FileBytes(std::vector<std::byte> owned) : owned_(std::move(owned)), view_(owned_) {}
  // Throws Error(kIo).
  explicit FileBytes(const std::filesystem::path& path);
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;
  ~FileBytes();
  [[nodiscard]] std::span<const std::byte> view() const { return view_; }
  // Releases the memory of a mapped file. Later reads load the bytes from the file
  // again.
  void drop_pages() const;

 private:
  std::vector<std::byte> owned_;
  bool mapped_ = false;
  std::span<const std::byte> view_;
};

}  // namespace segue
