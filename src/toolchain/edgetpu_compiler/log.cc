// Parses the output of edgetpu_compiler after a success.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "segue/error.h"
#include "segue/toolchain.h"

namespace segue {
namespace {

constexpr std::string_view kMapped = "Mapped to Edge TPU";
constexpr std::size_t kMostOperations = 10'000;  // rows; later ones are ignored

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// Returns the lines of a text without surrounding white space.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    lines.push_back(trimmed(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

[[noreturn]] void fail(std::string_view line, const char* what) {
  throw Error(ErrorCode::kCompiler, fmt::format("compiler log, line '{:.200}': {}", line, what));
}

// Parses for example "3.33MiB" or "512.00B".
std::uint64_t parse_bytes(std::string_view line, std::string_view value) {
  double number = 0;
  const auto [end, error] =
      std::from_chars(value.data(), value.data() + value.size(), number, std::chars_format::fixed);
  if (error != std::errc{} || !(number >= 0)) fail(line, "expected a number of bytes");
  const std::string_view unit = trimmed(value.substr(static_cast<std::size_t>(end - value.data())));
  double factor = 0;
  if (unit == "B") factor = 1;
  if (unit == "KiB") factor = static_cast<double>(kKiB);
  if (unit == "MiB") factor = static_cast<double>(kMiB);
  if (unit == "GiB") factor = static_cast<double>(kKiB * kMiB);
  if (factor == 0) fail(line, "the unit is not one of B, KiB, MiB and GiB");
  constexpr double kMost = 1e15;
  if (number * factor > kMost) fail(line, "the value is larger than any device memory");
  return static_cast<std::uint64_t>(std::llround(number * factor));
}

std::optional<std::uint32_t> parse_count(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Parses for example "CONV_2D        36         Mapped to Edge TPU".
std::optional<CompiledOperation> parse_operation(std::string_view line) {
  const auto name_end = line.find_first_of(" \t");
  if (name_end == std::string_view::npos) return std::nullopt;
  const std::string_view rest = trimmed(line.substr(name_end));
  const auto count_end = rest.find_first_of(" \t");
  if (count_end == std::string_view::npos) return std::nullopt;
  const auto count = parse_count(rest.substr(0, count_end));
  if (!count) return std::nullopt;
  return CompiledOperation{std::string(line.substr(0, name_end)), *count,
                           std::string(trimmed(rest.substr(count_end)))};
}

class Lines {
 public:
  explicit Lines(std::string_view text) : lines_(lines_of(text)) {}

  // Returns the text after `key` in the first line that begins with it.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view key) const {
    const auto line = std::ranges::find_if(
        lines_, [&](std::string_view candidate) { return candidate.starts_with(key); });
    if (line == lines_.end()) return std::nullopt;
    return trimmed(line->substr(key.size()));
  }

  [[nodiscard]] std::optional<std::uint64_t> bytes(std::string_view key) const {
    const auto value = find(key);
    if (!value) return std::nullopt;
    return parse_bytes(fmt::format("{} {}", key, *value), *value);
  }

  [[nodiscard]] std::uint64_t required_bytes(std::string_view key) const {
    if (const auto value = bytes(key)) return *value;
    fail(key,
         "this line is missing; check that the program is edgetpu_compiler, version 2 or later");
  }

  [[nodiscard]] std::uint32_t count(std::string_view key, std::uint32_t where_missing = 0) const {
    const auto value = find(key);
    if (!value) return where_missing;
    const auto number = parse_count(*value);
    if (!number) fail(fmt::format("{} {}", key, *value), "expected a number");
    return *number;
  }

  // Returns the rows of the first table. The log file repeats the table.
  [[nodiscard]] std::vector<CompiledOperation> operations() const {
    std::vector<CompiledOperation> result;
    const auto header = std::ranges::find_if(lines_, [](std::string_view line) {
      return line.starts_with("Operator ") && line.ends_with("Status");
    });
    if (header == lines_.end()) return result;
    for (auto line = header + 1; line != lines_.end(); ++line) {
      if (line->empty()) continue;
      auto operation = parse_operation(*line);
      if (!operation || result.size() == kMostOperations) break;
      result.push_back(std::move(*operation));
    }
    return result;
  }

 private:
  std::vector<std::string_view> lines_;
};

}  // namespace

bool CompiledOperation::is_mapped() const { return status == kMapped; }

std::uint32_t CompilerLog::unmapped_count() const {
  if (operations.empty()) return operation_count - mapped_count;
  std::uint32_t count = 0;
  for (const CompiledOperation& operation : operations)
    count += operation.is_mapped() ? 0 : operation.count;
  return count;
}

CompilerLog parse_compiler_log(std::string_view text) {
  const Lines lines(text);
  CompilerLog log;
  log.version = lines.find("Edge TPU Compiler version").value_or("");
  log.on_chip_bytes = lines.required_bytes("On-chip memory used for caching model parameters:");
  log.remaining_bytes =
      lines.bytes("On-chip memory remaining for caching model parameters:").value_or(0);
  log.host_bytes =
      lines.required_bytes("Off-chip memory used for streaming uncached model parameters:");
  log.subgraphs = lines.count("Number of Edge TPU subgraphs:");
  log.operation_count = lines.count("Total number of operations:");
  log.operations = lines.operations();
  // The compiler prints this line only if not all operations are mapped.
  log.mapped_count = log.operation_count;
  const std::uint32_t by_table =
      log.operation_count - std::min(log.unmapped_count(), log.operation_count);
  log.mapped_count =
      std::min(lines.count("Number of operations that will run on Edge TPU:", by_table),
               log.operation_count);
  return log;
}

}  // namespace segue
