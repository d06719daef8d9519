#include "cli/classes.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>

#include "segue/error.h"
#include "segue/file.h"

namespace segue::cli {
namespace {

double score(const Port& port, const TensorBytes& value, std::size_t i) {
  switch (port.type) {
    case ElementType::kUint8:
      return std::to_integer<int>(value[i]) / 256.0;
    case ElementType::kInt8:
      return (std::to_integer<int>(value[i] ^ std::byte{0x80})) / 256.0;
    default: {
      float real = 0;
      std::memcpy(&real, value.data() + i * sizeof real, sizeof real);
      return real;
    }
  }
}

// The label files of pycoral number their lines: "0  background" or "0:background".
constexpr const char* kDigits = "0123456789";

bool is_numbered(const std::vector<std::string>& labels) {
  return !labels.empty() && std::ranges::all_of(labels, [](const std::string& label) {
    const std::size_t end = label.find_first_not_of(kDigits);
    return end > 0 && end <= 9 && end != std::string::npos &&
           label.find_first_of(" \t:", end) == end;
  });
}

std::vector<std::string> without_numbers(const std::vector<std::string>& labels) {
  constexpr std::size_t kMost = std::size_t{1} << 20U;
  std::vector<std::string> result;
  for (const std::string& label : labels) {
    const std::size_t end = label.find_first_not_of(kDigits);
    const std::size_t number = std::stoul(label.substr(0, end));
    if (number >= kMost)
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("--labels: '{}': the class number is too large (at most {})", label,
                              kMost - 1));
    if (number >= result.size()) result.resize(number + 1);
    const std::size_t begin = label.find_first_not_of(" \t:", end);
    result[number] = begin == std::string::npos ? "" : label.substr(begin);
  }
  return result;
}

}  // namespace

std::vector<std::string> read_labels(const std::string& path) {
  constexpr std::uint64_t kLargest = 16U << 20U;
  const std::string text = read_text_file(path, kLargest);
  if (text.find('\0') != std::string::npos) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--labels: {} is a binary file (it contains zero bytes); give a text "
                            "file with one label per line",
                            path));
  }
  std::vector<std::string> labels = CLI::detail::split(text, '\n');
  for (std::string& label : labels) CLI::detail::rtrim(label);
  while (!labels.empty() && labels.back().empty()) labels.pop_back();
  return is_numbered(labels) ? without_numbers(labels) : labels;
}

std::size_t class_count(const Port& port) {
  switch (port.type) {
    case ElementType::kInt8:
    case ElementType::kUint8:
      return port.bytes;
    case ElementType::kFloat32:
      return port.bytes / sizeof(float);
    default:
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format(
              "--labels: the output '{}' does not contain class scores (int8, uint8 or float32)",
              port.name));
  }
}

std::vector<ClassScore> best_classes(const Port& port, const TensorBytes& value,
                                     const std::vector<std::string>& labels) {
  std::vector<ClassScore> all(class_count(port));
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = {i, {}, score(port, value, i)};
  const std::size_t shown = std::min<std::size_t>(5, all.size());
  std::ranges::partial_sort(all, all.begin() + static_cast<std::ptrdiff_t>(shown),
                            [](const ClassScore& a, const ClassScore& b) {
                              return a.score != b.score ? a.score > b.score : a.index < b.index;
                            });
  all.resize(shown);
  for (ClassScore& best : all) {
    if (best.index < labels.size()) best.label = labels[best.index];
  }
  return all;
}

}  // namespace segue::cli
