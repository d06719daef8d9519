/// Segment files: written, found again, and proven to compute what the whole model computes.
///
/// The check trusts nothing of the code that cut: it reads the files anew, matches every operator
/// of the whole model with exactly one of the segments by the tensors it writes, compares options,
/// constants, types, quantization and file sizes, and then runs both sides. The same kernels run on
/// both sides, so that all outputs of all segments must agree byte for byte with the same tensors
/// inside the whole model.
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

/// "STEM_segment_I_of_N.tflite", as Google's tools name segments; I counts from 0. Bytes of the
/// stem that are not UTF-8 are replaced, as in plan.json.
[[nodiscard]] std::string segment_file_name(const std::string& stem, std::size_t position,
                                            std::size_t count);

/// "STEM_segment_I_of_N_edgetpu.tflite": what Google's compiler makes of such a file.
[[nodiscard]] std::string compiled_file_name(const std::string& segment_file);

/// Writes one file per segment and `plan_json` as plan.json into a folder: all of them or, unless
/// the system refuses a rename in the middle (see StagedFiles::commit), none. Compiled files of
/// segments that it replaces by others are removed. Returns the bytes
/// written in segment files. Throws Error(kUnsupported) for a compiled model,
/// Error(kInvalidArgument) for a name with control characters, Error(kIo), and as extract_segment.
std::uint64_t write_segments(const Model& model, const Segmentation& segmentation,
                             const std::string& plan_json, const std::filesystem::path& folder);

/// The same for a plan: its stages, and the plan itself with the hash of the model filled in.
std::uint64_t write_segments(const Model& model, Plan plan, const std::filesystem::path& folder);

/// Which files of a split: the segments as they were cut, those that Google's compiler made of
/// them, or the cut ones where all of them are there, else the compiled ones.
enum class SegmentFiles : std::uint8_t { kCut, kCompiled, kAny };

/// The cut segments of find_split.
[[nodiscard]] std::vector<std::filesystem::path> find_segments(const std::filesystem::path& path);

/// How many files named like segments of `stem` lie in a folder that a split into `count` would not
/// replace; 0 when the folder is not there.
[[nodiscard]] std::size_t count_other_segments(const std::filesystem::path& folder,
                                               const std::string& stem, std::size_t count);

/// A split as it lies in its folder.
struct SplitFiles {
  std::vector<std::filesystem::path> files;  // in the order of the pipeline
  std::optional<Plan> plan;                  // the plan.json beside them, where there is one
};
/// The same, read.
struct Split : SplitFiles {
  std::vector<Model> segments;  // what is in the files
};

/// Finds STEM_segment_0_of_N.tflite …, or STEM_segment_0_of_N_edgetpu.tflite …, by their names, and
/// the plan.json beside them, which is not needed. `path`: their folder, or one of the files, where
/// the folder holds several sets and no plan.json says which one counts. Throws Error(kIo) when the
/// folder holds no set, when files are missing (all are counted, the first three named), or when
/// there are several sets, and Error(kInvalidArgument) where kCut finds only compiled files; as
/// read_plan.
[[nodiscard]] SplitFiles find_split(const std::filesystem::path& path,
                                    SegmentFiles files = SegmentFiles::kCut);

/// Reads what find_split finds. Throws Error(kInvalidArgument) where a segment is not the stage of
/// the plan, by its number of operators (unless it is compiled) and the names of the tensors that
/// it reads and gives (what it computes: verify_segments), where a segment reads a tensor with
/// another type, shape or quantization than the one before gives it, or one that no segment before
/// gives and that the first one does not read (with a plan: that is no model input); as find_split
/// and read_model.
[[nodiscard]] Split read_split(const std::filesystem::path& path,
                               SegmentFiles files = SegmentFiles::kCut);

/// A sentence for each of these segments in which nothing is compiled: all of it would run on the
/// host's processor without a word.
[[nodiscard]] std::vector<std::string> notes_on_uncompiled(const Split& compiled);

/// Whether `segment` is what extract_segment cuts these operators out of `model` as, byte for byte.
[[nodiscard]] bool is_segment_of(const Model& segment, const Model& model,
                                 std::span<const OperatorId> operators);

/// The file of a plan beside its segments.
inline constexpr const char* kPlanFile = "plan.json";

/// The plan.json beside the segments, where there is one.
[[nodiscard]] std::optional<Plan> find_plan(const std::filesystem::path& folder);

struct VerifyOptions {
  std::optional<Plan> plan =
      std::nullopt;          // compared with model and segments in all that follows from them alone
  std::uint32_t inputs = 3;  // random inputs to run
  std::uint64_t seed = 1;    // of the first input
};

struct VerifyReport {
  std::size_t segment_count = 0;
  std::size_t operator_count = 0;     // matched one to one
  std::uint64_t parameter_bytes = 0;  // constants compared
  std::size_t operators_run = 0;      // fewer where the runtime does not run a custom operator
  /// "the runtime lacks the custom operator NAME: WORDS", or "does not run" where it has one but
  /// refuses how it is used; WORDS are the runtime's. Empty when all were run.
  std::string not_run;
  std::uint32_t inputs_run = 0;
  std::uint64_t tensors_compared = 0;  // outputs of segments: what crosses a cut, and the model's
  std::uint64_t values_compared = 0;   // of all inputs
  /// Values that differ from each other within their tensor, summed over tensors; counting ends at
  /// 4096 for each. Equal outputs prove nothing where an output is constant.
  std::uint64_t distinct_values = 0;
  std::uint64_t bytes_compared = 0;
  /// Tensors whose values are little evidence, and why: constant, the same for all inputs, at the
  /// ends of their range, few. More inputs may tell.
  std::vector<std::string> warnings;
  /// The same of tensors that depend on no input: more inputs give the same values.
  std::vector<std::string> warnings_of_constants;
  /// What differs first, with segment and tensor; empty when everything agrees.
  std::string mismatch;
  [[nodiscard]] bool agrees() const { return mismatch.empty(); }
};

/// Structure first, then execution, in a forked child process. Where the runtime does not run a
/// custom operator, what does not depend on it is run. The child protects the caller: a damaged
/// model can make the runtime crash. What the backend does there stays there, and of a caller with
/// several threads only the calling one exists in it. A difference is an answer (`mismatch`), not
/// an error. Throws Error(kInvalidModel) when a file is damaged, the whole model itself does not
/// run, or the runtime crashed; Error(kUnsupported) as read_model; Error(kIo) when a file cannot be
/// read or the system gives no process.
[[nodiscard]] VerifyReport verify_segments(const Model& whole,
                                           std::span<const std::filesystem::path> files,
                                           const Backend& backend, const VerifyOptions& options);

}  // namespace segue
