// What the parser knows of commands and options, for the man page and for shells.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace segue::cli {

// All commands with their own inner ones, in the order of `--help`.
[[nodiscard]] std::vector<const CLI::App*> described_commands(const CLI::App& app);

// "PATH", "UINT", or of choices "{a,b,c}".
[[nodiscard]] std::string value_of(const CLI::Option& option);

}  // namespace segue::cli
