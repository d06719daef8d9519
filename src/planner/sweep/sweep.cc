#include "segue/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

#include "base/internal/json/node.h"
#include "planner/no_plan.h"
#include "planner/ordered_work.h"
#include "planner/sweep/limits.h"
#include "segue/error.h"
#include "segue/version.h"

namespace segue {
namespace {

using json::Json;

std::string hash_of(const Json& document) {
  const std::string text = document.dump();
  return sha256(std::as_bytes(std::span(text)));
}

template <typename T>
void require_list(const std::vector<T>& list, const char* what) {
  if (list.empty()) throw Error(ErrorCode::kInvalidArgument, fmt::format("a sweep needs {}", what));
  if (std::set<T>(list.begin(), list.end()).size() != list.size())
    throw Error(ErrorCode::kInvalidArgument, fmt::format("a sweep contains {} twice", what));
}

// Identifies a device by its constants, because a device file may change under the same name.
Json constants_of(DeviceSpec device) {
  Json constants = Json::object();
  for (const NamedConstant& constant : device_constants())
    constants[std::string(constant.key)] = constant.of(device)->value;
  // The ranges also depend on it.
  constants["host_knowledge"] = to_string(host_knowledge(device));
  if (device.calibration)
    constants["calibrated"] = {device.calibration->low, device.calibration->high};
  return constants;
}

struct OpenedModel {
  OpenedModel(const SweepModels& models, const std::string& name)
      : source(name), model(models.open(name)), hash(sha256(model.bytes())), graph(model) {}
  std::string source;
  Model model;
  std::string hash;
  Graph graph;
};

// Data that the jobs of one model on one device share.
struct Subject {
  std::shared_ptr<const OpenedModel> model;
  std::string source;  // of the device
  DevicePool kind;
  StrategyPlanner planner;
};

// Opens the models and devices of jobs, from any thread. Jobs with the same model and device are
// consecutive.
class Subjects {
 public:
  explicit Subjects(const SweepModels& models) : models_(models) {}
  [[nodiscard]] std::shared_ptr<const Subject> open(const SweepJob& job) {
    const std::scoped_lock lock(mutex_);
    if (subject_ && subject_->model->source == job.model && subject_->source == job.device)
      return subject_;
    auto model = subject_ && subject_->model->source == job.model
                     ? subject_->model
                     : std::make_shared<const OpenedModel>(models_, job.model);
    DevicePool kind = open_device_kind(job.device);
    StrategyPlanner planner(model->graph, kind.device, kMostComparedTpus, kind.shares_link);
    subject_ = std::make_shared<const Subject>(
        Subject{std::move(model), job.device, std::move(kind), std::move(planner)});
    return subject_;
  }

 private:
  const SweepModels& models_;
  std::mutex mutex_;
  std::shared_ptr<const Subject> subject_;
};

// Reports misspelled names and missing files before hours of work.
void check_subjects(const SweepModels& models, std::span<const SweepJob> jobs) {
  std::set<std::string_view> checked;
  std::map<std::string, std::string_view> devices;
  for (const SweepJob& job : jobs) {
    if (checked.insert(job.device).second) {
      const DevicePool kind = open_device_kind(job.device);
      const auto [same, is_new] = devices.emplace(to_string({&kind, 1}), job.device);
      if (!is_new) {
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("a sweep contains a device twice: '{}' and '{}'", same->second,
                                job.device));
      }
    }
    if (!checked.insert(job.model).second) continue;
    if (models.check) {
      models.check(job.model);
    } else {
      (void)models.open(job.model);
    }
  }
}

SweepRow begin_row(const SweepJob& job, const SweepSpec& spec, const Subject& subject) {
  SweepRow row;
  row.job = job.number;
  row.model = subject.model->model.name();
  row.model_sha256 = subject.model->hash;
  row.device = to_string({&subject.kind, 1});
  row.tpus = job.tpus;
  row.strategy = job.strategy;
  row.max_replicas = find_strategy(job.strategy).takes_limits ? spec.max_replicas : 0;
  row.key = hash_of({{"version", kVersion},
                     {"model", row.model},
                     {"model_sha256", row.model_sha256},
                     {"device", row.device},
                     {"constants", constants_of(subject.kind.device)},
                     {"tpus", row.tpus},
                     {"strategy", row.strategy},
                     {"max_replicas", row.max_replicas}});
  return row;
}

void fill_in(SweepRow& row, Plan plan) {
  plan.model.sha256 = row.model_sha256;
  const std::string text = to_json(plan);
  row.stages = plan.stages.size();
  row.replicas = replicas_of(plan);
  row.throughput_per_s = json::rounded(plan.predicted.throughput_per_s);
  row.latency = plan.predicted.latency;
  row.bottleneck = plan.predicted.bottleneck;
  row.range = plan.predicted.range.value();  // a new plan always has one
  row.speedup = json::rounded(plan.predicted.speedup);
  row.host_bytes = plan.host_bytes();
  row.host_operators = plan.host_operators();
  row.host_time = plan.host_time();
  row.largest_segment_bytes = plan.largest_stage_parameter_bytes();
  row.plan_sha256 = sha256(std::as_bytes(std::span(text)));
}

void run_job(SweepRow& row, const Subject& subject) {
  try {
    const StrategyRow& strategy = find_strategy(row.strategy);
    fill_in(row, subject.planner.plan(row.tpus, strategy, {.max_replicas = row.max_replicas}).plan);
  } catch (const Error& error) {
    if (!means_no_plan(error)) throw;
    row.reason = error.what();
  }
}

// Known rows by job and key, because a model may have changed and changed back.
class KnownRows {
 public:
  KnownRows(std::span<const SweepRow> rows, const std::string& sweep) {
    for (const SweepRow& row : rows) {
      if (row.sweep == sweep) rows_.emplace(std::pair(row.job, std::string_view(row.key)), &row);
    }
  }
  [[nodiscard]] const SweepRow* find(const SweepRow& wanted) const {
    const auto found = rows_.find({wanted.job, wanted.key});
    return found != rows_.end() ? found->second : nullptr;
  }

