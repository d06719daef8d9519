/// Split folders (segment files with their plan) and the verification that they equal the model.
///
/// `write_segments` writes one .tflite file per segment and a plan.json. `read_split` finds and
/// reads them. `verify_segments` proves that the files together compute what the model computes. It
/// does not trust the code that split the model: it reads the files, matches every operator of the
/// model with exactly one operator of a segment by the tensors it writes, and compares options,
/// constants, types and quantization. It then runs the model and the segments with the same kernels
/// and compares all outputs of all segments with the same tensors of the model, bit for bit.
///
/// Example:
///
///     const segue::Model model = segue::read_model("resnet50.tflite");
///     const segue::Graph graph(model);
///     const auto tpus = segue::open_devices("edgetpu-pcie", 4);
///     const auto plan = segue::plan_by_strategy(graph, tpus, segue::Strategy::kBalanced).plan;
///     segue::write_segments(model, plan, "parts");
///     const auto cpu = segue::make_cpu_backend({});
///     const segue::VerifyReport report =
///         segue::verify_segments(model, segue::find_segments("parts"), *cpu, {});
///     std::printf("%s\n", report.agrees() ? "equal" : report.mismatch.c_str());
///
/// Thread-safety: the functions may be called from any thread, for different folders.
/// `verify_segments` forks; only the calling thread exists in the child.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "segue/model.h"
#include "segue/plan.h"
#include "segue/runtime.h"
#include "segue/segmentation.h"

