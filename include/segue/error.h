/// The exception that every function of Segue throws.
///
/// An `Error` has a code, which programs test, and a message, which people read. The message is one
/// sentence. It names what failed (file, operator or key), the numbers involved, and what to do.
/// Expected outcomes are return values and not errors: a segment that streams parameters, a failed
/// compilation, a difference that verification finds.
///
/// Example:
///
///     try {
///       const segue::Model model = segue::read_model("model.tflite");
///     } catch (const segue::Error& error) {
///       std::fprintf(stderr, "%s\n", error.what());
///       if (error.code() == segue::ErrorCode::kUnsupported) std::exit(3);
///     }
///
/// The command-line tool maps codes to exit statuses (docs/commands.md).
///
/// Thread-safety: an `Error` is a value; `code` and `to_string` may be called from any thread.
#pragma once

#include <array>
#include <stdexcept>
#include <string>
#include <string_view>

namespace [[gnu::visibility("default")]] segue {

/// The category of a failure. It tells a caller where to look for the cause.
enum class ErrorCode {
  kInvalidArgument,  // an argument or an option is meaningless or out of range: change the call
  kInvalidModel,     // the model file is truncated, corrupt or inconsistent
  kUnsupported,      // the file is valid but has a feature that Segue cannot handle or preserve
  kInfeasible,       // no plan satisfies the given constraints
  kIo,               // a file cannot be read or written
  kCompiler,         // the Edge TPU compiler is missing or failed
  kDevice,           // a runtime or a device is missing or failed
  kMismatch,         // verification found a difference
  kInternal,         // a bug in Segue
  kStopped,          // the caller requested that the call stops (stop.h)
};

/// Returns the name of a code in the order above: "invalid_argument", "invalid_model",
/// "unsupported", "infeasible", "io", "compiler", "device", "mismatch", "internal" or "stopped".
[[nodiscard]] constexpr std::string_view to_string(ErrorCode code) {
  constexpr std::array<std::string_view, 10> kNames{
      "invalid_argument", "invalid_model", "unsupported", "infeasible", "io",
      "compiler",         "device",        "mismatch",    "internal",   "stopped"};
  return kNames.at(static_cast<std::size_t>(code));
}

/// An exception with a code. `what()` returns the message.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace segue
