/// Google's edgetpu_compiler: compile models and segments, and explain its failures.
///
/// edgetpu_compiler is a closed program that turns a .tflite file into one for the Edge TPU. Segue
/// runs it on one segment at a time, reads its log, explains its failures, and finds the operator
/// that causes one by compiling parts of the model. Segue never uses its own segmentation
/// (`--num_segments`), which ends without a message or crashes on models of current converters
/// (edgetpu issues #411, #669). A command with that argument is refused.
///
/// Example:
///
///     const segue::FolderCompilation result = segue::compile_folder("parts", {});
///     for (const segue::FileCompilation& file : result.files)
///       if (!file.compilation.succeeded())
///         std::fprintf(stderr, "%s: %s\n", file.file.c_str(),
///                      file.compilation.failure->sentence().c_str());
///
/// Sources of options, log lines and failure texts: coral.ai/docs/edgetpu/compiler, and the issues
/// of google-coral/edgetpu that docs/runtime.md, "Compiling", lists. The compiler was not available
/// to the project. The code is tested with a stand-in that prints the documented texts.
///
/// Thread-safety: all functions may be called from several threads, each call with its own files.
/// The callbacks of CompileOptions are called by one thread at a time.
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
#include "segue/plan_set.h"
#include "segue/set_run.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

// --- The compiler's log

/// A row of the log's table of operations: the number of operations of one type and status.
struct CompiledOperation {
  std::string name;  // "CONV_2D"
  std::uint32_t count = 0;
  std::string status;  // "Mapped to Edge TPU", "Operation not supported", …
  /// Whether the status says that the operations run on the Edge TPU.
  [[nodiscard]] bool is_mapped() const;
};

/// The compiler's log for one file. Byte counts have the precision of the log, two decimals of a
/// unit.
struct CompilerLog {
  std::string version;                // "16.0.384591198"
  std::uint64_t on_chip_bytes = 0;    // "On-chip memory used for caching model parameters"
  std::uint64_t remaining_bytes = 0;  // "On-chip memory remaining for caching model parameters"
  std::uint64_t host_bytes = 0;  // "Off-chip memory used for streaming uncached model parameters"
  std::uint32_t subgraphs = 0;   // "Number of Edge TPU subgraphs"
  std::uint32_t operation_count = 0;
  std::uint32_t mapped_count = 0;  // operations on the Edge TPU
  std::vector<CompiledOperation> operations;
  /// Operations on the host's processor.
  [[nodiscard]] std::uint32_t unmapped_count() const;
};

/// Parses a log. Throws Error(kCompiler) with the first line that is missing or malformed.
[[nodiscard]] CompilerLog parse_compiler_log(std::string_view text);

// --- Failures

/// Why a compilation failed. docs/runtime.md, "Compiling", lists how each kind is recognised and
/// whether it is retried.
struct CompilerFailure {
  enum class Kind {
    kInternal,            // "Internal compiler error. Aborting!", "… failed: Internal error."
    kLargeActivations,    // "Compilation failed due to large activation tensors in model."
    kInterpreter,         // "Model failed in Tflite interpreter…"
    kDynamicTensors,      // "… dynamic-sized tensors"
    kNotQuantized,        // "Model not quantized"
    kInvalidModel,        // "Invalid model: …"
    kUnsupportedVersion,  // an operator version that the compiler does not support
    kTimeout,             // "Compilation timeout. …", or the time limit of the options
    kCrash,               // SIGSEGV, SIGABRT and similar, also of a program behind the command
    kException,           // "libc++abi: terminating with uncaught exception …"
    kKilled,              // SIGKILL, SIGTERM: usually out of memory
    kFileAccess,          // "Error opening file for writing: …"
    kSilent,              // ended without a result or a reason
    kUnknownOption,       // the compiler is too old for an option
    kNothingMapped,       // a file without any operation on the Edge TPU
    kOther,
  };
  Kind kind = Kind::kOther;
  std::string message;      // the compiler's line, or how it ended
  std::string explanation;  // the meaning, and what to do
  // The failure may be transient: the same input has passed at a later attempt (edgetpu issues
  // #173, #211).
  bool may_pass_again = false;
  // An operator may cause the failure, so that find_culprit is useful.
  bool may_have_culprit = false;

