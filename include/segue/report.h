/// What commands print: text for people, CSV for spreadsheets, JSON for programs, each made from
/// the same values.
///
/// Text never carries raw bytes of a model: names are made printable, so a hostile file cannot send
/// escape sequences to a terminal. Every table of byte counts says that they are simulated.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segue/calibrate.h"
#include "segue/cost.h"
#include "segue/edgetpu.h"
#include "segue/graph.h"
#include "segue/model.h"
#include "segue/pipeline.h"
#include "segue/plan.h"
#include "segue/planner.h"
#include "segue/segmentation.h"
#include "segue/timeline.h"
#include "segue/toolchain.h"
#include "segue/verify.h"

namespace [[gnu::visibility("default")]] segue {

/// `text` with control characters and invalid UTF-8 replaced, cut to `limit` characters.
[[nodiscard]] std::string printable(std::string_view text, std::size_t limit = 200);

/// Cells under column titles; numbers are aligned right in text.
struct Table {
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kRight;
  };
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;

  [[nodiscard]] std::string to_text() const;
  /// Quoted as in RFC 4180; lines end in \n. Text that a spreadsheet would run as a formula gets an
  /// apostrophe in front.
  [[nodiscard]] std::string to_csv() const;
  [[nodiscard]] std::string to_markdown() const;
};

/// A plan on one screen, with one line for each of `others`: what other strategies make of as many
/// devices. Where one of them is faster, the text begins with that.
[[nodiscard]] std::string plan_text(const Plan& plan, std::span<const Plan> others);
[[nodiscard]] Table plan_table(const Plan& plan);

/// One row per operator, stage by stage: where the simulated compiler puts its parameters and with
/// how many bytes, padded as the device wants them; its cycles.
[[nodiscard]] Table plan_operator_table(const Plan& plan, const Graph& graph,
                                        const DeviceSpec& device);

/// A plan in virtual time, on one screen: time per stage by cause, throughput, latency, what to
/// try.
[[nodiscard]] std::string simulate_text(const Plan& plan, const Timeline& timeline,
                                        const TimelineOptions& options);
[[nodiscard]] Table simulate_table(const Plan& plan, const Timeline& timeline);
[[nodiscard]] std::string simulate_json(const Plan& plan, const Timeline& timeline,
                                        const TimelineOptions& options);

/// The highest temperature of a device that was seen during a run.
struct DeviceTemperature {
  std::string device;
  double celsius = 0;
};

/// What a classifier says of an input file: its best classes, the best first.
struct ClassScore {
  std::size_t index = 0;
  std::string label;  // empty where none is known
  double score = 0;   // as softmax outputs scale it, 0 to 1
};
struct ClassifiedInput {
  std::string file;
  std::vector<ClassScore> classes;
};

/// What a pipeline did. `predicted` is of the plan that it followed, where there is one; its times
/// are simulated, all others measured. `backend` describes what computed.
struct RunReport {
  std::string model;
  std::string backend;
  PipelineStatistics measured;
  std::optional<Plan> predicted;
  std::optional<double> time_scale = std::nullopt;  // of simulated devices
  std::vector<DeviceTemperature> hottest = {};      // where the drivers tell
  std::vector<ClassifiedInput> classified = {};
};
[[nodiscard]] std::string run_text(const RunReport& report);
[[nodiscard]] Table run_table(const RunReport& report);
[[nodiscard]] std::string run_json(const RunReport& report);
/// Reads what run_json wrote, but for the plan, which is not in it: model, backend, and what was
/// measured of all and of each stage. Throws Error(kInvalidArgument) naming the key, and as
/// read_text_file.
[[nodiscard]] RunReport read_run(const std::filesystem::path& path);

/// The table, and how many of the devices libedgetpu does not list.
[[nodiscard]] std::string devices_text(std::span<const EdgeTpuDevice> devices);
[[nodiscard]] Table devices_table(std::span<const EdgeTpuDevice> devices);
[[nodiscard]] std::string devices_json(std::span<const EdgeTpuDevice> devices);
[[nodiscard]] std::string doctor_text(std::span<const Finding> findings);
[[nodiscard]] std::string doctor_json(std::span<const Finding> findings);

