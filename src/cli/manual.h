// What the parser knows of options, for the man page and for shells.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace segue::cli {

// "PATH", "UINT", or of choices "{a,b,c}".
[[nodiscard]] std::string value_of(const CLI::Option& option);

}  // namespace segue::cli