  /// Returns message and explanation as one text.
  [[nodiscard]] std::string sentence() const;
};

/// Classifies a failure. `output` is the text that the compiler printed, `end` how it ended: "exit
/// status 1" or "signal 11 (…)". Unknown failures are kOther.
[[nodiscard]] CompilerFailure explain_compiler_failure(std::string_view output,
                                                       const std::string& end, bool timed_out);

// --- Compiling one model

/// Settings of the compiler.
struct EdgeTpuCompilerOptions {
  // The program and its first arguments. {"ssh", "box", "edgetpu_compiler"} runs it on another
  // machine that has the same folders under the same names without spaces or quotes.
  std::vector<std::string> command{"edgetpu_compiler"};
  Nanoseconds timeout = std::chrono::seconds(180);  // for one attempt
  std::uint32_t attempts = 3;                       // for failures that may be transient
  std::optional<std::uint32_t> min_runtime_version = std::nullopt;
  // Lets the compiler search for the longest part that compiles, in steps of this many operators.
  std::optional<std::uint32_t> delegate_search_step = std::nullopt;
};

/// The result of compiling one file.
struct Compilation {
  std::vector<std::byte> compiled;  // the file for the device; empty if it failed
  std::optional<CompilerLog> log;   // set if it succeeded
  // Operators of the compiled model that the log leaves to the host, in file order. Not set if the
  // log has no table of operations.
  std::optional<std::vector<OperatorId>> host_operators;
  std::optional<CompilerFailure> failure;
  std::string transcript;  // the output of all attempts
  std::uint32_t attempts = 0;
  Nanoseconds time{0};  // of all attempts
  [[nodiscard]] bool succeeded() const { return !failure; }
};

/// Compiles a model, given as the pieces of its file. Works in a new folder inside `folder`, which
/// is removed afterwards. A failed compilation is a result, not an error. Throws Error(kCompiler)
/// when the compiler cannot be started, and Error(kIo) when the folder cannot be written.
/// Thread-safe.
[[nodiscard]] Compilation compile_for_edgetpu(std::span<const std::span<const std::byte>> pieces,
                                              const std::string& name,
                                              const std::filesystem::path& folder,
                                              const EdgeTpuCompilerOptions& options);

/// Compiles several models in one call of the compiler, so that they share the memory of a device:
/// they get the same caching token, and earlier models get memory first (coral.ai, "Co-compiling
/// multiple models"). Returns one result for each model, in order. If the call fails, all results
/// have its failure. Throws as above, and Error(kInvalidArgument) for no models.
[[nodiscard]] std::vector<Compilation> co_compile_for_edgetpu(
    std::span<const Model> models, const std::filesystem::path& folder,
    const EdgeTpuCompilerOptions& options);

/// A range of consecutive operators, in file order, that fails on its own. Bisection assumes that a
/// longer range also fails, so the range is not always the shortest.
struct Culprit {
  std::vector<OperatorId> operators;  // of the model; a single one if it fails alone
  // An operator of another type fails alone in the same way, so these operators are not the cause.
  bool whatever_fails = false;
  CompilerFailure failure;
  std::uint32_t compilations = 0;  // number of compilations of the search
};

/// Searches by bisection for the shortest prefix of the model that fails, then for the shortest
/// suffix of that prefix. Only failures of the first kind count. O(log n) compilations for n
/// operators. Returns nothing if the model compiles. Throws as compile_for_edgetpu.
[[nodiscard]] std::optional<Culprit> find_culprit(const Model& model,
                                                  const std::filesystem::path& folder,
                                                  const EdgeTpuCompilerOptions& options);

/// Kills all running compilers and their child processes. Async-signal-safe: for the signal handler
/// of a program that is about to exit.
void stop_compilers() noexcept;

/// Makes a `Compiler` (cost.h) for searches whose reports come from edgetpu_compiler. Reports have
/// totals only, without single operators. Each segment is compiled once; all segments must be of
/// one graph. Thread-safe. `compile` throws Error(kCompiler) with message and explanation when a
/// segment does not compile.
[[nodiscard]] std::unique_ptr<Compiler> make_edgetpu_compiler(
    const std::filesystem::path& folder, const EdgeTpuCompilerOptions& options);

