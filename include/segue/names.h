/// Suggestions for misspelled names.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace [[gnu::visibility("default")]] segue {

/// Returns "; did you mean 'a', 'b'?" with up to three of `known` that are closest to `name` in
/// edit distance, or an empty string when none is close. O(known * length^2).
[[nodiscard]] std::string did_you_mean(std::string_view name, std::span<const std::string> known);

}  // namespace segue
