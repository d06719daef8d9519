// How to call Google's compiler: shared by the commands that call it.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "segue/toolchain.h"

namespace segue::cli {

// An empty text or an empty optional means that the option was not given.
struct CompilerOptions {
  std::string command;
  std::optional<double> timeout_s;
  std::optional<std::uint32_t> attempts;
  std::optional<std::uint32_t> min_runtime_version;
  bool search_delegate = false;
  std::optional<std::uint32_t> delegate_search_step;
};

// Adds --compiler-cmd alone, for commands that use the compiler only if it is given.
void add_compiler_command(CLI::App& command, CompilerOptions& options, const std::string& help);
// Adds all options of the compiler.
void add_compiler_options(CLI::App& command, CompilerOptions& options);

// Takes the command from the option, from SEGUE_EDGETPU_COMPILER, or else "edgetpu_compiler".
// Throws Error(kInvalidArgument) if the command consists of blanks.
[[nodiscard]] EdgeTpuCompilerOptions edgetpu_compiler_options(const CompilerOptions& options);

// Whether the program of the command exists.
[[nodiscard]] bool is_installed(const EdgeTpuCompilerOptions& options);

}  // namespace segue::cli
