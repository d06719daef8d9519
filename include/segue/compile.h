/// Segments through Google's compiler: every segment of a folder, several at a time, with the
/// compiler's own figures in plan.json.
///
/// The compiler is edgetpu_compiler.h; it never cuts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "segue/device.h"
#include "segue/edgetpu_compiler.h"
#include "segue/pipeline.h"
#include "segue/plan.h"

namespace [[gnu::visibility("default")]] segue {

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
