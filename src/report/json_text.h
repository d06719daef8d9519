// JSON as commands print it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace segue {

// Names in a model may hold any bytes; broken UTF-8 is replaced.
[[nodiscard]] inline std::string json_text(const nlohmann::ordered_json& document) {
  return document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace segue
