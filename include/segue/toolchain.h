/// Google's compiler: run on one model, on the segments of a plan, and what is known of its
/// failures.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "segue/cost.h"
#include "segue/device.h"
#include "segue/model.h"
#include "segue/pipeline.h"
#include "segue/plan.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

/// Google's edgetpu_compiler, the closed program that turns a .tflite file into one for the device.
///
/// It is run on one segment at a time and never cuts: its own segmentation is what Segue replaces.
/// What it prints is read, what it means when it fails is explained, and the operator at fault is
/// found by compiling parts. `--num_segments` among the arguments of the command is refused: it
/// ends without a word, or crashes, on models of today's converter (edgetpu issues #411, #669).
///
/// Source of options, log lines and failure texts: coral.ai/docs/edgetpu/compiler, and issues of
/// google-coral/edgetpu as named beside each. The program was not at hand: all is tested against a
/// stand-in that prints what those document.

/// A row of the table of operations: how many of a kind are where, and why.
struct CompiledOperation {
  std::string name;  // "CONV_2D"
  std::uint32_t count = 0;
  std::string status;  // "Mapped to Edge TPU", "Operation not supported", …
  [[nodiscard]] bool is_mapped() const;
};

/// What the compiler says of one file. Byte counts are as exact as it prints them, two decimals of
/// a unit.
struct CompilerLog {
  std::string version;                // "16.0.384591198"
  std::uint64_t on_chip_bytes = 0;    // "On-chip memory used for caching model parameters"
  std::uint64_t remaining_bytes = 0;  // "On-chip memory remaining for caching model parameters"
  std::uint64_t host_bytes = 0;  // "Off-chip memory used for streaming uncached model parameters"
  std::uint32_t subgraphs = 0;   // "Number of Edge TPU subgraphs"
  std::uint32_t operation_count = 0;
  std::uint32_t mapped_count = 0;  // of those, on the Edge TPU
  std::vector<CompiledOperation> operations;
  /// Operations that stay on the host's processor.
  [[nodiscard]] std::uint32_t unmapped_count() const;
};

/// Throws Error(kCompiler) naming the first line that is missing or cannot be read.
[[nodiscard]] CompilerLog parse_compiler_log(std::string_view text);

/// Why a compilation failed. What each kind is recognised by, what it means and what is done about
/// it is one row of the table in src/toolchain/edgetpu_compiler/failures.cc (docs/runtime.md,
/// "Compiling").
struct CompilerFailure {
  enum class Kind {
    kInternal,            // "Internal compiler error. Aborting!", "… failed: Internal error."
    kLargeActivations,    // "Compilation failed due to large activation tensors in model."
    kInterpreter,         // "Model failed in Tflite interpreter…"
    kDynamicTensors,      // "… dynamic-sized tensors"
    kNotQuantized,        // "Model not quantized"
    kInvalidModel,        // "Invalid model: …"
    kUnsupportedVersion,  // of an operator
    kTimeout,             // "Compilation timeout. …", or the time limit given here
    kCrash,               // SIGSEGV, SIGABRT and such, also of a program behind the command
    kException,           // "libc++abi: terminating with uncaught exception …"
    kKilled,              // SIGKILL, SIGTERM: most often, memory ran out
    kFileAccess,          // "Error opening file for writing: …"
    kSilent,              // ended without a result or a reason
    kUnknownOption,       // of an older compiler
    kNothingMapped,       // a file of which the Edge TPU runs no operation
    kOther,
  };
  Kind kind = Kind::kOther;
  std::string message;      // the compiler's own line, or how it ended
  std::string explanation;  // what that means, and what to do
  /// Whether the same input has been seen to pass later (edgetpu issues #173, #211).
  bool may_pass_again = false;
  /// Whether an operator can be at fault, so that it is worth looking for.
  bool may_have_culprit = false;

  /// Message and explanation.
  [[nodiscard]] std::string sentence() const;
};

/// `end`: how the program ended, "exit status 1" or "signal 11 (…)". Always gives an answer.
[[nodiscard]] CompilerFailure explain_compiler_failure(std::string_view output,
                                                       const std::string& end, bool timed_out);

struct EdgeTpuCompilerOptions {
  /// The program, and arguments before those below: {"ssh", "box", "edgetpu_compiler"} for one on
  /// another machine that sees the same folders under the same plain names.
  std::vector<std::string> command{"edgetpu_compiler"};
  Nanoseconds timeout = std::chrono::seconds(180);  // of one attempt
  std::uint32_t attempts = 3;                       // where another may pass
  std::optional<std::uint32_t> min_runtime_version = std::nullopt;
  /// Lets the compiler look for the longest part that compiles, in steps of so many operators.
  std::optional<std::uint32_t> delegate_search_step = std::nullopt;
};