// --- Compiling all segments of a split

/// Settings of compile_folder, compile_model and compiled_layout.
struct CompileOptions {
  EdgeTpuCompilerOptions compiler;
  std::vector<DevicePool> pools;  // of the plan; empty: catalogue devices or files that it names
  std::uint32_t jobs = 0;         // concurrent compilers; 0: one per core of this machine
  bool finds_culprits = true;     // search for the operator that causes a failure
  // Called when a file has been compiled, before the search for a culprit. By one thread at a time.
  std::function<void(const std::string& file, const Compilation&)> on_compiled;
  /// Whether this result is followed by a search for the culprit.
  [[nodiscard]] bool looks_for_culprit(const Compilation& compilation) const;
};

/// The result of one file of a folder.
struct FileCompilation {
  std::string file;           // "resnet50_segment_0_of_4.tflite"
  std::string compiled_file;  // "resnet50_segment_0_of_4_edgetpu.tflite"
  std::string log_file;       // "resnet50_segment_0_of_4_edgetpu.log"
  Compilation compilation;    // `compiled` is empty: the bytes are in the compiled file
  bool looked_for_culprit = false;
  std::optional<Culprit> culprit;          // not set if none was found
  std::vector<std::string> culprit_names;  // "SOFTMAX #30 'predictions'", one per operator
};

/// The results of all files of a folder.
struct FolderCompilation {
  std::vector<FileCompilation> files;  // in the order of the pipeline
  std::optional<Plan> plan;            // the plan.json of the folder, if it exists
  /// Whether all files were compiled.
  [[nodiscard]] bool succeeded() const;
};

/// Compiles all segments in a folder (find_segments in verify.h). Writes a log and, on success, the
/// compiled file for each segment. If all segments compile and the folder has a plan.json, the plan
/// is rewritten with the compiler's on-chip and host bytes, the operators that it leaves to the
/// host, and the times that follow. Otherwise plan.json and older compiled files of failed segments
/// are unchanged. A failed segment is a result, not an error. Throws Error(kCompiler) when the
/// compiler cannot be started, Error(kInvalidArgument) when the pools are not those of the plan,
/// and as read_split and StagedFiles.
[[nodiscard]] FolderCompilation compile_folder(const std::filesystem::path& folder,
                                               const CompileOptions& options);

/// Compiles one model and writes its compiled file and log to `folder`. Throws as above, and as
/// check_not_compiled.
[[nodiscard]] FileCompilation compile_model(const Model& model, const std::filesystem::path& folder,
                                            const CompileOptions& options);

/// The results of compile_set.
struct SetCompilation {
  FolderCompilation files;  // "tpu0/detector_segment_0_of_1.tflite", ...; without a plan
  SetPlan plan;             // with the compiler's bytes and the times that follow, if it succeeded
};

/// Compiles the stages of a set (plan_set.h) into `folder`: for each TPU a folder "tpu0", ...,
/// unless an earlier TPU has the same residents. Residents of a "cached" TPU are compiled together
/// in cache order, others one by one. If all compile, set.json is written to `folder` too. Culprits
/// are not searched. `models` are those of the set, in order. Throws as compile_folder, as
/// check_plan_matches, and Error(kInvalidArgument) for another number of models.
[[nodiscard]] SetCompilation compile_set(const SetPlan& plan,
                                         std::span<const std::shared_ptr<const Model>> models,
                                         const std::filesystem::path& folder,
                                         const CompileOptions& options);

/// Reads what compile_set wrote, for SetRun (set_run.h). `models` may be empty: then there are no
/// new plans when a device is lost. Throws Error(kIo) with the missing file, and as read_model.
[[nodiscard]] std::vector<SetRunModel> read_compiled_set(
    const SetPlan& plan, std::span<const std::shared_ptr<const Model>> models,
    const std::filesystem::path& folder);

/// Extracts and compiles the stages of a plan as a layout for Pipeline. Uses temporary folders
/// inside `folder`. Throws Error(kCompiler) when a segment does not compile, and as
/// pipeline_layout.
[[nodiscard]] PipelineLayout compiled_layout(const Model& model, const Plan& plan,
                                             const std::filesystem::path& folder,
                                             const CompileOptions& options);

}  // namespace segue