 private:
  std::map<std::pair<std::uint64_t, std::string_view>, const SweepRow*> rows_;
};

}  // namespace

std::vector<std::string> all_strategies() {
  std::vector<std::string> keys;
  for (const StrategyRow& row : strategy_table()) keys.emplace_back(row.key);
  return keys;
}

std::vector<SweepJob> sweep_jobs(const SweepSpec& spec) {
  require_list(spec.models, "a model");
  require_list(spec.devices, "a device");
  require_list(spec.tpus, "a number of TPUs");
  require_list(spec.strategies, "a strategy");
  for (const std::string& key : spec.strategies) (void)find_strategy(key);
  for (const std::uint32_t tpus : spec.tpus) {
    if (tpus == 0 || tpus > kMostComparedTpus) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("{} TPUs in a sweep: must be within 1 to {}", tpus, kMostComparedTpus));
    }
  }
  const std::uint64_t per_model = spec.devices.size() * spec.tpus.size() * spec.strategies.size();
  if (per_model > kMostJobs || spec.models.size() > kMostJobs / per_model) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format(
            "a sweep of {} models with {} jobs each is too large; the limit is {} jobs in total",
            spec.models.size(), per_model, kMostJobs));
  }
  std::vector<SweepJob> jobs;
  jobs.reserve(spec.models.size() * per_model);
  for (const std::string& model : spec.models) {
    for (const std::string& device : spec.devices) {
      for (const std::uint32_t tpus : spec.tpus) {
        for (const std::string& strategy : spec.strategies)
          jobs.push_back({jobs.size(), model, device, tpus, strategy});
      }
    }
  }
  return jobs;
}

std::string sweep_id(const SweepSpec& spec) {
  constexpr std::size_t kDigits = 16;
  const auto as_written = [](const std::vector<std::string>& names) {
    Json list = Json::array();
    for (const std::string& name : names) list.push_back(json::as_written(name));
    return list;
  };
  return hash_of({{"version", kVersion},
                  {"models", as_written(spec.models)},
                  {"devices", as_written(spec.devices)},
                  {"tpus", spec.tpus},
                  {"strategies", spec.strategies},
                  {"max_replicas", spec.max_replicas}})
      .substr(0, kDigits);
}

Shard parse_shard(std::string_view text) {
  Shard shard;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, shard.index);
  const bool has_slash = first.ec == std::errc{} && first.ptr != end && *first.ptr == '/';
  const auto second = has_slash ? std::from_chars(first.ptr + 1, end, shard.count) : first;
  if (has_slash && second.ec == std::errc{} && second.ptr == end && shard.index >= 1 &&
      shard.index <= shard.count)
    return shard;
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format(
          "--shard '{}': expected the shard and the number of shards, for example 1/8 to 8/8",
          text));
}

void run_sweep(const SweepSpec& spec, const SweepModels& models, const Shard& shard,
               std::span<const SweepRow> known,
               const std::function<void(const SweepRow& row, bool is_known)>& accept,
               std::uint32_t threads) {
  std::vector<SweepJob> jobs = sweep_jobs(spec);
  const std::uint64_t jobs_in_all = jobs.size();
  std::erase_if(jobs, [&](const SweepJob& job) { return !shard.has(job.number); });
  check_subjects(models, jobs);
  const std::string sweep = sweep_id(spec);
  const KnownRows done(known, sweep);
  Subjects subjects(models);
  run_in_order(
      jobs.size(), threads,
      [&](std::size_t i) {
        const auto subject = subjects.open(jobs[i]);
        SweepRow row = begin_row(jobs[i], spec, *subject);
        row.sweep = sweep;
        row.jobs = jobs_in_all;
        const SweepRow* const known_row = done.find(row);
        if (known_row == nullptr) run_job(row, *subject);
        return std::pair(known_row == nullptr ? row : *known_row, known_row != nullptr);
      },
      [&](std::size_t, const std::pair<SweepRow, bool>& row) { accept(row.first, row.second); });
}

}  // namespace segue