/// What became of one file.
struct Compilation {
  std::vector<std::byte> compiled;  // the file for the device; empty where it failed
  std::optional<CompilerLog> log;   // of what was compiled
  /// What the log left to the host's processor, of the model that was compiled, in file order; none
  /// where the log has no table of operations.
  std::optional<std::vector<OperatorId>> host_operators;
  std::optional<CompilerFailure> failure;
  std::string transcript;  // all that was printed, attempt by attempt
  std::uint32_t attempts = 0;
  Nanoseconds time{0};  // of all attempts
  [[nodiscard]] bool succeeded() const { return !failure; }
};

/// Compiles a model given as pieces of a file. Works in a new folder inside `folder`, which is
/// removed again. A failure is an answer; throws Error(kCompiler) when the compiler cannot be
/// started, Error(kIo) when the folder cannot be written. Thread-safe.
[[nodiscard]] Compilation compile_for_edgetpu(std::span<const std::span<const std::byte>> pieces,
                                              const std::string& name,
                                              const std::filesystem::path& folder,
                                              const EdgeTpuCompilerOptions& options);

/// The smallest run of operators in file order that fails on its own, as far as bisection sees.
struct Culprit {
  std::vector<OperatorId> operators;  // of the model; a single one where that fails alone
  /// An operator of another kind fails alone just so: it is not these that are at fault.
  bool whatever_fails = false;
  CompilerFailure failure;
  std::uint32_t compilations = 0;  // that it took to find
};

/// By bisection: the shortest beginning of the model that fails, then the shortest end of that.
/// O(log n) compilations, of which only failures of one kind count. Nothing where the model passes
/// this time. Throws as compile_for_edgetpu.
[[nodiscard]] std::optional<Culprit> find_culprit(const Model& model,
                                                  const std::filesystem::path& folder,
                                                  const EdgeTpuCompilerOptions& options);

/// Kills all compilers that run, and what they have started. For handlers of signals that end the
/// program: async-signal-safe.
void stop_compilers() noexcept;

/// The compiler as the memory oracle of searches: reports of totals, without single operators. Each
/// segment is compiled once; all must be of one graph. Thread-safe. `compile` throws
/// Error(kCompiler) with message and explanation when the compiler fails.
[[nodiscard]] std::unique_ptr<Compiler> make_edgetpu_compiler(
    const std::filesystem::path& folder, const EdgeTpuCompilerOptions& options);

/// Segments through Google's compiler: every segment of a folder, several at a time, with the
/// compiler's own figures in plan.json.
///
/// The compiler is edgetpu_compiler.h; it never cuts.

struct CompileOptions {
  EdgeTpuCompilerOptions compiler;
  std::vector<DevicePool> pools;  // of the plan; empty: those it names
  std::uint32_t jobs = 0;         // compilers at a time; 0: one per core of this machine
  bool finds_culprits = true;     // where a segment fails: which operator
  /// Called when the compiler is done with a file, before its culprit is looked for; by one thread
  /// at a time.
  std::function<void(const std::string& file, const Compilation&)> on_compiled;
  /// Whether what follows this outcome is a search for the operator at fault.
  [[nodiscard]] bool looks_for_culprit(const Compilation& compilation) const;
};

/// What became of one file.
struct FileCompilation {
  std::string file;           // "resnet50_segment_0_of_4.tflite"
  std::string compiled_file;  // "resnet50_segment_0_of_4_edgetpu.tflite"
  std::string log_file;       // "resnet50_segment_0_of_4_edgetpu.log"
  Compilation compilation;    // its bytes are in the compiled file, no longer here
  bool looked_for_culprit = false;
  std::optional<Culprit> culprit;          // none where it was not found
  std::vector<std::string> culprit_names;  // "SOFTMAX #30 'predictions'", one per operator
};

struct FolderCompilation {
  std::vector<FileCompilation> files;  // in the order of the pipeline
  std::optional<Plan> plan;            // as it was written; nothing where none was there
  [[nodiscard]] bool succeeded() const;
};

/// Compiles all segments that `find_segments` finds in a folder. Beside each lies then its log and,
/// where it succeeded, the compiled file. When all did, plan.json, where there is one, holds the
/// compiler's on-chip and host bytes, the operators that it left to the host, and times simulated
/// with those; else it stays as it was, and so do older compiled files of the segments that failed.
/// That a segment fails is an answer. Throws Error(kCompiler) when the compiler cannot be started,
/// Error(kInvalidArgument) where the pools are not those of the plan, and as read_split and
/// StagedFiles.
[[nodiscard]] FolderCompilation compile_folder(const std::filesystem::path& folder,
                                               const CompileOptions& options);

/// The same for one model; its compiled file and log go into `folder`.
[[nodiscard]] FileCompilation compile_model(const Model& model, const std::filesystem::path& folder,
                                            const CompileOptions& options);

/// The segments of a plan, compiled in a temporary folder inside `folder`, as a pipeline takes
/// them. Throws Error(kCompiler) where one fails, and as the other pipeline_layout.
[[nodiscard]] PipelineLayout compiled_layout(const Model& model, const Plan& plan,
                                             const std::filesystem::path& folder,
                                             const CompileOptions& options);

}  // namespace segue
