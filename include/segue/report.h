/// Reports: the text, CSV and JSON that the commands print.
///
/// For each result there is a function that returns text for a terminal, a `Table` (text, CSV or
/// Markdown), or JSON whose schema is in docs/schemas. All forms of a report have the same values.
/// Every table of byte counts states whether they are simulated. Names from model files are made
/// printable, so that a crafted file cannot send escape sequences to a terminal. Tables in texts
/// fit the given width; sentences are lines of any length, which `wrapped` breaks.
///
/// Example:
///
///     const segue::Model model = segue::read_model("resnet50.tflite");
///     const segue::Graph graph(model);
///     const auto tpus = segue::open_devices("edgetpu-usb3", 4);
///     const auto plan = segue::plan_by_strategy(graph, tpus, segue::Strategy::kBalanced).plan;
///     std::fputs(segue::plan_text(plan, {}).c_str(), stdout);
///     segue::write_file("plan.csv", segue::plan_table(plan).to_csv());
///
/// Formats: docs/formats.md. Thread-safety: all functions are pure, except read_run, which reads a
/// file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segue/calibrate.h"
#include "segue/cost.h"
#include "segue/detection.h"
#include "segue/edgetpu.h"
#include "segue/graph.h"
#include "segue/model.h"
#include "segue/pipeline.h"
#include "segue/plan.h"
#include "segue/plan_set.h"
#include "segue/planner.h"
#include "segue/segmentation.h"
#include "segue/set_run.h"
#include "segue/sweep.h"
#include "segue/timeline.h"
#include "segue/toolchain.h"
#include "segue/verify.h"

namespace [[gnu::visibility("default")]] segue {

// --- Text and tables

/// Returns `text` with control characters and invalid UTF-8 replaced, truncated to `limit`
/// characters.
[[nodiscard]] std::string printable(std::string_view text, std::size_t limit = 200);

/// The width that texts fit unless another one is given, in characters.
inline constexpr std::size_t kTextWidth = 80;

/// Returns `text` with longer lines broken at spaces, except inside `code`. The rest of a line is
/// indented like its beginning, or as far as the text after its last gap of several spaces (as in
/// "key    text"). Words that are longer than `width` stay whole.
[[nodiscard]] std::string wrapped(std::string_view text, std::size_t width = kTextWidth);

/// A table of text cells with column titles. Columns are right-aligned unless stated otherwise.
struct Table {
  enum class Align { kLeft, kRight };
  /// The number in a cell, if it is one. CSV has the number itself; a text has it in a larger unit.
  enum class Unit {
    kNone,   // shown as it is
    kBytes,  // bytes; shown in MiB
    kTime,   // ns; shown in ms
    kShare,  // a share of 1; shown in percent
  };
  struct Column {
    std::string title;  // in CSV; ends in the unit of the cells, if they have one
    Align align = Align::kRight;
    Unit unit = Unit::kNone;
    std::string shown = {};  // title in a text; empty: `title`
    /// A text that is too narrow leaves out the columns with the largest number first; 0: never.
    std::uint32_t spare = 0;
  };
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;

