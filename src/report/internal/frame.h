// The frame of a page, and placeholders in texts.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace segue {

// Replaces each @NAME@ in the text. Placeholders in the inserted texts are not replaced.
[[nodiscard]] std::string filled(std::string_view text,
                                 const std::map<std::string_view, std::string_view>& places);

// Returns a page that loads nothing from a network and runs no script except its own.
[[nodiscard]] std::string framed_page(std::string_view title, std::string_view style,
                                      std::string_view body, std::string_view script);

}  // namespace segue
