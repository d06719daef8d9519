#include "cli/libraries.h"

#include <cstdlib>
#include <optional>

namespace segue::cli {
namespace {

namespace fs = std::filesystem;

// Returns the path that the user gave by option or by variable.
std::optional<fs::path> named(const std::string& option, const char* variable) {
  std::error_code absent;
  // The system's search for a name without a folder does not include the current one.
  if (!option.empty() && fs::exists(option, absent)) return fs::absolute(option);
  if (!option.empty()) return option;
  const char* value = std::getenv(variable);
  if (value != nullptr && *value != '\0') return value;
  return std::nullopt;
}

}  // namespace

void add_libraries(CLI::App& command, std::string& runtime, std::string& edgetpu_library) {
  command.add_option("--runtime", runtime, "Path of libtensorflowlite_c.so (or SEGUE_TFLITE_LIB)");
  command.add_option("--edgetpu-library", edgetpu_library,
                     "Path of libedgetpu.so.1 (or SEGUE_EDGETPU_LIB)");
}

std::vector<fs::path> runtime_candidates(const std::string& option) {
  constexpr const char* kRuntime = "libtensorflowlite_c.so";
  if (const auto path = named(option, "SEGUE_TFLITE_LIB")) return {*path};
  std::vector<fs::path> candidates;
  std::error_code reason;
  const fs::path program = fs::read_symlink("/proc/self/exe", reason);
  if (!reason) {
    candidates.push_back(program.parent_path() / kRuntime);
    candidates.push_back(program.parent_path().parent_path() / "lib" / kRuntime);
    candidates.push_back(
        (program.parent_path() / SEGUE_RUNTIME_FOLDER / kRuntime).lexically_normal());
  }
  candidates.emplace_back(kRuntime);
  return candidates;
}

std::vector<fs::path> edgetpu_candidates(const std::string& option) {
  if (const auto path = named(option, "SEGUE_EDGETPU_LIB")) return {*path};
  return {"libedgetpu.so.1"};
}

}  // namespace segue::cli
