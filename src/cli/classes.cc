#include "cli/classes.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>

#include "segue/error.h"
#include "segue/file.h"
#include "segue/report.h"

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

}  // namespace

std::vector<std::string> read_labels(const std::string& path) {
  constexpr std::uint64_t kLargest = 16U << 20U;
  std::vector<std::string> labels = CLI::detail::split(read_text_file(path, kLargest), '\n');
  for (std::string& label : labels) CLI::detail::rtrim(label);
  while (!labels.empty() && labels.back().empty()) labels.pop_back();
  return labels;
}

std::string top_classes(const Port& port, const TensorBytes& value,
                        const std::vector<std::string>& labels) {
  const std::size_t count = value.size() / (port.type == ElementType::kFloat32 ? sizeof(float) : 1);
  if (port.type != ElementType::kFloat32 && port.type != ElementType::kInt8 &&
      port.type != ElementType::kUint8)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--labels: the output '{}' holds no scores", port.name));
  std::vector<std::size_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = i;
  const std::size_t shown = std::min<std::size_t>(5, count);
  std::ranges::partial_sort(order, order.begin() + static_cast<std::ptrdiff_t>(shown),
                            [&](std::size_t a, std::size_t b) {
                              const double x = score(port, value, a);
                              const double y = score(port, value, b);
                              return x != y ? x > y : a < b;
                            });
  std::string text;
  for (std::size_t rank = 0; rank < shown; ++rank) {
    const std::size_t i = order[rank];
    text += fmt::format("  {:.3f}  {}\n", score(port, value, i),
                        i < labels.size() ? printable(labels[i]) : fmt::format("class {}", i));
  }
  return text;
}

}  // namespace segue::cli
