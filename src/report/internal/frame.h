// Pages: their frame, and places in texts that are filled.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace segue {

// The text with each @NAME@ replaced; what is put in is not looked at again.
[[nodiscard]] std::string filled(std::string_view text,
                                 const std::map<std::string_view, std::string_view>& places);

// A page that opens without a network and runs nothing but its own script.
[[nodiscard]] std::string framed_page(std::string_view title, std::string_view style,
                                      std::string_view body, std::string_view script);

}  // namespace segue