  /// Aligned columns for a terminal with lines of at most `width` characters. If they are wider,
  /// titles and cells of left-aligned columns are broken over several lines; then spare columns are
  /// left out, and a line below the table names them; then long words are shortened ("beg…end").
  [[nodiscard]] std::string to_text(std::size_t width = kTextWidth) const;
  /// Returns the columns that a text of this width shows.
  [[nodiscard]] std::vector<bool> columns_shown(std::size_t width) const;
  /// CSV, quoted as in RFC 4180, with lines that end in \n. Text that a spreadsheet would evaluate
  /// as a formula is prefixed with an apostrophe.
  [[nodiscard]] std::string to_csv() const;
  /// A Markdown table.
  [[nodiscard]] std::string to_markdown() const;
};

// --- Plans and simulations

/// Describes a plan on one screen. `others` are plans of other strategies on the same number of
/// devices; each gets one line. If one of them is faster, the text begins with it.
[[nodiscard]] std::string plan_text(const Plan& plan, std::span<const Plan> others,
                                    std::size_t width = kTextWidth);
/// One row per stage.
[[nodiscard]] Table plan_table(const Plan& plan);

/// One row per operator, stage by stage: where the simulated compiler stores its parameters, their
/// size on the device in bytes, and its cycles.
[[nodiscard]] Table plan_operator_table(const Plan& plan, const Graph& graph,
                                        const DeviceSpec& device);

/// Describes the plan of a set of models: what each model reaches, and what each TPU runs.
[[nodiscard]] std::string set_text(const SetPlan& plan, std::size_t width = kTextWidth);
/// One row per model.
[[nodiscard]] Table set_table(const SetPlan& plan);
/// One row per TPU.
[[nodiscard]] Table set_tpu_table(const SetPlan& plan);

/// Describes the simulation of a plan (timeline.h): time per stage by cause, throughput, latency,
/// and suggestions.
[[nodiscard]] std::string simulate_text(const Plan& plan, const Timeline& timeline,
                                        const TimelineOptions& options,
                                        std::size_t width = kTextWidth);
[[nodiscard]] Table simulate_table(const Plan& plan, const Timeline& timeline);
[[nodiscard]] std::string simulate_json(const Plan& plan, const Timeline& timeline,
                                        const TimelineOptions& options);

// --- Runs

/// The highest temperature of a device during a run.
struct DeviceTemperature {
  std::string device;
  double celsius = 0;
};

/// A class of a classifier's output.
struct ClassScore {
  std::size_t index = 0;
  std::string label;  // empty if unknown
  double score = 0;   // dequantized softmax output, 0 to 1
};
/// The best classes of one input file, in descending order of score.
struct ClassifiedInput {
  std::string file;
  std::vector<ClassScore> classes;
};

/// A detected object.
struct LabelledDetection {
  Detection box;
  std::string label;  // empty if unknown
};
/// Returns the label, or "class 17".
[[nodiscard]] std::string class_name(const LabelledDetection& detection);
/// The objects in one input picture, in descending order of score.
struct DetectedInput {
  std::string file;
  std::uint32_t width = 0;  // of the picture, in pixels
  std::uint32_t height = 0;
  std::vector<LabelledDetection> boxes;
};

/// The result of running a pipeline. Times in `predicted` are simulated; all others are measured.
struct RunReport {
  std::string model;
  std::string backend;  // Backend::description()
  PipelineStatistics measured;
  std::optional<Plan> predicted;                    // the plan of the pipeline, if it has one
  std::optional<double> time_scale = std::nullopt;  // of simulated devices
  std::vector<DeviceTemperature> hottest = {};      // of devices whose drivers report it
  std::vector<ClassifiedInput> classified = {};
  std::vector<DetectedInput> detected = {};
};
[[nodiscard]] std::string run_text(const RunReport& report, std::size_t width = kTextWidth);
[[nodiscard]] Table run_table(const RunReport& report);
[[nodiscard]] std::string run_json(const RunReport& report);
/// A run of a set: a report for each model, in the order of the plan, and the devices.
struct SetRunReport {
  SetPlan plan;
  std::string backend;
  std::vector<RunReport> models;
  std::vector<SharedDeviceStatistics> devices;
};
[[nodiscard]] std::string set_run_text(const SetRunReport& report, std::size_t width = kTextWidth);
/// One row per model.
[[nodiscard]] Table set_run_table(const SetRunReport& report);
[[nodiscard]] std::string set_run_json(const SetRunReport& report);

/// Reads the output of run_json: model, backend, and the measurements of the pipeline and of each
/// stage on devices. The plan is not in the file and stays empty. Throws Error(kInvalidArgument)
/// with the invalid key, and as read_text_file.
[[nodiscard]] RunReport read_run(const std::filesystem::path& path);

// --- Devices and calibration

/// The table of devices, and the number of devices that libedgetpu does not list.
[[nodiscard]] std::string devices_text(std::span<const EdgeTpuDevice> devices,
                                       std::size_t width = kTextWidth);
[[nodiscard]] Table devices_table(std::span<const EdgeTpuDevice> devices);
[[nodiscard]] std::string devices_json(std::span<const EdgeTpuDevice> devices);
[[nodiscard]] std::string doctor_text(std::span<const Finding> findings);
[[nodiscard]] std::string doctor_json(std::span<const Finding> findings);

/// A calibration: the measured constants, those of the base, and the check.
[[nodiscard]] std::string calibration_text(const CalibrationResult& result,
                                           std::size_t width = kTextWidth);
[[nodiscard]] std::string calibration_json(const CalibrationResult& result);

// --- Compilation

/// The results of edgetpu_compiler for each segment, with the reason of each failure.
[[nodiscard]] std::string compile_text(const FolderCompilation& result);
[[nodiscard]] Table compile_table(const FolderCompilation& result);
[[nodiscard]] std::string compile_json(const FolderCompilation& result);

// --- Strategies

/// A comparison of plans: stages and replicas, throughput, latency, speed-up, efficiency, and
/// whether a plan is on the Pareto front of throughput, latency and TPUs used.
[[nodiscard]] std::string compare_text(const std::string& model, std::span<const ComparedPlan> rows,
                                       std::size_t width = kTextWidth);
[[nodiscard]] Table compare_table(std::span<const ComparedPlan> rows);
[[nodiscard]] std::string compare_json(const std::string& model,
                                       std::span<const ComparedPlan> rows);

/// Returns " on 3 TPUs" or " on 2xedgetpu-usb3 1xedgetpu-pcie"; empty for a stage on one TPU of a
/// single pool.
[[nodiscard]] std::string placement_text(const Plan& plan, const Stage& stage);
/// The files of a split: one row per segment.
[[nodiscard]] Table split_table(const Plan& plan);
[[nodiscard]] std::string split_json(const Plan& plan, const std::string& folder,
                                     std::uint64_t bytes);

/// The verdict of check_certificate in one line: "Accepted: …" or "Rejected: …".
[[nodiscard]] std::string certificate_text(const CertificateVerdict& verdict);
[[nodiscard]] std::string certificate_json(const CertificateVerdict& verdict);

/// How plan_model found a plan, one line each: the moves of the refinement, the effort of a
/// profile, why no more devices were added, and the throughput on a shared link if waiting lowers
/// it.
[[nodiscard]] std::string plan_notes(const PlanResult& result, const PlanRequest& request,
                                     const Graph& graph);

/// The content of a page.
struct PageContent {
  const Graph& graph;
  std::span<const ComparedPlan> plans;  // of this model and device; at least one
  std::size_t chosen = 0;               // position of the plan that is shown first
  std::span<const DevicePool> pools;    // of the chosen plan
  std::optional<RunReport> run = std::nullopt;
  std::uint64_t inputs = 15;  // of the timelines
};

/// Plans as one HTML file that needs no network: verdict, timeline of each device, memory, time by
/// cause, comparison of strategies, cuts in the model, and a run next to the prediction. Equal
/// content gives equal bytes. Names in the model are inserted as text only. About 100 KB, and 10 KB
/// for each plan of eight stages. Throws Error(kInvalidArgument) without a plan, and as
/// simulate_timeline.
[[nodiscard]] std::string plans_page(const PageContent& content);

// --- Traces
//
// For viewers of the Trace Event Format (https://ui.perfetto.dev, chrome://tracing): one track per
// device, arrows that follow inputs from stage to stage, and a counter per queue.

/// The trace of a simulated pipeline, with the parts of each device's time. Throws
/// Error(kInvalidArgument) if the timeline has no events (TimelineOptions::records_events).
[[nodiscard]] std::string trace_json(const Plan& plan, const Timeline& timeline);

/// The trace of a pipeline that ran (PipelineOptions::trace_capacity).
[[nodiscard]] std::string trace_json(const std::string& model, const PipelineTrace& trace);

/// Rows of a sweep, one line each; dashes for those without a plan.
[[nodiscard]] std::string sweep_text(std::span<const SweepRow> rows,
                                     std::size_t width = kTextWidth);
[[nodiscard]] Table sweep_table(std::span<const SweepRow> rows);

// --- Models and segments

/// Returns one sentence for each assumption about a model: a batch of 1 where the file leaves it
/// open, and shapes that are computed at run time. Empty for most models, and for models that
/// cannot be planned.
[[nodiscard]] std::vector<std::string> model_notes(const Model& model);

/// Returns the reasons why a model cannot be planned: the messages of check_not_compiled and
/// check_static_shapes.
[[nodiscard]] std::vector<std::string> obstacles_to_cutting(const Model& model);

/// Describes a model: totals, operators (optional) and, for compiled files, the bytes of each
/// program.
[[nodiscard]] std::string inspect_text(const Graph& graph,
                                       std::span<const CompiledExecutable> executables,
                                       bool with_operators, std::size_t width = kTextWidth);
/// One row per operator.
[[nodiscard]] Table operator_table(const Graph& graph);

/// One row per program of a compiled file, with its sizes in bytes.
[[nodiscard]] Table executable_table(std::span<const CompiledExecutable> executables);
[[nodiscard]] std::string inspect_json(const Graph& graph,
                                       std::span<const CompiledExecutable> executables);

/// The segments of a folder: operators, parameters (of the programs in compiled files), inputs and
/// outputs of each.
[[nodiscard]] std::string segments_text(const Split& split, std::size_t width = kTextWidth);
[[nodiscard]] Table segments_table(const Split& split);
[[nodiscard]] std::string segments_json(const Split& split);

// --- Verification

/// The result of verify_segments. `backend` is Backend::description().
[[nodiscard]] std::string verify_text(const VerifyReport& report, const std::string& backend);
[[nodiscard]] Table verify_table(const VerifyReport& report);
[[nodiscard]] std::string verify_json(const VerifyReport& report, const std::string& backend);

}  // namespace segue