/// What was measured on a device: constants beside the base's, and the check. `device` names it.
[[nodiscard]] std::string calibration_text(const CalibrationResult& result,
                                           const std::string& device);
[[nodiscard]] std::string calibration_json(const CalibrationResult& result,
                                           const std::string& device);

/// What Google's compiler made of segments: figures of each, and for what failed the reason.
[[nodiscard]] std::string compile_text(const FolderCompilation& result);
[[nodiscard]] Table compile_table(const FolderCompilation& result);
[[nodiscard]] std::string compile_json(const FolderCompilation& result);

/// Plans side by side: stages and replicas, throughput, latency, speed-up, efficiency, and which
/// ones are on the Pareto front of throughput, latency and TPUs used.
[[nodiscard]] std::string compare_text(const std::string& model,
                                       std::span<const ComparedPlan> rows);
[[nodiscard]] Table compare_table(std::span<const ComparedPlan> rows);
[[nodiscard]] std::string compare_json(const std::string& model,
                                       std::span<const ComparedPlan> rows);

/// " on 3 TPUs", " on 2xedgetpu-usb3 1xedgetpu-pcie"; nothing where a stage has one TPU of the only
/// kind.
[[nodiscard]] std::string placement_text(const Plan& plan, const Stage& stage);
/// What a split wrote: one row per segment file.
[[nodiscard]] Table split_table(const Plan& plan);
[[nodiscard]] std::string split_json(const Plan& plan, const std::string& folder,
                                     std::uint64_t bytes);

/// "Accepted: …" or "Rejected: …", one line.
[[nodiscard]] std::string certificate_text(const CertificateVerdict& verdict);
[[nodiscard]] std::string certificate_json(const CertificateVerdict& verdict);

/// What the profile cost: one line with the number of latencies, "simulated" or "measured"
/// (`kind`), of segments and of choices.
[[nodiscard]] std::string profile_text(const ProfiledSegmentation& profiled, std::size_t depth,
                                       std::size_t count, const std::string& kind);

/// What the refinement did, one line per move; empty when there was nothing to do.
[[nodiscard]] std::string refinement_text(const BalancedSegmentation& balanced);

/// What is to be known of a model before its numbers are believed: a batch that is open in the file
/// and taken as 1, and shapes that are computed at run time. A sentence each; mostly none. None
/// either where no plan can be made at all.
[[nodiscard]] std::vector<std::string> model_notes(const Model& model);

/// Why no plan of this model can be made, as check_not_compiled and check_static_shapes say it.
[[nodiscard]] std::vector<std::string> obstacles_to_cutting(const Model& model);

/// A model: totals, operators, and for compiled files the bytes of each program.
[[nodiscard]] std::string inspect_text(const Graph& graph,
                                       std::span<const CompiledExecutable> executables,
                                       bool with_operators);
[[nodiscard]] Table operator_table(const Graph& graph);

/// The programs of a compiled file, in bytes.
[[nodiscard]] Table executable_table(std::span<const CompiledExecutable> executables);
[[nodiscard]] std::string inspect_json(const Graph& graph,
                                       std::span<const CompiledExecutable> executables);

/// Segments that lie in a folder: one row each, with what is in the file, the parameters of its
/// programs where it is compiled, and what it reads and gives.
[[nodiscard]] std::string segments_text(const Split& split);
[[nodiscard]] Table segments_table(const Split& split);
[[nodiscard]] std::string segments_json(const Split& split);

[[nodiscard]] std::string verify_text(const VerifyReport& report, const std::string& backend);
[[nodiscard]] Table verify_table(const VerifyReport& report);
[[nodiscard]] std::string verify_json(const VerifyReport& report, const std::string& backend);

}  // namespace segue
