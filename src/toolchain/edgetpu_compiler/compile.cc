#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/internal/file/temporary_folder.h"
#include "base/internal/process/process.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/toolchain.h"
#include "toolchain/edgetpu_compiler/failures.h"
#include "toolchain/edgetpu_compiler/host_operators.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestStem = 100;

// Returns a file name that the compiler accepts. It reads ':' and words that begin with '-' as
// options (edgetpu issue #778).
std::string plain_stem(const std::string& name) {
  std::string stem = name.substr(0, kLongestStem);
  std::ranges::replace_if(
      stem, [](unsigned char c) { return std::isalnum(c) == 0 && c != '.' && c != '-'; }, '_');
  return stem.empty() || !(std::isalnum(static_cast<unsigned char>(stem[0])) != 0) ? "m" + stem
                                                                                   : stem;
}

std::vector<std::string> command_line(const EdgeTpuCompilerOptions& options, const fs::path& folder,
                                      const fs::path& model) {
  std::vector<std::string> command = options.command;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(options.timeout).count();
  for (const char* option : {"--show_operations", "--out_dir"}) command.emplace_back(option);
  command.push_back(folder.string());
  command.emplace_back("--timeout_sec");
  command.push_back(std::to_string(seconds));
  if (options.min_runtime_version) {
    command.emplace_back("--min_runtime_version");
    command.push_back(std::to_string(*options.min_runtime_version));
  }
  if (options.delegate_search_step) {
    for (const char* option : {"--search_delegate", "--delegate_search_step"})
      command.emplace_back(option);
    command.push_back(std::to_string(*options.delegate_search_step));
  }
  command.push_back(model.string());
  return command;
}

// Throws if the command is ssh and the path has special characters. ssh passes its arguments to a
// shell, which would split the path or execute parts of it.
void check_remote(const EdgeTpuCompilerOptions& options, const fs::path& folder) {
  const auto is_plain = [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("/._-+,=@%").find(static_cast<char>(c)) != std::string_view::npos;
  };
  if (fs::path(options.command[0]).filename() != "ssh") return;
  if (std::ranges::all_of(folder.string(), is_plain)) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{}: this path cannot be passed to a compiler over ssh; use a folder "
                          "whose path has only letters, digits and ._-+,=@%",
                          folder.parent_path().string()));
}

// Throws if the command uses the compiler's segmentation, because it writes files with other names.
void check_no_segmentation(const std::vector<std::string>& command) {
  bool is_for_compiler = false;  // ssh, nice and other programs have their own -n
  for (const std::string& word : command) {
    if (word.starts_with("--num_segments") || word.starts_with("-num_segments") ||
        (is_for_compiler && word.starts_with("-n"))) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("the compiler command contains {}: remove it, and split the model with "
                      "`segue split`; the segmentation of edgetpu_compiler ends without a message, "
                      "or crashes, on models of current converters (edgetpu issues #411, #669)",
                      word));
    }
    is_for_compiler |= fs::path(word).filename().string().starts_with("edgetpu_compiler");
  }
}

CompilerFailure wrong_result(std::string message) {
  return {CompilerFailure::Kind::kOther, std::move(message),
          "check that the command runs edgetpu_compiler, and that it sees the same folders", false};
}

// One compilation of one file.
class Attempt {
 public:
  Attempt(TemporaryFolder& folder, const std::string& stem, const EdgeTpuCompilerOptions& options)
      : folder_(folder),
        options_(options),
        source_(folder.file(stem + ".tflite")),
        result_(folder.file(stem + "_edgetpu.tflite")),
        log_(folder.file(stem + "_edgetpu.log")) {}

  void write_source(std::span<const std::span<const std::byte>> pieces) const {
    StagedFiles files;
    files.stage(source_, pieces);
    files.commit();
  }

