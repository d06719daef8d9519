// Explains failures of edgetpu_compiler. There is one row per kind, with the words and signals by
// which it is recognised, a remedy, and whether to try again. Words and remedies come from public
// reports (numbers are issues of google-coral/edgetpu).
#include "toolchain/edgetpu_compiler/failures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <csignal>
#include <cstring>
#include <optional>

#include "segue/units.h"

namespace segue {
namespace {

using Kind = CompilerFailure::Kind;

struct KnownFailure {
  Kind kind;
  std::array<std::string_view, 7> words;  // in lower case, as whole words in one line
  std::array<int, 8> signals;             // that ended the compiler, or a program that runs it
  bool may_pass_again;
  bool may_have_culprit;
  const char* explanation;
};

// The first matching row counts. Rows for specific reasons are before rows for messages that only
// report the failure.
constexpr std::array kKnown{
    KnownFailure{
        Kind::kDynamicTensors,
        {"dynamic-sized tensors"},
        {},
        false,
        true,
        "a shape is only known at run time (a batch of -1, a NonMaxSuppression); convert the model "
        "again with fixed input shapes, and remove operators that compute shapes"},
    KnownFailure{Kind::kLargeActivations,
                 {"large activation tensors"},
                 {},
                 false,
                 true,
                 "a tensor between two operators does not fit in the memory of the device; use a "
                 "smaller input image, or leave the first operators to the host"},
    KnownFailure{Kind::kInterpreter,
                 {"failed in tflite interpreter", "unresolved custom op"},
                 {},
                 false,
                 true,
                 "TensorFlow Lite itself rejects this file: the lines above name the operator; "
                 "`segue verify` shows whether the whole model runs"},
    KnownFailure{Kind::kNotQuantized,
                 {"model not quantized"},
                 {},
                 false,
                 false,
                 "the compiler requires int8 or uint8 tensors; convert the model with full integer "
                 "quantization"},
    KnownFailure{Kind::kUnsupportedVersion,
                 {"op builtin_code out of range", "didn't find op for builtin opcode"},
                 {},
                 false,
                 true,
                 "an operator, or its version, is newer than this compiler; convert the model with "
                 "an older TensorFlow (compiler 16 supports operators up to TensorFlow 2.5)"},
    KnownFailure{Kind::kUnknownOption,
                 {"unknown command line flag"},
                 {},
                 false,
                 false,
                 "this compiler version does not support the requested options; use version 16"},
    // This row is before internal errors, which the compiler prints after this message (#400).
    KnownFailure{
        Kind::kFileAccess,
        {"error opening file for writing", "could not open '", "no space left on device",
         "read-only file system", "disk quota exceeded"},
        {SIGXFSZ},
        false,
        false,
        "the compiler could not read or write its folder; free some disk space, and give the "
        "command (docker, ssh, another user) write access to that folder under the same path"},
    KnownFailure{Kind::kTimeout,
                 {"compilation timeout", "compilation timed out", "not complete within timeout"},
                 {SIGXCPU},
                 false,
                 true,
                 "the search for a mapping timed out, usually because activations are large "
                 "(edgetpu issue #686); allow more time with --timeout, use a smaller input image, "
                 "or split the model into more segments"},
    KnownFailure{Kind::kInvalidModel,
                 {"invalid model", "model could not be parsed"},
                 {},
                 false,
                 true,
                 "the compiler cannot read this file; `segue inspect` shows its content"},
    KnownFailure{Kind::kKilled,
                 {"std::bad_alloc", "out of memory", "cannot allocate memory", "killed"},
                 {SIGKILL, SIGTERM, SIGINT, SIGHUP},
                 false,
                 false,
                 "the compiler ran out of memory, or another program stopped it; compile one "
                 "segment at a time with --jobs 1, or give the machine (or container) more memory"},
    // For one model that failed with an exception, another attempt succeeded (#173). For others it
    // did not (#728).
    KnownFailure{Kind::kException,
                 {"uncaught exception", "libc++abi", "terminate called", "std::out_of_range",
                  "std::length_error"},
                 {},
                 true,
                 true,
                 "the compiler aborted with a C++ exception, which is a bug of the compiler; try "
                 "other cuts, or --search-delegate, which leaves the failing operators to the host "
                 "(edgetpu issue #728)"},
    KnownFailure{Kind::kInternal,
                 {"internal compiler error", "internal error"},
                 {},
                 true,
                 true,
                 "the compiler reports no reason; it may succeed on a retry (edgetpu issues #173, "
                 "#211), with other cuts, or with --search-delegate, which leaves the failing "
                 "operators to the host"},
    KnownFailure{Kind::kCrash,
                 {"segmentation fault", "core dumped", "bus error", "illegal instruction",
                  "floating point exception", "uncaught target signal", "aborted"},
                 {SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS},
                 true,
                 true,
                 "the compiler crashed; one known cause is a fully connected layer after a "
                 "flattened feature map (edgetpu issue #669): try other cuts"},
    // The output contains nothing but progress.
    KnownFailure{Kind::kSilent,
                 {},
                 {},
                 true,
                 true,
                 "the compiler stopped without a reason (edgetpu issues #411, #800); try other "
                 "cuts, or --search-delegate, which leaves the failing operators to the host"},
    KnownFailure{Kind::kNothingMapped,
                 {},
                 {},
                 false,
                 false,
                 "the whole file would run on the host CPU; convert the model with full integer "
                 "quantization, and do not set --min-runtime-version lower than needed; `segue "
                 "inspect` shows the reason for each operator"},
};

// Lines that the compiler prints in any case. Some contain names of tensors.
constexpr std::array<std::string_view, 8> kProgress{"edge tpu compiler version",
                                                    "started a compilation timeout timer",
                                                    "compilation child process completed",
                                                    "compilation failed!",
                                                    "searching for valid delegate",
                                                    "try to compile segment",
                                                    "intermediate tensors:",
                                                    "error: restored original execution plan"};

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

struct Output {
  std::vector<std::string_view> lines;  // all but progress, trimmed
  std::string_view progress;            // the last progress line; empty: there is none
};

Output read_output(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  constexpr std::size_t kLongestProgress = 50;
  Output result;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
    line = line.substr(0, line.find_last_not_of(kBlank) + 1);
    if (line.empty()) continue;
    const std::string start = lower(line.substr(0, kLongestProgress));
    if (std::ranges::any_of(kProgress, [&](auto progress) { return start.starts_with(progress); }))
      result.progress = line;
    else
      result.lines.push_back(line);
  }
  return result;
}

// Whether the line contains the words, and not as a part of longer words or of file names.
bool holds_words(std::string_view line, std::string_view words) {
  const auto is_joined = [&](std::size_t position, std::string_view joints) {
    return position < line.size() &&
           (std::isalnum(static_cast<unsigned char>(line[position])) != 0 ||
            joints.find(line[position]) != std::string_view::npos);
  };
  for (auto at = line.find(words); at != std::string_view::npos; at = line.find(words, at + 1)) {
    if ((at == 0 || !is_joined(at - 1, "/_-")) && !is_joined(at + words.size(), "_-")) return true;
  }
  return false;
}

std::optional<int> number_behind(std::string_view text, std::string_view start) {
  if (!text.starts_with(start)) return std::nullopt;
  int number = 0;
  const char* first = text.data() + start.size();
  const auto [end, error] = std::from_chars(first, text.data() + text.size(), number);
  return error == std::errc{} ? std::optional(number) : std::nullopt;
}

// Returns the signal that ended the compiler. Shells, docker and qemu return 128 plus its number as
// the exit status, and Python returns 256 minus its number.
int signal_of(std::string_view end) {
  constexpr int kShell = 128;
  constexpr int kPython = 256;
  constexpr int kLastSignal = 64;
  if (const auto signal = number_behind(end, "signal ")) return *signal;
  const int status = number_behind(end, "exit status ").value_or(0);
  if (status > kShell && status <= kShell + kLastSignal) return status - kShell;
  for (const int signal : {SIGSEGV, SIGABRT, SIGKILL}) {
    if (status == kPython - signal) return signal;
  }
  return 0;
}

std::string how_it_ended(const std::string& end) {
  const int signal = signal_of(end);
  if (signal == 0 || end.starts_with("signal ")) return end;
  return fmt::format("{}, which means signal {} ({})", end, signal, ::strsignal(signal));
}

std::string message_of(std::string_view line) {
  constexpr std::size_t kLongest = 500;
  return std::string(line.substr(0, kLongest));
}

CompilerFailure failure_of(const KnownFailure& known, std::string message) {
  return {known.kind, std::move(message), known.explanation, known.may_pass_again,
          known.may_have_culprit};
}

const KnownFailure& row_of(Kind kind) {
  return *std::ranges::find(kKnown, kind, &KnownFailure::kind);
}

std::optional<CompilerFailure> known_failure(const std::vector<std::string_view>& lines,
                                             const std::string& end) {
  std::vector<std::string> in_lower_case;
  for (const std::string_view line : lines) in_lower_case.push_back(lower(line));
  const int signal = signal_of(end);
  for (const KnownFailure& known : kKnown) {
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const bool matches = std::ranges::any_of(known.words, [&](std::string_view words) {
        return !words.empty() && holds_words(in_lower_case[i], words);
      });
      if (matches) return failure_of(known, message_of(lines[i]));
    }
    if (signal != 0 && std::ranges::find(known.signals, signal) != known.signals.end())
      return failure_of(known, how_it_ended(end));
  }
  return std::nullopt;
}

}  // namespace