namespace [[gnu::visibility("default")]] segue {

// --- Writing a split

/// Returns "STEM_segment_I_of_N.tflite", the name that Google's tools use; I counts from 0. Bytes
/// of the stem that are not UTF-8 are replaced, as in plan.json.
[[nodiscard]] std::string segment_file_name(const std::string& stem, std::size_t position,
                                            std::size_t count);

/// Returns "STEM_segment_I_of_N_edgetpu.tflite", the name of the compiled file.
[[nodiscard]] std::string compiled_file_name(const std::string& segment_file);

/// Writes one file per segment, and `plan_json` as plan.json, to a folder. All files appear
/// together (StagedFiles). Compiled files of segments that change are removed. Returns the number
/// of bytes in segment files. Throws Error(kUnsupported) for a compiled model,
/// Error(kInvalidArgument) for a model name with control characters, Error(kIo), and as
/// extract_segment.
std::uint64_t write_segments(const Model& model, const Segmentation& segmentation,
                             const std::string& plan_json, const std::filesystem::path& folder);

/// The same for the stages of a plan, and the plan with the hash of the model.
std::uint64_t write_segments(const Model& model, Plan plan, const std::filesystem::path& folder);

// --- Reading a split

/// Which files of a split to use: the segments (kCut), the files that edgetpu_compiler made of them
/// (kCompiled), or the segments if all of them exist and otherwise the compiled files (kAny).
enum class SegmentFiles : std::uint8_t { kCut, kCompiled, kAny };

/// Returns the segment files of find_split(path, kCut).
[[nodiscard]] std::vector<std::filesystem::path> find_segments(const std::filesystem::path& path);

/// Returns the number of segment files in a folder that a split of `stem` into `count` segments
/// would not replace: those of other models or of other numbers of segments. Compiled files do not
/// count. 0 if the folder does not exist.
[[nodiscard]] std::size_t count_other_segments(const std::filesystem::path& folder,
                                               const std::string& stem, std::size_t count);

/// The files of a split.
struct SplitFiles {
  std::vector<std::filesystem::path> files;  // in the order of the pipeline
  std::optional<Plan> plan;                  // the plan.json of the folder, if it exists
};
/// A split with its models.
struct Split : SplitFiles {
  std::vector<Model> segments;  // contents of `files`
};

/// Finds the files STEM_segment_I_of_N.tflite, or STEM_segment_I_of_N_edgetpu.tflite, and the
/// optional plan.json in the same folder. `path` is the folder, or one of the files if the folder
/// contains several splits and no plan.json selects one. Throws Error(kIo) when the folder contains
/// no split, when files are missing (the message has their number and the first three names), or
/// when there are several splits; Error(kInvalidArgument) when kCut finds only compiled files; and
/// as read_plan.
[[nodiscard]] SplitFiles find_split(const std::filesystem::path& path,
                                    SegmentFiles files = SegmentFiles::kCut);

/// Reads the files that find_split finds. Throws as find_split and read_model, and
/// Error(kInvalidArgument) when
///  - a segment is not the stage of the plan, by its number of operators (unless it is compiled)
///    and the names of its inputs and outputs. verify_segments compares what it computes;
///  - a segment reads a tensor whose type, shape or quantization differs from that of the segment
///    that writes it;
///  - a segment reads a tensor that no earlier segment writes and that is not read by the first one
///    (with a plan: that is not a model input).
[[nodiscard]] Split read_split(const std::filesystem::path& path,
                               SegmentFiles files = SegmentFiles::kCut);

/// Returns one sentence for each segment that contains no compiled program and would therefore run
/// completely on the host's processor, without any message of the runtime.
[[nodiscard]] std::vector<std::string> notes_on_uncompiled(const Split& compiled);

/// Returns whether the file of `segment` equals the result of extract_segment(model, operators),
/// byte by byte.
[[nodiscard]] bool is_segment_of(const Model& segment, const Model& model,
                                 std::span<const OperatorId> operators);

/// Name of the plan's file in a split folder.
inline constexpr const char* kPlanFile = "plan.json";

/// Reads the plan.json of a folder. Returns nothing if there is none. Throws as read_plan.
[[nodiscard]] std::optional<Plan> find_plan(const std::filesystem::path& folder);

// --- Verification

/// Settings of a verification.
struct VerifyOptions {
  // Compared with the model and the segments, in everything that follows from these.
  std::optional<Plan> plan = std::nullopt;
  std::uint32_t inputs = 3;  // number of random inputs
  std::uint64_t seed = 1;    // of the first input
};

/// The result of a verification.
struct VerifyReport {
  std::size_t segment_count = 0;
  std::size_t operator_count = 0;     // matched one to one
  std::uint64_t parameter_bytes = 0;  // constants compared
  std::size_t operators_run = 0;      // fewer if the runtime cannot run a custom operator
  // "the runtime lacks the custom operator NAME: TEXT", or "does not run" if the runtime has the
  // operator but rejects its use. TEXT is the runtime's message. Empty if all operators were run.
  std::string not_run;
  std::uint32_t inputs_run = 0;
  std::uint64_t tensors_compared = 0;  // outputs of segments
  std::uint64_t values_compared = 0;   // over all inputs
  // Number of distinct values within a tensor, at most 4096, summed over tensors. A constant output
  // would be equal without proving anything.
  std::uint64_t distinct_values = 0;
  std::uint64_t bytes_compared = 0;
  // Tensors whose values are weak evidence, with the reason: constant, equal for all inputs, at the
  // ends of their range, few. More inputs may give better evidence.
  std::vector<std::string> warnings;
  // The same for tensors that depend on no input, where more inputs do not help.
  std::vector<std::string> warnings_of_constants;
  // The first difference, with segment and tensor; empty if everything is equal.
  std::string mismatch;
  [[nodiscard]] bool agrees() const { return mismatch.empty(); }
};

/// Compares the structure, then the results. Both sides run in a forked child process, because a
/// damaged model can crash the runtime. If the runtime cannot run a custom operator, the operators
/// that do not depend on it are run. A difference is a result (`mismatch`), not an error.
///
/// A requested stop (stop.h) ends the child.
///
/// Changes that the backend makes to its own state stay in the child. If the caller has several
/// threads, only the calling thread exists there.
///
/// Throws Error(kInvalidModel) when a file is damaged, the model itself does not run or the runtime
/// crashes; Error(kUnsupported) as read_model; Error(kIo) when a file cannot be read or the system
/// cannot create a process.
[[nodiscard]] VerifyReport verify_segments(const Model& whole,
                                           std::span<const std::filesystem::path> files,
                                           const Backend& backend, const VerifyOptions& options);

}  // namespace segue
