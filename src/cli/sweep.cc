#include "segue/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/tpus.h"
#include "cli/written.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/report.h"
#include "segue/units.h"
#include "segue/zoo.h"

namespace segue::cli {
namespace {

struct SweepOptions {
  std::vector<std::string> models;
  bool whole_zoo = false;
  std::string tpus = "1..8";
  std::vector<std::string> devices{"edgetpu-pcie"};
  std::vector<std::string> strategies;
  std::uint32_t max_replicas = 0;
  std::string shard = "1/1";
  std::string output;
};

// Parses for example "1..8", "1,2,4" or "1,2,4..8".
std::vector<std::uint32_t> parse_numbers(const std::string& text) {
  std::vector<std::uint32_t> numbers;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const auto range = parse_range(std::string_view(text).substr(begin, end - begin));
    if (!range) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("--tpus '{}': expected numbers and ranges within 1..{}, for example 1,2,4..8",
                      text, kMostComparedTpus));
    }
    for (std::uint32_t tpus = range->first; tpus <= range->last; ++tpus) numbers.push_back(tpus);
    begin = end + 1;
  }
  return numbers;
}

SweepSpec spec_of(const SweepOptions& options) {
  SweepSpec spec;
  spec.models = options.models;
  if (options.whole_zoo) {
    for (const ZooEntry& entry : zoo_catalogue()) {
      if (entry.keras_parameters > 0) spec.models.push_back("zoo:" + entry.name);
    }
  }
  if (spec.models.empty())
    throw Error(ErrorCode::kInvalidArgument,
                "no models; name models, or pass --zoo for the built-in CNNs");
  spec.devices = options.devices;
  spec.tpus = parse_numbers(options.tpus);
  spec.max_replicas = options.max_replicas;
  if (!options.strategies.empty()) spec.strategies = options.strategies;
  const auto takes_limits = [](const std::string& key) { return find_strategy(key).takes_limits; };
  if (options.max_replicas > 0 && std::ranges::none_of(spec.strategies, takes_limits))
    throw Error(ErrorCode::kInvalidArgument,
                "--max-replicas applies to strategy optimal; add it to --strategies");
  return spec;
}

std::string line_of(const SweepRow& row) { return to_json(row) + "\n"; }

std::string lines_of(std::span<const SweepRow> rows) {
  std::string text;
  for (const SweepRow& row : rows) text += line_of(row);
  return text;
}

// The rows of a shard: rows from an earlier run, and new rows.
class ShardFile {
 public:
  ShardFile(const std::string& path, const std::string& sweep) : file_(path) {
    SweepLines lines = read_sweep(path);
    const auto other =
        std::ranges::find_if(lines.rows, [&](const SweepRow& row) { return row.sweep != sweep; });
    if (other != lines.rows.end()) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("{}: holds results of another sweep ({}, this one is {}): models, devices, "
                      "TPU counts, strategies or the version of segue differ; name another file",
                      path, other->sweep, sweep));
    }
    if (lines.is_torn) file_.cut_to(lines.complete_bytes);
    known_ = std::move(lines.rows);
    lines_ = known_.size();
    for (const SweepRow& row : known_) rows_.insert_or_assign(row.job, row);
  }

  [[nodiscard]] std::span<const SweepRow> known() const { return known_; }

  // Takes the row of a job. Appends it to the file if it is new.
  void take(const SweepRow& row, bool is_known) {
    rows_.insert_or_assign(row.job, row);
    if (is_known) return;
    file_.append(line_of(row));
    ++lines_;
  }

  // Drops rows that are outdated because their models or devices have changed.
  void drop_outdated() const {
    if (lines_ == rows_.size()) return;
    std::string text;
    for (const auto& [unused, row] : rows_) text += line_of(row);
    write_file(file_.path(), text);
  }

 private:
  AppendedFile file_;
  std::vector<SweepRow> known_;
  std::map<std::uint64_t, SweepRow> rows_;  // of each job
  std::size_t lines_ = 0;                   // in the file
};

