// Runs the command-line tool as a user would.
#pragma once

#include <gmock/gmock.h>

#include <filesystem>
#include <string>
#include <vector>

namespace segue::testing {

struct CommandResult {
  int status = -1;  // exit status; 128 + signal when it was killed
  std::string out;
  std::string err;
};

/// Exit statuses, as `segue --help` lists them.
inline constexpr int kFile = 1;
inline constexpr int kUsage = 2;
inline constexpr int kModel = 3;
inline constexpr int kInfeasible = 4;
inline constexpr int kCompiler = 5;
inline constexpr int kDevice = 6;
inline constexpr int kMismatch = 7;

/// Expects this status, no standard output, and an error message that contains `message`.
void expect_failure(const CommandResult& result, int status, const std::string& message);

/// Runs `segue` with these arguments in `folder`, in a shell that ran `prelude` before.
[[nodiscard]] CommandResult run_segue(const std::vector<std::string>& arguments,
                                      const std::filesystem::path& folder = ".",
                                      const std::string& prelude = "true");

/// Returns the words of a text with one space between them.
[[nodiscard]] std::string words_of(const std::string& text);

/// Matches a text that contains these words next to each other, in one line or in several.
MATCHER_P(HasWords, words, "has the words \"" + words_of(words) + "\"") {
  return words_of(arg).find(words_of(words)) != std::string::npos;
}

/// Writes lane.json, the file of a device whose link has `speed` MB/s.
void write_lane(const std::filesystem::path& folder, int speed);

}  // namespace segue::testing
