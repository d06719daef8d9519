/// The one exception type of Segue.
///
/// Every failure that a caller can meet is an `Error` with a code and one sentence: what failed,
/// which file, operator or key, the numbers, and what to do. Outcomes that are answers (a segment
/// that streams, a plan that does not fit) are values, not errors. The mapping of codes to exit
/// statuses belongs to the command-line tool.
#pragma once

#include <array>
#include <stdexcept>
#include <string>
#include <string_view>

namespace [[gnu::visibility("default")]] segue {

enum class ErrorCode {
  kInvalidArgument,  // a call or an option that cannot mean anything: fix the call
  kInvalidModel,     // the model file is truncated, corrupt or contradicts itself
  kUnsupported,      // the file is valid, but holds something Segue would have to drop
  kInfeasible,       // no plan exists under the stated constraints
  kIo,               // a file cannot be read or written
  kCompiler,         // the Edge TPU compiler is missing or failed
  kDevice,           // a runtime or a device is missing or failed
  kMismatch,         // verification found a difference
  kInternal,         // a bug in Segue
};

/// "invalid_argument", "invalid_model", "unsupported", "infeasible", "io", "compiler", "device",
/// "mismatch", "internal".
[[nodiscard]] constexpr std::string_view to_string(ErrorCode code) {
  constexpr std::array<std::string_view, 9> kNames{
      "invalid_argument", "invalid_model", "unsupported", "infeasible", "io",
      "compiler",         "device",        "mismatch",    "internal"};
  return kNames.at(static_cast<std::size_t>(code));
}

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace segue
