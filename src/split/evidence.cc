#include "split/evidence.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace segue {
namespace {

constexpr double kNearlyAll = 0.99;

}  // namespace

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

double TensorEvidence::share(std::uint64_t count) const {
  return static_cast<double>(count) / static_cast<double>(values_);
}

std::uint64_t TensorEvidence::count_of(std::uint64_t value) const {
  const auto found = counts_.find(value);
  return found == counts_.end() ? 0 : found->second;
}

// Values outside the range are clamped to its ends, which hides differences between them.
std::optional<std::string> TensorEvidence::weakness_of_8_bits() const {
  constexpr std::uint64_t kFewDistinct = 3;
  const bool is_signed = type_ == ElementType::kInt8;
  if (!is_signed && type_ != ElementType::kUint8) return std::nullopt;
  const double ends = share(count_of(is_signed ? 0x80 : 0) + count_of(is_signed ? 0x7F : 0xFF));
  if (ends >= kNearlyAll) {
    return fmt::format("{:.1f} % of its {} values are {}, the limits of the range of {}",
                       ends * 100, values_, is_signed ? "-128 or 127" : "0 or 255",
                       to_string(type_));
  }
  if (distinct() <= kFewDistinct)
    return fmt::format("its {} values have only {} distinct ones", values_, distinct());
  return std::nullopt;
}

std::optional<std::string> TensorEvidence::weakness() const {
  if (values_ == 0) return std::nullopt;
  if (values_ == 1) return "it is a single value, compared once";
  if (counts_.size() == 1) return fmt::format("all its {} values are the same", values_);
  if (follows_ == Follows::kInputs && inputs_ > 1 && !changes_)
    return fmt::format("it is the same for all {} inputs", inputs_);
  const auto most = std::ranges::max_element(
      counts_, {}, [](const auto& value_and_count) { return value_and_count.second; });
  if (share(most->second) < kNearlyAll) return weakness_of_8_bits();
  return fmt::format("{:.1f} % of its {} values are the same", share(most->second) * 100, values_);
}

}  // namespace segue
