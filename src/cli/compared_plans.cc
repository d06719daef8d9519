#include "cli/compared_plans.h"

#include <fmt/format.h>

#include <charconv>
#include <string_view>

#include "segue/error.h"

namespace segue::cli {
namespace {

constexpr std::uint32_t kMostTpus = 64;

// "4" or "1..8".
std::pair<std::uint32_t, std::uint32_t> parse_counts(const std::string& text) {
  const auto number = [](std::string_view digits) -> std::uint32_t {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc{} && end == digits.data() + digits.size() ? value : 0;
  };
  const std::size_t dots = text.find("..");
  const std::uint32_t first = number(std::string_view(text).substr(0, dots));
  const std::uint32_t last =
      dots == std::string::npos ? first : number(std::string_view(text).substr(dots + 2));
  if (first == 0 || last < first || last > kMostTpus) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--tpus '{}': give a number or a range within 1..{}, as in 1..8", text,
                            kMostTpus));
  }
  return {first, last};
}

DevicePool open_one_kind(const std::string& name) {
  const auto pools = open_devices(name, 1);
  if (pools.size() == 1 && !has_device_count(name)) return pools[0];
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("--device '{}': the TPUs are counted by --tpus here; name one kind of "
                          "device without a count",
                          name));
}

}  // namespace

void add_comparison(CLI::App& command, ComparisonOptions& options) {
  command.add_option("--tpus", options.tpus, "A number or a range of TPUs (default 1..8)");
  command.add_option("--device", options.device,
                     "Edge TPU to plan for: a name, or a device file (default edgetpu-pcie)");
  add_max_replicas(command, options.max_replicas);
}

Comparison compare(const Graph& graph, const ComparisonOptions& options) {
  const auto [first, last] = parse_counts(options.tpus);
  DevicePool pool = open_one_kind(options.device.empty() ? "edgetpu-pcie" : options.device);
  auto plans = compare_strategies(graph, pool.device, first, last, options.max_replicas);
  return {std::move(plans), std::move(pool)};
}

}  // namespace segue::cli
