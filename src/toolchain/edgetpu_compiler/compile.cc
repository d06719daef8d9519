#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "base/internal/file/temporary_folder.h"
#include "base/internal/process/process.h"
#include "model/internal/caching_tokens.h"
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
                                      std::span<const fs::path> models) {
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
  for (const fs::path& model : models) command.push_back(model.string());
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

// Returns the part of the compiler's output that is about one of several models, and the lines
// before the first part, which are about all. A part begins with the line that names the model's
// path. Returns the whole output if no part is about the file.
std::string section_of(const std::string& output, const std::string& file) {
  constexpr std::string_view kBegin = "Input model: ";
  const auto first = output.find(kBegin);
  for (auto begin = first; begin != std::string::npos; begin = output.find(kBegin, begin + 1)) {
    const auto name = begin + kBegin.size();
    const fs::path path = output.substr(name, output.find('\n', name) - name);
    if (path.filename() != file) continue;
    const auto end = output.find(kBegin, begin + 1);
    return output.substr(0, first) + output.substr(begin, end - begin);
  }
  return output;
}

// Whether all files have one of their caching tokens in common. Files without any cache nothing, or
// have programs of an unknown format.
bool have_common_token(std::span<const Compilation> compilations) {
  std::optional<std::set<std::uint64_t>> common;
  for (const Compilation& of : compilations) {
    std::set<std::uint64_t> tokens;
    try {
      tokens = caching_tokens(parse_model(of.compiled, "compiled"));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kInvalidModel) throw;
    }
    if (tokens.empty()) continue;
    if (common)
      std::erase_if(tokens, [&](std::uint64_t token) { return !common->contains(token); });
    common = std::move(tokens);
  }
  return !common || !common->empty();
}

// Files that are compiled in one call.
class Attempt {
 public:
  Attempt(TemporaryFolder& folder, std::span<const std::string> stems,
          const EdgeTpuCompilerOptions& options)
      : folder_(folder), options_(options) {
    for (const std::string& stem : stems) {
      sources_.push_back(folder.file(stem + ".tflite"));
      results_.push_back(folder.file(stem + "_edgetpu.tflite"));
      logs_.push_back(folder.file(stem + "_edgetpu.log"));
    }
  }

  void write_source(std::size_t file, std::span<const std::span<const std::byte>> pieces) const {
    StagedFiles files;
    files.stage(sources_[file], pieces);
    files.commit();
  }

  // `compilations` has one element for each file.
  void run(std::span<Compilation> compilations) const {
    // Removes incomplete files of an earlier attempt.
    std::error_code absent;
    for (const auto* files : {&results_, &logs_})
      for (const fs::path& file : *files) fs::remove(file, absent);
    const auto command = command_line(options_, folder_.path(), sources_);
    // The compiler's time limit expires before the limit of the process, so that the compiler can
    // still report its progress.
    const ProcessResult process = start(command);
    for (std::size_t i = 0; i < compilations.size(); ++i) {
      Compilation& compilation = compilations[i];
      ++compilation.attempts;
      compilation.time += process.time;
      compilation.transcript +=
          fmt::format("$ {}\n{}\n[{}, {}]\n", fmt::join(command, " "), process.output,
                      process.end(), format_time(process.time));
      compilation.log.reset();
      compilation.failure.reset();
      take(i, process, compilation);
    }
    // A call that fails for one file is of no use to the others.
    const auto failed =
        std::ranges::find_if(compilations, [](const Compilation& of) { return !of.succeeded(); });
    std::optional<CompilerFailure> failure;
    if (failed != compilations.end()) {
      failure = failed->failure;
    } else if (compilations.size() > 1 && !have_common_token(compilations)) {
      failure = wrong_result(
          "the compiler gave the files of one call different caching tokens, so that each would "
          "replace the parameters of the others");
    }
    if (!failure) return;
    for (Compilation& of : compilations) of.failure = failure;
  }

 private:
  void take(std::size_t file, const ProcessResult& process, Compilation& compilation) const {
    std::error_code absent;
    if (process.succeeded() && fs::exists(results_[file], absent))
      return take_result(file, process.output, compilation);
    compilation.failure = explain_compiler_failure(process.output + "\n" + log_text(file),
                                                   process.end(), process.timed_out);
    if (process.succeeded() && compilation.failure->kind == CompilerFailure::Kind::kOther)
      compilation.failure = wrong_result("the compiler succeeded, but wrote no file");
  }

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

  void take_result(std::size_t file, const std::string& output, Compilation& compilation) const {
    try {
      compilation.log = parse_compiler_log(section_of(output, sources_[file].filename().string()) +
                                           "\n" + log_text(file));
      const Model source = read_model(sources_[file]);
      const Model compiled = read_model(results_[file]);
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

  [[nodiscard]] std::string log_text(std::size_t file) const {
    constexpr std::size_t kLargest = std::size_t{4} << 20U;
    std::error_code absent;
    return fs::exists(logs_[file], absent) ? read_text_file(logs_[file], kLargest) : "";
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
  std::vector<fs::path> sources_;
  std::vector<fs::path> results_;
  std::vector<fs::path> logs_;
};

using Pieces = std::span<const std::span<const std::byte>>;

// One call for all files.
std::vector<Compilation> compile_files(std::span<const Pieces> files,
                                       std::span<const std::string> stems, const fs::path& folder,
                                       const EdgeTpuCompilerOptions& options) {
  if (options.command.empty() || options.attempts == 0 || options.timeout <= Nanoseconds::zero()) {
    throw Error(ErrorCode::kInvalidArgument,
                "the compiler needs a command, a time limit and at least one attempt");
  }
  check_no_segmentation(options.command);
  TemporaryFolder temporary(folder);
  check_remote(options, temporary.path());
  const Attempt attempt(temporary, stems, options);
  for (std::size_t i = 0; i < files.size(); ++i) attempt.write_source(i, files[i]);
  std::vector<Compilation> results(files.size());
  do {
    attempt.run(results);
  } while (results[0].failure && results[0].failure->may_pass_again &&
           results[0].attempts < options.attempts);
  return results;
}

}  // namespace

Compilation compile_for_edgetpu(std::span<const std::span<const std::byte>> pieces,
                                const std::string& name, const fs::path& folder,
                                const EdgeTpuCompilerOptions& options) {
  const std::string stem = plain_stem(name);
  return std::move(compile_files(std::span(&pieces, 1), std::span(&stem, 1), folder, options)[0]);
}

std::vector<Compilation> co_compile_for_edgetpu(std::span<const Model> models,
                                                const fs::path& folder,
                                                const EdgeTpuCompilerOptions& options) {
  if (models.empty())
    throw Error(ErrorCode::kInvalidArgument, "no models to compile together; pass at least one");
  std::vector<std::span<const std::byte>> bytes;
  std::vector<std::string> stems;
  for (const Model& model : models) {
    bytes.push_back(model.runnable_bytes());
    // Models of equal names remain apart.
    stems.push_back(models.size() == 1
                        ? plain_stem(model.name())
                        : fmt::format("m{}_{}", stems.size(), plain_stem(model.name())));
  }
  std::vector<Pieces> files;
  for (const auto& of : bytes) files.emplace_back(&of, 1);
  return compile_files(files, stems, folder, options);
}

void stop_compilers() noexcept { kill_running_programs(); }

}  // namespace segue