std::string CompilerFailure::sentence() const {
  return fmt::format("{}; {}", message, explanation);
}

CompilerFailure nothing_mapped(const CompilerLog& log) {
  const auto most = std::ranges::max_element(log.operations, {}, &CompiledOperation::count);
  return failure_of(
      row_of(Kind::kNothingMapped),
      fmt::format("0 of {} on the Edge TPU{}", format_count(log.operation_count, "operation"),
                  most == log.operations.end()
                      ? ""
                      : fmt::format(" ({} {}: {})", most->count, most->name, most->status)));
}

CompilerFailure explain_compiler_failure(std::string_view output, const std::string& end,
                                         bool timed_out) {
  // timeout(1) returns this status if the command runs the compiler with it.
  if (timed_out || end == "exit status 124") return failure_of(row_of(Kind::kTimeout), end);
  const Output said = read_output(output);
  if (auto known = known_failure(said.lines, end)) return *known;
  const bool has_begun = !said.progress.empty();
  if (has_begun && said.lines.empty()) {
    return failure_of(row_of(Kind::kSilent),
                      fmt::format("no reason reported, {}, after '{:.80}'", end, said.progress));
  }
  CompilerFailure failure;
  failure.message = said.lines.empty() ? end : message_of(said.lines.back());
  failure.may_have_culprit = has_begun;
  failure.explanation =
      has_begun ? fmt::format("{}; the log has the full output", end)
                : fmt::format(
                      "{}, without any output of edgetpu_compiler; check that the command is "
                      "correct and can run here (edgetpu_compiler is a program for x86-64 Linux)",
                      end);
  return failure;
}

}  // namespace segue
