// Properties of options that the man page and the shell completions share.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace segue::cli {

// Returns the kind of value, for example "PATH" or "UINT", or the choices as "{a,b,c}".
[[nodiscard]] std::string value_of(const CLI::Option& option);

}  // namespace segue::cli
