// How to call Google's compiler: shared by the commands that do.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "segue/toolchain.h"

namespace segue::cli {

// Empty and none: not given.
struct CompilerOptions {
  std::string command;
  std::optional<double> timeout_s;
  std::optional<std::uint32_t> attempts;
  std::optional<std::uint32_t> min_runtime_version;
  bool search_delegate = false;
  std::optional<std::uint32_t> delegate_search_step;
};

// --compiler-cmd alone, where that turns the use of the compiler on.
void add_compiler_command(CLI::App& command, CompilerOptions& options, const std::string& help);
// All of them.
void add_compiler_options(CLI::App& command, CompilerOptions& options);

// The option, SEGUE_EDGETPU_COMPILER, or "edgetpu_compiler". Throws Error(kInvalidArgument) for a
// command of blanks.
[[nodiscard]] EdgeTpuCompilerOptions edgetpu_compiler_options(const CompilerOptions& options);

}  // namespace segue::cli
