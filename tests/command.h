// Runs the command-line tool as a user would.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace segue::testing {

struct CommandResult {
  int status = -1;  // exit status; 128 + signal when it was killed
  std::string out;
  std::string err;
};

/// Runs `segue` with these arguments in `folder`, in a shell that ran `prelude` before.
[[nodiscard]] CommandResult run_segue(const std::vector<std::string>& arguments,
                                      const std::filesystem::path& folder = ".",
                                      const std::string& prelude = "true");

}  // namespace segue::testing
