// Rows of a sweep as lines of text, and merging of lines.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/internal/json/node.h"
#include "plan/internal/time_json.h"
#include "planner/sweep/limits.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/sweep.h"
#include "segue/units.h"

namespace segue {
namespace {

using json::Json;
using json::Node;

constexpr const char* kSchema = "segue.sweep/2";

std::vector<std::string_view> keys_of(bool is_feasible) {
  std::vector<std::string_view> keys{"schema",   "kind",         "sweep",        "job",    "jobs",
                                     "key",      "model",        "model_sha256", "device", "tpus",
                                     "strategy", "max_replicas", "feasible"};
  if (!is_feasible) {
    keys.emplace_back("reason");
    return keys;
  }
  keys.insert(keys.end(),
              {"stages", "replicas", "throughput_per_s", "throughput_range_per_s", "latency_ns",
               "latency_range_ns", "bottleneck_ns", "bottleneck_range_ns", "speedup", "host_bytes",
               "host_operators", "host_ns", "largest_segment_bytes", "plan_sha256"});
  return keys;
}

void read_result(const Node& node, SweepRow& row) {
  if (!node["feasible"].truth()) {
    row.reason = node["reason"].text();
    return;
  }
  row.stages = node["stages"].number();
  for (const Node& replicas : node["replicas"].elements())
    row.replicas.push_back(replicas.small_number());
  row.throughput_per_s = node["throughput_per_s"].real();
  constexpr std::uint64_t kLongest = 1ULL << 62U;
  row.latency = Nanoseconds(node["latency_ns"].number(kLongest));
  row.bottleneck = Nanoseconds(node["bottleneck_ns"].number(kLongest));
  row.range = {read_range(node["bottleneck_range_ns"], row.bottleneck, kLongest),
               read_range(node["latency_range_ns"], row.latency, kLongest)};
  expect_rates(node["throughput_range_per_s"], row.range.throughput_per_s());
  row.speedup = node["speedup"].real();
  row.host_bytes = node["host_bytes"].number();
  row.host_operators = node["host_operators"].small_number();
  row.host_time = Nanoseconds(node["host_ns"].number(kLongest));
  row.largest_segment_bytes = node["largest_segment_bytes"].number();
  row.plan_sha256 = node["plan_sha256"].text();
  if (row.plan_sha256.empty()) node["plan_sha256"].fail("is empty");
}

// Returns "4, 5, 6 and 17 more".
std::string first_of(const std::vector<std::uint64_t>& numbers) {
  constexpr std::size_t kShown = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(numbers.size(), kShown); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(numbers[i]);
  return numbers.size() <= kShown ? text
                                  : text + fmt::format(" and {} more", numbers.size() - kShown);
}

// The jobs of a model are consecutive, so two versions of its file are visible between them.
void require_one_version(std::span<const SweepRow> rows) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const SweepRow& row = rows[i];
    if (i > 0 && row.model == rows[i - 1].model && row.model_sha256 == rows[i - 1].model_sha256)
      continue;
    if (!seen.emplace(row.model, row.model_sha256).second) {
      throw Error(
          ErrorCode::kMismatch,
          fmt::format("jobs {} and {}: {} has the SHA-256 {} in one and {} in the other; run "
                      "all shards on the same file",
                      row.job - 1, row.job, row.model, rows[i - 1].model_sha256, row.model_sha256));
    }
  }
}

void require_all(const std::vector<SweepRow>& rows) {
  std::vector<std::uint64_t> missing;
  std::uint64_t next = 0;
  for (const SweepRow& row : rows) {
    for (; next < row.job; ++next) missing.push_back(next);
    next = row.job + 1;
  }
  for (; next < rows.front().jobs; ++next) missing.push_back(next);
  if (missing.empty()) return;
  throw Error(ErrorCode::kInfeasible,
              fmt::format("sweep {}: {} of {} are missing ({}); run their shards again, or merge "
                          "without them (`segue merge --partial`)",
                          rows.front().sweep, missing.size(),
                          format_count(rows.front().jobs, "job"), first_of(missing)));
}

}  // namespace

