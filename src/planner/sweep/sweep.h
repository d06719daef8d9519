/// Plans by the thousand: models x devices x numbers of TPUs x strategies, as jobs that know
/// nothing of one another.
///
/// A sweep is a list of jobs in a fixed order; a shard takes every n-th of them. Each result is one
/// line of JSON that says which job of which sweep it is, what it was made from (`key`) and what
/// came out, so that shards can run anywhere, stop anywhere, and be put together by a program that
/// knows nothing but the lines. The same job gives the same line on every machine.
///
/// Line, "segue.sweep/2": `sweep`, `job`, `jobs`, `key`, `model`, `model_sha256`, `device`, `tpus`,
/// `strategy`, `max_replicas`, `feasible`, then `reason`, or `stages`, `replicas`,
/// `throughput_per_s`, `throughput_range_per_s`, `latency_ns`, `latency_range_ns`,
/// `bottleneck_ns`, `bottleneck_range_ns`, `speedup`, `host_bytes`, `host_operators`, `host_ns`,
/// `largest_segment_bytes`, `plan_sha256`. All numbers are simulated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segue/planner.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

struct SweepSpec {
  std::vector<std::string> models;   // files, or zoo:NAME[@SIZE]
  std::vector<std::string> devices;  // names of one kind of device each, or device files
  std::vector<std::uint32_t> tpus;
  std::vector<Strategy> strategies{kStrategies.begin(), kStrategies.end()};
  std::uint32_t max_replicas = 0;  // of `optimal`; 0: no limit
};

struct SweepJob {
  std::uint64_t number = 0;  // from 0
  std::string model;
  std::string device;
  std::uint32_t tpus = 0;
  Strategy strategy = Strategy::kBalanced;
};

/// Model by model, then device, number of TPUs, strategy. Throws Error(kInvalidArgument) where a
/// list is empty, names something twice, or there are more than a million jobs.
[[nodiscard]] std::vector<SweepJob> sweep_jobs(const SweepSpec& spec);

/// The name of a sweep: a hash of its lists and of Segue's version, 16 hexadecimal digits. What is
/// in the files that it names is in the keys of the lines.
[[nodiscard]] std::string sweep_id(const SweepSpec& spec);

/// Part `index` of `count`, from 1.
struct Shard {
  std::uint64_t index = 1;
  std::uint64_t count = 1;
  [[nodiscard]] bool has(std::uint64_t job) const { return count > 0 && job % count == index - 1; }
};
/// Reads "3/8". Throws Error(kInvalidArgument).
[[nodiscard]] Shard parse_shard(std::string_view text);

/// What came out of a job; where `plan_sha256` is empty, there is no plan, and `reason` says why.
struct SweepRow {
  std::string sweep;
  std::uint64_t job = 0;
  std::uint64_t jobs = 0;  // of the whole sweep
  std::string key;         // hash of version, model, constants of the device, and options
  std::string model;       // its name
  std::string model_sha256;
  std::string device;
  std::uint32_t tpus = 0;
  Strategy strategy = Strategy::kBalanced;
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
  std::uint32_t host_operators = 0;  // that no device computes
  Nanoseconds host_time{0};          // of those, for one input
  std::uint64_t largest_segment_bytes = 0;
  std::string plan_sha256;  // of plan.json

  [[nodiscard]] bool is_feasible() const { return !plan_sha256.empty(); }
};

/// One line, without its end.
[[nodiscard]] std::string to_json(const SweepRow& row);
/// Throws Error(kInvalidArgument) with the path of the offending key.
[[nodiscard]] SweepRow parse_sweep_row(std::string_view line, const std::string& label);

/// How the models of a sweep are found.
struct SweepModels {
  std::function<Model(const std::string& name)> open;
  /// Throws where `open` would, and takes less time; empty: `open` is called.
  std::function<void(const std::string& name)> check = {};
};

/// Runs the jobs of a shard on `threads` threads, 0: one per core, and hands out each row in order
/// on the calling one. `known` rows whose key is that of
/// their job are handed out again instead of being computed. Models are opened once each. Throws as
/// `models` and open_device, before the first row where a name or a file is wrong, and what
/// `accept` throws.
void run_sweep(const SweepSpec& spec, const SweepModels& models, const Shard& shard,
               std::span<const SweepRow> known,
               const std::function<void(const SweepRow& row, bool is_known)>& accept,
               std::uint32_t threads = 0);

/// The lines of a file that was written line after line: whole rows, and whether something else, as
/// the beginning of a row, is left out.
struct SweepLines {
  std::vector<SweepRow> rows;
  bool is_torn = false;  // the last line has no end
};
/// Throws as parse_sweep_row, with the line's number.
[[nodiscard]] SweepLines parse_sweep(std::string_view text, const std::string& label);

enum class Completeness { kRequired, kAny };

/// Puts rows of one sweep together: each job once, in order. Throws Error(kMismatch) where two
/// rows of a job differ, Error(kInvalidArgument) where there are several sweeps or none, and, where
/// completeness is required, Error(kInfeasible) naming the jobs that are missing.
[[nodiscard]] std::vector<SweepRow> merge_sweep(std::vector<SweepRow> rows, Completeness needed);

}  // namespace segue
