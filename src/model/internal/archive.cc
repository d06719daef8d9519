#include "model/internal/archive.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "model/model_state.h"
#include "model/stored_bytes.h"

namespace segue {
namespace {

// The zip format of PKWARE's APPNOTE.TXT: entries, then their directory, then the end record.
constexpr std::uint32_t kEntry = 0x04034b50;
constexpr std::uint32_t kDirectoryEntry = 0x02014b50;
constexpr std::uint32_t kEnd = 0x06054b50;
constexpr std::size_t kEndBytes = 22;
constexpr std::size_t kDirectoryEntryBytes = 46;
constexpr std::size_t kLongestComment = 65535;
// Positions of fields in a directory entry and in the end record.
constexpr std::size_t kNameLength = 28;
constexpr std::size_t kExtraLength = 30;
constexpr std::size_t kCommentLength = 32;
constexpr std::size_t kEntryPosition = 42;
constexpr std::size_t kDirectoryDisk = 6;
constexpr std::size_t kEntryCount = 10;
constexpr std::size_t kDirectorySize = 12;
constexpr std::size_t kDirectoryPosition = 16;
constexpr std::size_t kEndCommentLength = 20;

template <typename Number>
Number number_at(std::span<const std::byte> bytes, std::size_t position) {
  Number number = 0;
  std::memcpy(&number, bytes.data() + position, sizeof(number));
  return number;
}

std::uint32_t u32(std::span<const std::byte> bytes, std::size_t position) {
  return number_at<std::uint32_t>(bytes, position);
}
std::size_t u16(std::span<const std::byte> bytes, std::size_t position) {
  return number_at<std::uint16_t>(bytes, position);
}

// Returns the position of the end record. The file ends with the record's comment.
std::optional<std::size_t> find_end(std::span<const std::byte> file) {
  if (file.size() < kEndBytes) return std::nullopt;
  const std::size_t last = file.size() - kEndBytes;
  const std::size_t first = last > kLongestComment ? last - kLongestComment : 0;
  for (std::size_t at = last + 1; at-- > first;) {
    if (u32(file, at) == kEnd && at + kEndBytes + u16(file, at + kEndCommentLength) == file.size())
      return at;
  }
  return std::nullopt;
}

// Calls `visit` with the position of each entry in the directory. Returns false if an entry is not
// complete.
template <typename Visit>
bool visit_entries(std::span<const std::byte> directory, std::size_t count, std::size_t bytes,
                   const Visit& visit) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (bytes - at < kDirectoryEntryBytes || u32(directory, at) != kDirectoryEntry) return false;
    const std::size_t size = kDirectoryEntryBytes + u16(directory, at + kNameLength) +
                             u16(directory, at + kExtraLength) +
                             u16(directory, at + kCommentLength);
    if (bytes - at < size || !visit(at)) return false;
    at += size;
  }
  return at == bytes;
}

std::size_t directory_bytes(std::span<const std::byte> directory) {
  return u32(directory, *find_end(directory) + kDirectorySize);
}

// Whether a file's header begins here. Checks the version needed to unpack, the method (stored or
// deflated) and the length of the name.
bool begins_entry(std::span<const std::byte> bytes) {
  constexpr std::size_t kEntryBytes = 30;
  constexpr std::size_t kVersion = 4;
  constexpr std::size_t kMethod = 8;
  constexpr std::size_t kEntryNameLength = 26;
  constexpr std::size_t kNewestVersion = 63;
  constexpr std::size_t kDeflated = 8;
  if (bytes.size() < kEntryBytes || u32(bytes, 0) != kEntry) return false;
  const std::size_t method = u16(bytes, kMethod);
  return u16(bytes, kVersion) <= kNewestVersion && (method == 0 || method == kDeflated) &&
         u16(bytes, kEntryNameLength) > 0;
}

// Returns the end of the last weights, options or name. All other parts of a flatbuffer are short.
std::size_t end_of_weights(const Model::State& state) {
  const std::byte* const file = state.file->view().data();
  std::size_t end = 0;
  const auto include = [&](const std::byte* begin, std::size_t size) {
    if (size > 0) end = std::max(end, static_cast<std::size_t>(begin - file) + size);
  };
  for (const tflite::Buffer* buffer : *state.root->buffers()) {
    const auto bytes = buffer_bytes(*buffer, state.file->view());
    include(bytes.data(), bytes.size());
  }
  for (const Operator& op : state.operators) include(op.custom_data.data(), op.custom_data.size());
  for (const Tensor& tensor : state.tensors)
    include(reinterpret_cast<const std::byte*>(tensor.name.data()), tensor.name.size());
  return end;
}

}  // namespace

std::string lost_files_note(const Model& model) {
  const Model::State& state = ModelReader::state(model);
  if (state.archive) return "";
  const auto file = state.file->view();
  constexpr std::size_t kSignatureBytes = 4;
  for (std::size_t at = end_of_weights(state); at + kSignatureBytes <= file.size(); ++at) {
    if (!begins_entry(file.subspan(at))) continue;
    return fmt::format(
        "the zip archive of attached files (labels) at byte {} is truncated, damaged, in several "
        "parts or larger than 4 GB; segments are written without these files: download the model "
        "again, or attach the files again",
        at);
  }
  return "";
}

std::optional<Archive> find_archive(std::span<const std::byte> file) {
  const auto end = find_end(file);
  if (!end) return std::nullopt;
  const std::size_t size = u32(file, *end + kDirectorySize);
  const std::size_t count = u16(file, *end + kEntryCount);
  if (size > *end || count == 0 || u16(file, *end + kDirectoryDisk) != 0) return std::nullopt;
  const std::size_t start = *end - size;
  Archive archive;
  archive.directory = file.subspan(start);
  archive.shift = static_cast<std::int64_t>(start) - u32(file, *end + kDirectoryPosition);
  std::size_t first = start;
  const auto add = [&](std::size_t at) {
    const std::int64_t entry = u32(archive.directory, at + kEntryPosition) + archive.shift;
    constexpr std::int64_t kSignatureBytes = 4;
    if (entry < 0 || entry + kSignatureBytes > static_cast<std::int64_t>(start)) return false;
    const auto position = static_cast<std::size_t>(entry);
    if (u32(file, position) != kEntry) return false;
    first = std::min(first, position);
    const auto name = archive.directory.subspan(at + kDirectoryEntryBytes,
                                                u16(archive.directory, at + kNameLength));
    archive.names.emplace_back(reinterpret_cast<const char*>(name.data()), name.size());
    return true;
  };
  if (!visit_entries(archive.directory, count, size, add)) return std::nullopt;
  archive.contents = file.subspan(first, start - first);
  return archive;
}

std::vector<std::byte> moved_directory(const Archive& archive, std::span<const std::byte> file,
                                       std::uint64_t position) {
  std::vector<std::byte> directory(archive.directory.begin(), archive.directory.end());
  const std::int64_t moved =
      static_cast<std::int64_t>(position) - (archive.contents.data() - file.data()) + archive.shift;
  const auto move = [&](std::size_t at) {
    const auto there = static_cast<std::uint32_t>(u32(directory, at) + moved);
    std::memcpy(directory.data() + at, &there, sizeof(there));
    return true;
  };
  visit_entries(archive.directory, archive.names.size(), directory_bytes(archive.directory),
                [&](std::size_t at) { return move(at + kEntryPosition); });
  move(*find_end(archive.directory) + kDirectoryPosition);
  return directory;
}

}  // namespace segue
