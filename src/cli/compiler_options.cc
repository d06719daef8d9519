#include "cli/compiler_options.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "segue/error.h"

namespace segue::cli {

void add_compiler_command(CLI::App& command, CompilerOptions& options, const std::string& help) {
  command.add_option("--compiler-cmd", options.command, help)->check([](const std::string& text) {
    return text.find_first_not_of(' ') == std::string::npos ? "names no program" : "";
  });
}

void add_compiler_options(CLI::App& command, CompilerOptions& options) {
  add_compiler_command(
      command, options,
      "Command that runs edgetpu_compiler (or SEGUE_EDGETPU_COMPILER), with arguments; for example "
      "'ssh box edgetpu_compiler' if box has the same folders; --num_segments is not allowed: it "
      "crashes on models of current converters");
  command
      .add_option("--timeout", options.timeout_s,
                  "Time limit for one attempt in seconds (default 180)")
      ->check(CLI::Range(0.1, 86400.0));
  command
      .add_option("--attempts", options.attempts,
                  "Attempts for transient compiler failures (default 3)")
      ->check(CLI::Range(1, 100));
  command
      .add_option(
          "--min-runtime-version", options.min_runtime_version,
          "Oldest Edge TPU runtime version that must run the result (default: the compiler's)")
      ->check(CLI::Range(10, 100));
  auto* search = command.add_flag("--search-delegate", options.search_delegate,
                                  "If a segment fails, leave its last operators to the host");
  command
      .add_option("--delegate-search-step", options.delegate_search_step,
                  "Operators to leave to the host per search step (default 1)")
      ->check(CLI::Range(1, 10000))
      ->needs(search);
}

bool is_installed(const EdgeTpuCompilerOptions& options) {
  const std::string& program = options.command.front();
  if (program.find('/') != std::string::npos) return ::access(program.c_str(), X_OK) == 0;
  const char* const path = std::getenv("PATH");
  const std::vector<std::string> folders = CLI::detail::split(path == nullptr ? "" : path, ':');
  return std::ranges::any_of(folders, [&](const std::string& folder) {
    return ::access((folder + "/" + program).c_str(), X_OK) == 0;
  });
}

EdgeTpuCompilerOptions edgetpu_compiler_options(const CompilerOptions& options) {
  EdgeTpuCompilerOptions result;
  const char* variable = std::getenv("SEGUE_EDGETPU_COMPILER");
  std::string command = options.command;
  if (command.empty() && variable != nullptr) command = variable;
  if (!command.empty()) result.command = CLI::detail::split_up(command);
  if (result.command.empty())
    throw Error(ErrorCode::kInvalidArgument, "SEGUE_EDGETPU_COMPILER names no program");
  if (options.timeout_s)
    result.timeout = Nanoseconds(static_cast<std::int64_t>(*options.timeout_s * 1e9));
  if (options.attempts) result.attempts = *options.attempts;
  result.min_runtime_version = options.min_runtime_version;
  if (options.search_delegate)
    result.delegate_search_step = options.delegate_search_step.value_or(1);
  return result;
}

}  // namespace segue::cli