  void run(Compilation& compilation) const {
    // Removes incomplete files of an earlier attempt.
    std::error_code absent;
    fs::remove(result_, absent);
    fs::remove(log_, absent);
    const auto command = command_line(options_, folder_.path(), source_);
    // The compiler's time limit expires before the limit of the process, so that the compiler can
    // still report its progress.
    const ProcessResult process = start(command);
    ++compilation.attempts;
    compilation.time += process.time;
    compilation.transcript += fmt::format("$ {}\n{}\n[{}, {}]\n", fmt::join(command, " "),
                                          process.output, process.end(), format_time(process.time));
    compilation.log.reset();
    compilation.failure.reset();
    if (process.succeeded() && fs::exists(result_, absent)) {
      take_result(process.output, compilation);
      return;
    }
    compilation.failure = explain_compiler_failure(process.output + "\n" + log_text(),
                                                   process.end(), process.timed_out);
    if (process.succeeded() && compilation.failure->kind == CompilerFailure::Kind::kOther)
      compilation.failure = wrong_result("the compiler succeeded, but wrote no file");
  }

 private:
  [[nodiscard]] ProcessResult start(const std::vector<std::string>& command) const {
    try {
      // Runs in the caller's folder, because the command may be a relative path. All other paths
      // are absolute.
      const Nanoseconds timeout = std::min(options_.timeout, kLongestWait);
      return run_process(command, ".", timeout + timeout / 10);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kCompiler) throw;
      throw Error(
          ErrorCode::kCompiler,
          fmt::format("{} (Google provides it for x86-64 Linux, coral.ai/docs/edgetpu/compiler; to "
                      "run it on another machine, use --compiler-cmd)",
                      error.what()));
    }
  }

  void take_result(const std::string& output, Compilation& compilation) const {
    try {
      compilation.log = parse_compiler_log(output + "\n" + log_text());
      const Model source = read_model(source_);
      const Model compiled = read_model(result_);
      if (const std::string difference = different_border(source, compiled); !difference.empty()) {
        compilation.failure = wrong_result(difference);
        return;
      }
      if (compilation.log->operation_count > 0 && compilation.log->mapped_count == 0) {
        compilation.failure = nothing_mapped(*compilation.log);
        return;
      }
      compilation.host_operators = operators_left_to_host(*compilation.log, source, compiled);
      compilation.compiled.assign(compiled.bytes().begin(), compiled.bytes().end());
    } catch (const Error& error) {
      compilation.failure = wrong_result(error.what());
    }
  }

  [[nodiscard]] std::string log_text() const {
    constexpr std::size_t kLargest = std::size_t{4} << 20U;
    std::error_code absent;
    return fs::exists(log_, absent) ? read_text_file(log_, kLargest) : "";
  }

  // Checks the tensors that the compiler must keep: the inputs and outputs.
  static std::string different_border(const Model& source, const Model& compiled) {
    const auto sizes = [](const Model& model, std::span<const TensorId> tensors) {
      std::vector<std::uint64_t> bytes;
      for (const TensorId id : tensors) bytes.push_back(model.tensor(id).bytes);
      return bytes;
    };
    if (sizes(source, source.inputs()) != sizes(compiled, compiled.inputs()))
      return "the compiled file has other inputs than the segment";
    if (sizes(source, source.outputs()) != sizes(compiled, compiled.outputs()))
      return "the compiled file has other outputs than the segment";
    return {};
  }

  TemporaryFolder& folder_;
  const EdgeTpuCompilerOptions& options_;
  fs::path source_;
  fs::path result_;
  fs::path log_;
};

}  // namespace

Compilation compile_for_edgetpu(std::span<const std::span<const std::byte>> pieces,
                                const std::string& name, const fs::path& folder,
                                const EdgeTpuCompilerOptions& options) {
  if (options.command.empty() || options.attempts == 0 || options.timeout <= Nanoseconds::zero()) {
    throw Error(ErrorCode::kInvalidArgument,
                "the compiler needs a command, a time limit and at least one attempt");
  }
  check_no_segmentation(options.command);
  TemporaryFolder temporary(folder);
  check_remote(options, temporary.path());
  const Attempt attempt(temporary, plain_stem(name), options);
  attempt.write_source(pieces);
  Compilation result;
  do {
    attempt.run(result);
  } while (result.failure && result.failure->may_pass_again && result.attempts < options.attempts);
  return result;
}

void stop_compilers() noexcept { kill_running_programs(); }

}  // namespace segue
