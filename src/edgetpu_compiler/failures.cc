// What the failures of edgetpu_compiler mean. The texts are those that users report; what helps is
// what helped them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "segue/edgetpu_compiler.h"

namespace segue {
namespace {

using Kind = CompilerFailure::Kind;

struct KnownFailure {
  Kind kind;
  std::string_view text;  // in lower case, as part of a line
  bool may_pass_again;
  const char* explanation;
};

constexpr const char* kTookTooLong =
    "the search for a mapping did not end in time; give more with --timeout, or cut the model into "
    "more segments";

// The first that matches counts: what names a reason stands before what only says that it failed.
constexpr std::array kKnown{
    KnownFailure{Kind::kDynamicTensors, "dynamic-sized tensors", false,
                 "some shape is only known at run time (a batch of -1, a NonMaxSuppression); "
                 "convert the model again with fixed input shapes and cut off what decides shapes"},
    KnownFailure{Kind::kLargeActivations, "large activation tensors", false,
                 "a tensor between two operators does not fit the device's memory; use a smaller "
                 "input image, or leave the first operators to the host"},
    KnownFailure{Kind::kInterpreter, "failed in tflite interpreter", false,
                 "TensorFlow Lite itself refuses this file: the lines before say which operator; "
                 "`segue verify` shows whether the whole model runs"},
    KnownFailure{Kind::kNotQuantized, "model not quantized", false,
                 "the compiler wants int8 or uint8 tensors; convert the model with full integer "
                 "quantization"},
    KnownFailure{Kind::kUnsupportedVersion, "op builtin_code out of range", false,
                 "the model was converted by a newer TensorFlow than this compiler knows; convert "
                 "it with an older one"},
    KnownFailure{Kind::kUnsupportedVersion, "didn't find op for builtin opcode", false,
                 "an operator has a newer version than this compiler knows; convert the model with "
                 "an older TensorFlow"},
    KnownFailure{Kind::kUnknownOption, "unknown command line flag", false,
                 "this compiler is older than the options asked for; use version 16"},
    KnownFailure{Kind::kTimeout, "compilation timed out", false, kTookTooLong},
    KnownFailure{Kind::kTimeout, "did not complete within timeout", false, kTookTooLong},
    KnownFailure{Kind::kInvalidModel, "invalid model", false,
                 "the compiler cannot read this file; `segue inspect` shows what is in it"},
    KnownFailure{
        Kind::kInternal, "internal compiler error", true,
        "the compiler gives no reason; it has been seen to pass on another try, with other "
        "cuts, or with --search-delegate, which leaves the operators at fault to the host"},
};

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

// The line of `text` that holds the position.
std::string line_at(std::string_view text, std::size_t position) {
  const auto before = text.rfind('\n', position);
  const auto begin = before == std::string_view::npos ? 0 : before + 1;
  const auto end = std::min(text.find('\n', position), text.size());
  std::string line(text.substr(begin, end - begin));
  while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back())) != 0)
    line.pop_back();
  constexpr std::size_t kLongest = 500;
  if (line.size() > kLongest) line.resize(kLongest);
  return line;
}

// The last line that says something, but for the version, which stands before all.
std::string last_line(std::string_view text) {
  while (!text.empty()) {
    const auto end = text.find_last_not_of(" \t\r\n");
    if (end == std::string_view::npos) break;
    std::string line = line_at(text, end);
    if (!line.starts_with("Edge TPU Compiler version") &&
        !line.starts_with("Started a compilation"))
      return line;
    text = text.substr(0, end + 1 - std::min(line.size(), end + 1));
  }
  return {};
}

}  // namespace

std::string CompilerFailure::sentence() const {
  return fmt::format("{}; {}", message, explanation);
}

CompilerFailure explain_compiler_failure(std::string_view output, const std::string& end,
                                         bool timed_out) {
  if (timed_out) {
    return {Kind::kTimeout, end,
            "the compiler was stopped; give it more time with --timeout, or cut the model into "
            "more segments",
            false};
  }
  const std::string text = lower(output);
  for (const KnownFailure& known : kKnown) {
    const auto position = text.find(known.text);
    if (position == std::string::npos) continue;
    return {known.kind, line_at(output, position), known.explanation, known.may_pass_again};
  }
  if (end.starts_with("signal ")) {
    return {Kind::kCrash, end,
            "the compiler crashed; it has been seen to with fully connected layers behind a "
            "flattened map (edgetpu issue #669): try other cuts",
            true};
  }
  const std::string last = last_line(output);
  if (text.find("edge tpu compiler version") == std::string::npos) {
    return {
        Kind::kOther, last.empty() ? end : last,
        fmt::format("{}, and nothing of what edgetpu_compiler prints; is the command right?", end),
        false};
  }
  if (last.empty()) {
    return {Kind::kSilent, fmt::format("no reason, {}", end),
            "the compiler ended without a word (edgetpu issue #411); try other cuts", true};
  }
  return {Kind::kOther, last, fmt::format("{}; its whole output is in the log", end), false};
}

}  // namespace segue
