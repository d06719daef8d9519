#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "segue/units.h"

namespace segue {
namespace {

// Levenshtein distance, with one row of the table in memory.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substitution = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substitution, row[j] + 1, diagonal + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string did_you_mean(std::string_view name, std::span<const std::string> known) {
  constexpr std::size_t kSuggestions = 3;
  constexpr std::size_t kLongestName = 256;  // bounds the work for crafted models
  if (name.size() > kLongestName) return "";
  const std::size_t farthest = std::max<std::size_t>(2, name.size() / 3);
  std::vector<std::pair<std::size_t, std::string_view>> close;
  for (const std::string& candidate : known) {
    if (candidate.size() > name.size() + farthest || name.size() > candidate.size() + farthest)
      continue;
    const std::size_t distance = edit_distance(name, candidate);
    if (distance <= farthest) close.emplace_back(distance, candidate);
  }
  std::ranges::stable_sort(close, {}, [](const auto& entry) { return entry.first; });
  std::string text;
  for (std::size_t i = 0; i < std::min(close.size(), kSuggestions); ++i) {
    text += (i == 0 ? "; did you mean '" : ", '") + std::string(close[i].second) + "'";
  }
  return text.empty() ? text : text + "?";
}

}  // namespace segue
