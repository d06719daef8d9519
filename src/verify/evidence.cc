#include "verify/evidence.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace segue {

void TensorEvidence::add(std::span<const std::byte> values) {
  const std::string_view text(reinterpret_cast<const char*>(values.data()), values.size());
  if (inputs_++ == 0) {
    first_ = text;
  } else {
    changes_ |= first_ != text;
  }
  values_ += values.size() / bytes_per_value_;
  if (bytes_per_value_ == 1) {  // most tensors; a table is faster than a map
    std::array<std::uint64_t, 256> counts{};
    for (const std::byte value : values) ++counts.at(static_cast<std::size_t>(value));
    for (std::size_t value = 0; value < counts.size(); ++value) {
      if (counts.at(value) > 0) counts_[value] += counts.at(value);
    }
    return;
  }
  for (std::size_t i = 0; i + bytes_per_value_ <= values.size(); i += bytes_per_value_) {
    std::uint64_t value = 0;
    std::memcpy(&value, values.data() + i, std::min<std::size_t>(bytes_per_value_, sizeof value));
    const auto found = counts_.find(value);
    if (found != counts_.end()) {
      ++found->second;
    } else if (counts_.size() < kMostDistinct) {
      counts_.emplace(value, 1);
    }
  }
}

std::optional<std::string> TensorEvidence::weakness() const {
  constexpr double kNearlyAll = 0.99;
  if (values_ <= 1) return std::nullopt;
  if (counts_.size() == 1) return fmt::format("all its {} values are the same", values_);
  if (inputs_ > 1 && !changes_) return fmt::format("it is the same for all {} inputs", inputs_);
  const auto most = std::ranges::max_element(
      counts_, {}, [](const auto& value_and_count) { return value_and_count.second; });
  const double share = static_cast<double>(most->second) / static_cast<double>(values_);
  if (share < kNearlyAll) return std::nullopt;
  return fmt::format("{:.1f} % of its {} values are the same", share * 100, values_);
}

}  // namespace segue
