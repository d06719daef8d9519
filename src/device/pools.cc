#include <fmt/format.h>

#include <charconv>

#include "segue/device.h"
#include "segue/error.h"

namespace segue {
namespace {

constexpr std::string_view kShared = ":shared";
constexpr std::string_view kSeparate = ":separate";

// Removes the suffix and returns whether the name had it.
bool remove_suffix(std::string_view& name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return false;
  name.remove_suffix(suffix.size());
  return true;
}

// Returns the number before the first 'x' and the rest of the text; 0 if the text does not start
// with a number.
std::pair<std::uint32_t, std::string_view> split_count(std::string_view text) {
  std::uint32_t count = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, count);
  if (end == text.data() || end == last || *end != 'x') return {0, text};
  if (error != std::errc{} || count == 0 || count > kMostDevices) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}': the number of devices must be from 1 to {}", text, kMostDevices));
  }
  return {count, text.substr(static_cast<std::size_t>(end - text.data()) + 1)};
}

PoolName parse_pool(std::string_view text) {
  PoolName pool;
  auto [count, name] = split_count(text);
  pool.count = count;
  if (remove_suffix(name, kShared)) {
    pool.link = PoolName::Link::kShared;
  } else if (remove_suffix(name, kSeparate)) {
    pool.link = PoolName::Link::kSeparate;
  }
  if (name.find(':') != std::string_view::npos && !name.ends_with(".json")) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}': unknown suffix; a device name may end in ':shared' or ':separate'",
                    text));
  }
  pool.device = name;
  return pool;
}

}  // namespace

std::vector<PoolName> parse_devices(std::string_view text) {
  std::vector<PoolName> names;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    names.push_back(parse_pool(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return names;
}

std::vector<DevicePool> open_devices(std::span<const PoolName> names, std::uint32_t count,
                                     std::span<const DeviceSpec> catalogue) {
  std::vector<DevicePool> pools;
  for (const PoolName& name : names) {
    DevicePool& pool = pools.emplace_back(DevicePool{open_device(name.device, catalogue)});
    pool.count = name.count == 0 && names.size() == 1 ? count : name.count;
    if (pool.count == 0) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("'{}': the number of '{}' is missing; write for example 2x{}",
                              to_string(names), pool.device.name, pool.device.name));
    }
    const bool is_shared = name.link == PoolName::Link::kShared ||
                           (name.link == PoolName::Link::kDefault && pool.device.shares_controller);
    pool.shares_link = is_shared && pool.count > 1;
  }
  return pools;
}

std::vector<DevicePool> open_devices(const std::string& text, std::uint32_t count,
                                     std::span<const DeviceSpec> catalogue) {
  return open_devices(parse_devices(text), count, catalogue);
}

DevicePool open_device_kind(const std::string& text) {
  auto pools = open_devices(text, 2);
  if (pools.size() == 1 && !has_device_count(text)) return std::move(pools[0]);
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format("device '{}': name one kind of device without a number; --tpus sets the number",
                  text));
}

bool has_device_count(std::string_view name) {
  const std::size_t behind_digits = name.find_first_not_of("0123456789");
  return behind_digits != 0 && behind_digits != std::string_view::npos &&
         name[behind_digits] == 'x';
}

std::uint64_t device_choices(std::span<const DevicePool> pools) {
  std::uint64_t choices = 1;
  if (pools.size() == 1) return choices;
  for (const DevicePool& pool : pools) {
    if (choices > kMostDeviceChoices) break;  // above the limit; further products could overflow
    choices *= pool.count + std::uint64_t{1};
  }
  return choices;
}

std::uint32_t device_count(std::span<const DevicePool> pools) {
  std::uint32_t count = 0;
  for (const DevicePool& pool : pools) count += pool.count;
  return count;
}

std::vector<PoolName> names_of(std::span<const DevicePool> pools) {
  std::vector<PoolName> names;
  for (const DevicePool& pool : pools) {
    PoolName& name = names.emplace_back();
    name.device = pool.device.name;
    if (pools.size() > 1) name.count = pool.count;
    if (pool.count <= 1) continue;
    if (pool.shares_link) name.link = PoolName::Link::kShared;
    if (!pool.shares_link && pool.device.shares_controller) name.link = PoolName::Link::kSeparate;
  }
  return names;
}

std::string to_string(std::span<const PoolName> names) {
  std::string text;
  for (const PoolName& name : names) {
    if (!text.empty()) text += ",";
    if (name.count > 0) text += fmt::format("{}x", name.count);
    text += name.device;
    if (name.link == PoolName::Link::kShared) text += kShared;
    if (name.link == PoolName::Link::kSeparate) text += kSeparate;
  }
  return text;
}

std::string to_string(std::span<const DevicePool> pools) { return to_string(names_of(pools)); }

}  // namespace segue
