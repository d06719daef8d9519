#include <fmt/format.h>

#include <charconv>

#include "segue/device.h"
#include "segue/error.h"

namespace segue {
namespace {

constexpr std::uint32_t kMostDevices = 1024;
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

DevicePool open_pool(std::string_view text) {
  auto [count, name] = split_count(text);
  DevicePool pool;
  pool.count = count;
  const bool is_shared = remove_suffix(name, kShared);
  const bool is_separate = !is_shared && remove_suffix(name, kSeparate);
  if (name.find(':') != std::string_view::npos && !name.ends_with(".json")) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}': unknown suffix; a device name may end in ':shared' or ':separate'",
                    text));
  }
  pool.device = open_device(std::string(name));
  pool.shares_link = is_shared || (pool.device.shares_controller && !is_separate);
  return pool;
}

}  // namespace

std::vector<DevicePool> open_devices(const std::string& text, std::uint32_t count) {
  std::vector<DevicePool> pools;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    pools.push_back(open_pool(std::string_view(text).substr(begin, end - begin)));
    begin = end + 1;
  }
  if (pools.size() == 1 && pools[0].count == 0) pools[0].count = count;
  for (DevicePool& pool : pools) {
    pool.shares_link = pool.shares_link && pool.count > 1;
    if (pool.count > 0) continue;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("'{}': the number of '{}' is missing; write for example 2x{}", text,
                            pool.device.name, pool.device.name));
  }
  return pools;
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

std::string to_string(std::span<const DevicePool> pools) {
  std::string text;
  for (const DevicePool& pool : pools) {
    if (!text.empty()) text += ",";
    if (pools.size() > 1) text += fmt::format("{}x", pool.count);
    text += pool.device.name;
    if (pool.count <= 1) continue;
    if (pool.shares_link) text += kShared;
    if (!pool.shares_link && pool.device.shares_controller) text += kSeparate;
  }
  return text;
}

}  // namespace segue
