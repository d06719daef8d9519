#include "command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "environment.h"
#include "segue/file.h"

namespace segue::testing {
namespace {

std::string quoted(const std::string& argument) {
  std::string result = "'";
  for (const char c : argument) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

std::string text_of(const std::filesystem::path& path) {
  const auto bytes = read_bytes(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

void expect_failure(const CommandResult& result, int status, const std::string& message) {
  EXPECT_EQ(result.status, status) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, ::testing::HasSubstr(message));
}

std::string words_of(const std::string& text) {
  std::istringstream words(text);
  std::string result;
  for (std::string word; words >> word;) result += (result.empty() ? "" : " ") + word;
  return result;
}

void write_lane(const std::filesystem::path& folder, int speed) {
  write_file(folder / "lane.json",
             R"({"schema": "segue.device/1", "name": "lane", "base": "edgetpu-pcie",
                 "constants": {"link": {"value": )" +
                 std::to_string(speed) + R"(, "unit": "MB/s"}}})");
}

CommandResult run_segue(const std::vector<std::string>& arguments,
                        const std::filesystem::path& folder, const std::string& prelude) {
  const ScratchFolder scratch;
  std::string command = "cd " + quoted(folder.string()) + " && unset COLUMNS && " + prelude +
                        " && SEGUE_TFLITE_LIB=" + quoted(SEGUE_TEST_RUNTIME) + " " +
                        quoted(SEGUE_TEST_CLI);
  for (const std::string& argument : arguments) command += " " + quoted(argument);
  command += " >" + quoted((scratch.path() / "out").string());
  command += " 2>" + quoted((scratch.path() / "err").string());
  const int status = std::system(command.c_str());
  CommandResult result;
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = text_of(scratch.path() / "out");
  result.err = text_of(scratch.path() / "err");
  return result;
}

}  // namespace segue::testing