std::uint64_t jobs_of(const SweepSpec& spec, const Shard& shard) {
  const auto jobs = sweep_jobs(spec);
  return static_cast<std::uint64_t>(
      std::ranges::count_if(jobs, [&](const SweepJob& job) { return shard.has(job.number); }));
}

SweepModels named_models() {
  return {[](const std::string& name) { return open_model(name); }, check_model_name};
}

void sweep_into_file(const SweepSpec& spec, const Shard& shard, const std::string& path) {
  ShardFile file(path, sweep_id(spec));
  const std::uint64_t all = jobs_of(spec, shard);
  std::uint64_t kept = 0;
  Progress progress(all);
  run_sweep(spec, named_models(), shard, file.known(), [&](const SweepRow& row, bool is_known) {
    if (is_known) ++kept;
    file.take(row, is_known);
    progress.advance();
  });
  file.drop_outdated();
  print_note(fmt::format("{}: {} of {} of shard {}/{}{}", path, all, format_count(all, "job"),
                         shard.index, shard.count,
                         kept == 0 ? "" : fmt::format(", {} already in the file", kept)));
}

void sweep(const SweepOptions& options) {
  const SweepSpec spec = spec_of(options);
  const Shard shard = parse_shard(options.shard);
  if (!options.output.empty()) return sweep_into_file(spec, shard, options.output);
  run_sweep(spec, named_models(), shard, {},
            [](const SweepRow& row, bool) { print(line_of(row)); });
}

struct MergeOptions {
  std::vector<std::string> files;
  bool partial = false;
  bool ndjson = false;
  bool csv = false;
  std::string output;
};

void merge(const MergeOptions& options) {
  std::vector<SweepRow> rows;
  for (const std::string& file : options.files) {
    SweepLines lines = read_sweep(file);
    if (lines.is_torn) print_note(file + ": the last line is incomplete and was ignored");
    std::ranges::move(lines.rows, std::back_inserter(rows));
  }
  rows =
      merge_sweep(std::move(rows), options.partial ? Completeness::kAny : Completeness::kRequired);
  if (!options.output.empty()) write_noted(options.output, lines_of(rows));
  if (options.ndjson) return print(lines_of(rows));
  if (options.csv) return print(sweep_table(rows).to_csv());
  print_text(sweep_text(rows, text_width()));
}

}  // namespace

void add_sweep(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "sweep",
      "Plan all combinations of models, devices, TPU counts and strategies, as JSON lines");
  auto options = std::make_shared<SweepOptions>();
  command->add_option("MODEL", options->models, ".tflite files, or zoo:NAME[@SIZE]");
  command->add_flag("--zoo", options->whole_zoo, "Also plan the built-in CNNs");
  command->add_option("--tpus", options->tpus,
                      "TPU counts and ranges, for example 1,2,4..8 (default 1..8)");
  command
      ->add_option("--devices", options->devices,
                   "Device names or device files, comma-separated (default edgetpu-pcie)")
      ->delimiter(',');
  command
      ->add_option("--strategies", options->strategies, "Strategies, comma-separated (default all)")
      ->delimiter(',')
      ->check(CLI::IsMember(strategy_names()));
  add_max_replicas(*command, options->max_replicas);
  command->add_option(
      "--shard", options->shard,
      "Shard I of N, for example 3/8: every N-th job, starting with the I-th (default 1/1)");
  add_output(
      *command, options->output,
      "Append results to this file, and resume a sweep where the file ends (default: print them)");
  command->callback([options] { sweep(*options); });
}

void add_merge(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("merge", "Merge the shards of a sweep, and check that no job is missing");
  auto options = std::make_shared<MergeOptions>();
  command->add_option("FILE", options->files, "Output files of `segue sweep`, in any order")
      ->required();
  command->add_flag("--partial", options->partial, "Accept missing jobs");
  auto* ndjson =
      command->add_flag("--ndjson", options->ndjson, "Print the JSON lines, sorted by job");
  command->add_flag("--csv", options->csv, "Print the table as CSV")->excludes(ndjson);
  add_output(*command, options->output,
             std::string("Also write the JSON lines, sorted by job, to this file") + kReplaces);
  command->callback([options] { merge(*options); });
}

}  // namespace segue::cli
