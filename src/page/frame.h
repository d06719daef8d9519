// A page from its frame.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace segue {

// The frame with each @NAME@ replaced; what is put in is not looked at again.
[[nodiscard]] std::string with_assets(std::string_view frame,
                                      const std::map<std::string_view, std::string_view>& assets);

}  // namespace segue