std::string to_json(const SweepRow& row) {
  Json line{{"schema", kSchema},
            {"kind", "simulated"},
            {"sweep", row.sweep},
            {"job", row.job},
            {"jobs", row.jobs},
            {"key", row.key},
            {"model", row.model},
            {"model_sha256", row.model_sha256},
            {"device", row.device},
            {"tpus", row.tpus},
            {"strategy", row.strategy},
            {"max_replicas", row.max_replicas},
            {"feasible", row.is_feasible()}};
  if (row.is_feasible()) {
    line.update({{"stages", row.stages},
                 {"replicas", row.replicas},
                 {"throughput_per_s", row.throughput_per_s},
                 {"throughput_range_per_s", range_json(row.range.throughput_per_s())},
                 {"latency_ns", row.latency.count()},
                 {"latency_range_ns", range_json(row.range.latency)},
                 {"bottleneck_ns", row.bottleneck.count()},
                 {"bottleneck_range_ns", range_json(row.range.bottleneck)},
                 {"speedup", row.speedup},
                 {"host_bytes", row.host_bytes},
                 {"host_operators", row.host_operators},
                 {"host_ns", row.host_time.count()},
                 {"largest_segment_bytes", row.largest_segment_bytes},
                 {"plan_sha256", row.plan_sha256}});
  } else {
    line["reason"] = row.reason;
  }
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

SweepRow parse_sweep_row(std::string_view line, const std::string& label) {
  const Json document = json::parse(line, label);
  const Node node(document, "", label);
  const bool is_feasible = document.is_object() && document.contains("plan_sha256");
  node.expect_keys(keys_of(is_feasible));
  node["schema"].expect_schema(kSchema);
  SweepRow row;
  row.sweep = node["sweep"].text();
  row.jobs = node["jobs"].number(kMostJobs);
  if (row.jobs == 0) node["jobs"].fail("must be at least 1");
  row.job = node["job"].number(row.jobs - 1);
  row.key = node["key"].text();
  row.model = node["model"].text();
  row.model_sha256 = node["model_sha256"].text();
  row.device = node["device"].text();
  row.tpus = node["tpus"].small_number();
  row.strategy = node["strategy"].text_as(
      [](std::string_view key) { return std::string(find_strategy(key).key); });
  row.max_replicas = node["max_replicas"].small_number();
  if (node["feasible"].truth() != is_feasible) node["feasible"].fail("contradicts the other keys");
  read_result(node, row);
  return row;
}

SweepLines parse_sweep(std::string_view text, const std::string& label) {
  SweepLines result;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) {
      const std::string begin = fmt::format(R"({{"schema":"{}")", kSchema);
      if (!begin.starts_with(text.substr(0, begin.size()))) {
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("{}, line {}: not a result of `segue sweep`; name another file",
                                label, number + 1));
      }
      result.is_torn = true;
      break;
    }
    ++number;
    result.complete_bytes += end + 1;
    if (end > 0) {
      result.rows.push_back(
          parse_sweep_row(text.substr(0, end), fmt::format("{}, line {}", label, number)));
    }
    text.remove_prefix(end + 1);
  }
  return result;
}

SweepLines read_sweep(const std::filesystem::path& file) {
  constexpr std::size_t kLargestFileBytes = std::size_t{1} << 31U;
  return parse_sweep(read_text_file(file, kLargestFileBytes), file.string());
}

std::vector<SweepRow> merge_sweep(std::vector<SweepRow> rows, Completeness needed) {
  if (rows.empty()) throw Error(ErrorCode::kInvalidArgument, "no rows to merge");
  std::ranges::stable_sort(rows, {}, &SweepRow::job);
  std::vector<SweepRow> merged;
  for (SweepRow& row : rows) {
    if (row.sweep != rows.front().sweep || row.jobs != rows.front().jobs) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("rows belong to different sweeps ({} and {}); merge each sweep separately",
                      rows.front().sweep, row.sweep));
    }
    if (merged.empty() || merged.back().job != row.job) {
      merged.push_back(row);
    } else if (to_json(merged.back()) != to_json(row)) {
      throw Error(ErrorCode::kMismatch,
                  fmt::format("job {} ({} on {} TPUs, {}) has two different results: {}", row.job,
                              row.model, row.tpus, row.strategy,
                              merged.back().key == row.key
                                  ? "the machines computed different values"
                                  : "the model or the device was changed between them"));
    }
  }
  require_one_version(merged);
  if (needed == Completeness::kRequired) require_all(merged);
  return merged;
}

}  // namespace segue
