/// Sweeps: plans for all combinations of models, devices, numbers of TPUs and strategies.
///
/// A sweep is a list of independent jobs in a fixed order. A shard runs every n-th job. Each result
/// is one line of JSON with the job, the sweep, a hash of its inputs (`key`) and the result. Shards
/// can therefore run on different machines and be interrupted, and a program that has only the
/// lines can merge them. Equal jobs give equal lines on every machine.
///
/// Example:
///
///     const segue::SweepSpec spec{
///         .models = {"a.tflite"}, .devices = {"edgetpu-pcie"}, .tpus = {1, 2}};
///     const segue::SweepModels models{[](const std::string& name) {
///       return segue::read_model(name);
///     }};
///     segue::run_sweep(spec, models, {}, {}, [](const segue::SweepRow& row, bool) {
///       std::printf("%s\n", segue::to_json(row).c_str());
///     });
///
/// Line format, "segue.sweep/2": `sweep`, `job`, `jobs`, `key`, `model`, `model_sha256`, `device`,
/// `tpus`, `strategy`, `max_replicas`, `feasible`, then `reason`, or `stages`, `replicas`,
/// `throughput_per_s`, `throughput_range_per_s`, `latency_ns`, `latency_range_ns`,
/// `bottleneck_ns`, `bottleneck_range_ns`, `speedup`, `host_bytes`, `host_operators`, `host_ns`,
/// `largest_segment_bytes`, `plan_sha256`. All numbers are simulated. See docs/sweeps.md.
///
/// Thread-safety: all functions are pure, except run_sweep. It calls `accept` in the calling
/// thread, and SweepModels::open in its worker threads, one call at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segue/planner.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

/// Returns the keys of strategy_table().
[[nodiscard]] std::vector<std::string> all_strategies();

/// The lists whose combinations are the jobs.
struct SweepSpec {
  std::vector<std::string> models;   // files, or zoo:NAME[@SIZE]
  std::vector<std::string> devices;  // names of one kind of device each, or device files
  std::vector<std::uint32_t> tpus;
  std::vector<std::string> strategies = all_strategies();  // keys of strategy_table()
  std::uint32_t max_replicas = 0;                          // for strategy "optimal"; 0: no limit
};

/// One combination.
struct SweepJob {
  std::uint64_t number = 0;  // from 0
  std::string model;
  std::string device;
  std::uint32_t tpus = 0;
  std::string strategy;
};

/// Returns all jobs, ordered by model, device, number of TPUs and strategy. Throws
/// Error(kInvalidArgument) when a list is empty or has duplicates, for an unknown strategy, or for
/// more than a million jobs.
[[nodiscard]] std::vector<SweepJob> sweep_jobs(const SweepSpec& spec);

/// Returns the name of a sweep: a hash of its lists and of Segue's version, 16 hexadecimal digits.
/// The contents of model and device files are part of the keys of the lines instead.
[[nodiscard]] std::string sweep_id(const SweepSpec& spec);

/// Part `index` of `count`; `index` counts from 1.
struct Shard {
  std::uint64_t index = 1;
  std::uint64_t count = 1;
  [[nodiscard]] bool has(std::uint64_t job) const { return count > 0 && job % count == index - 1; }
};
/// Parses "3/8". Throws Error(kInvalidArgument).
[[nodiscard]] Shard parse_shard(std::string_view text);

/// The result of a job. If there is no plan, `plan_sha256` is empty and `reason` explains why.
struct SweepRow {
  std::string sweep;
  std::uint64_t job = 0;
  std::uint64_t jobs = 0;  // of the whole sweep
  std::string key;         // hash of version, model, constants of the device, and options
  std::string model;       // its name
  std::string model_sha256;
  std::string device;
  std::uint32_t tpus = 0;
  std::string strategy;
  std::uint32_t max_replicas = 0;
  std::string reason;
  std::uint64_t stages = 0;
  std::vector<std::uint32_t> replicas;
  double throughput_per_s = 0;
  Nanoseconds latency{0};
  Nanoseconds bottleneck{0};
  PredictionRange range;  // of both times
  double speedup = 0;
  std::uint64_t host_bytes = 0;
  std::uint32_t host_operators = 0;  // operators on the host, all stages
  Nanoseconds host_time{0};          // their time for one input
  std::uint64_t largest_segment_bytes = 0;
  std::string plan_sha256;  // of plan.json

  [[nodiscard]] bool is_feasible() const { return !plan_sha256.empty(); }
};

/// Returns one line, without the line break.
[[nodiscard]] std::string to_json(const SweepRow& row);
/// Parses a line. Throws Error(kInvalidArgument) with the path of the invalid key.
[[nodiscard]] SweepRow parse_sweep_row(std::string_view line, const std::string& label);

/// Functions that open the models of a sweep.
struct SweepModels {
  std::function<Model(const std::string& name)> open;
  /// A fast check that throws when `open` would; empty: `open` is called instead.
  std::function<void(const std::string& name)> check = {};
};

/// Runs the jobs of a shard on `threads` threads (0: one per core), and passes each row to `accept`
/// in order, in the calling thread. Rows in `known` with the key of their job are passed on instead
/// of being computed. Each model is opened once. Throws as `models` and open_device, before the
/// first row if a name or a file is wrong, and what `accept` throws.
void run_sweep(const SweepSpec& spec, const SweepModels& models, const Shard& shard,
               std::span<const SweepRow> known,
               const std::function<void(const SweepRow& row, bool is_known)>& accept,
               std::uint32_t threads = 0);

/// The rows of a file to which lines were appended, without an incomplete last line.
struct SweepLines {
  std::vector<SweepRow> rows;
  bool is_torn = false;            // the last line is incomplete
  std::size_t complete_bytes = 0;  // length of the complete lines
};
/// Parses the text of a file. Throws as parse_sweep_row, with the line number.
[[nodiscard]] SweepLines parse_sweep(std::string_view text, const std::string& label);
/// Reads a file of at most 2 GiB. Throws as read_text_file and parse_sweep.
[[nodiscard]] SweepLines read_sweep(const std::filesystem::path& file);

/// Whether merge_sweep requires all jobs.
enum class Completeness { kRequired, kAny };

/// Merges rows of one sweep: each job once, in order. Throws Error(kMismatch) when two rows of a
/// job differ, Error(kInvalidArgument) when the rows are of several sweeps or there are none, and,
/// with kRequired, Error(kInfeasible) with the missing jobs.
[[nodiscard]] std::vector<SweepRow> merge_sweep(std::vector<SweepRow> rows, Completeness needed);

}  // namespace segue
