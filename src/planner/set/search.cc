// Which models share TPUs, and how many each group gets.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "planner/set/groups.h"
#include "planner/set/layouts.h"
#include "segue/error.h"
#include "segue/plan_set.h"

namespace segue {
namespace {

using Mask = std::uint32_t;

// Groups that have been chosen, and what follows for the whole set.
struct Assignment {
  std::vector<const GroupCandidate*> groups = {};
  double reach = 1;
  Growth growth = {};
  std::uint32_t tpus = 0;
  double latency_ns = 0;
  Load link = {};
  Load host = {};

  [[nodiscard]] Assignment with(const GroupCandidate& group) const {
    Assignment result = *this;
    result.groups.push_back(&group);
    result.reach = std::min(reach, group.reach);
    result.growth.scale = std::min(growth.scale, group.growth.scale);
    result.growth.slack = std::min(growth.slack, group.growth.slack);
    result.tpus += group.tpus;
    result.latency_ns += group.latency_ns;
    result.link.fixed += group.link.fixed;
    result.link.scaled += group.link.scaled;
    result.host.fixed += group.host.fixed;
    result.host.scaled += group.host.scaled;
    return result;
  }
  // Adding a group never raises it.
  [[nodiscard]] auto quality() const { return std::tuple(reach, growth.scale, growth.slack); }
  [[nodiscard]] auto rank() const {
    return std::tuple(reach, growth.scale, growth.slack, -static_cast<double>(tpus), -latency_ns);
  }
};

class SetSearch {
 public:
  SetSearch(std::span<const Graph* const> graphs, const SetRequest& request)
      : request_(request), demands_(request), hop_(runner_hop(request.pool.device.timing)) {
    for (std::size_t m = 0; m < graphs.size(); ++m)
      choices_.emplace_back(*graphs[m], request.demands[m], request.pool);
  }

  // The best assignment on at most `tpus` TPUs. There is always one: all models on one TPU.
  [[nodiscard]] Assignment best(std::uint32_t tpus) {
    best_.reset();
    extend({}, (Mask{1} << choices_.size()) - 1, tpus);
    return *best_;
  }

  [[nodiscard]] const Demands& demands() const { return demands_; }
  [[nodiscard]] std::vector<SetChoices>& choices() { return choices_; }
  [[nodiscard]] Nanoseconds hop() const { return hop_; }

  // What the link and the host leave to the whole set.
  [[nodiscard]] Growth common_growth(const Assignment& assignment) const {
    Growth result = demands_.growth(assignment.host, request_.pool.device.host.cores.value);
    if (!request_.pool.shares_link) return result;
    const Growth link = demands_.growth(assignment.link, 1);
    return {std::min(result.scale, link.scale), std::min(result.slack, link.slack)};
  }

 private:
  void extend(const Assignment& chosen, Mask left, std::uint32_t tpus) {
    if (best_ && chosen.quality() < best_->quality()) return;
    if (left == 0) return finish(chosen);
    const Mask first = left & (~left + 1);
    const Mask others = left & ~first;
    // Every subset of the others, beginning with none.
    for (Mask joins = 0;; joins = (joins - others) & others) {
      for (std::uint32_t count = 1; count <= tpus; ++count) {
        for (const GroupCandidate& group : candidates(first | joins, count))
          extend(chosen.with(group), others & ~joins, tpus - count);
      }
      if (joins == others) return;
    }
  }

  void finish(Assignment chosen) {
    const Growth common = common_growth(chosen);
    chosen.growth.scale = std::min(chosen.growth.scale, common.scale);
    chosen.growth.slack = std::min(chosen.growth.slack, common.slack);
    chosen.reach = std::min(chosen.reach, common.slack);
    if (!best_ || chosen.rank() > best_->rank()) best_ = std::move(chosen);
  }

  const std::vector<GroupCandidate>& candidates(Mask group, std::uint32_t tpus) {
    const auto key = std::pair(group, tpus);
    const auto found = candidates_.find(key);
    if (found != candidates_.end()) return found->second;
    std::vector<std::uint32_t> models;
    for (std::uint32_t m = 0; m < choices_.size(); ++m)
      if ((group >> m & 1U) != 0) models.push_back(m);
    std::vector<GroupCandidate> made;
    if (models.size() > 1) {
      made = shared_candidates(models, tpus, choices_, demands_, hop_);
    } else if (const auto& plan = choices_[models[0]].own(tpus)) {
      made.push_back(own_candidate(models[0], *plan, demands_));
    }
    return candidates_.emplace(key, std::move(made)).first->second;
  }

  const SetRequest& request_;
  Demands demands_;
  Nanoseconds hop_;
  std::vector<SetChoices> choices_;
  std::map<std::pair<Mask, std::uint32_t>, std::vector<GroupCandidate>> candidates_;
  std::optional<Assignment> best_;
};

// --- From the best assignment to a plan

class SetWriter {
 public:
  SetWriter(std::span<const Graph* const> graphs, const SetRequest& request, SetSearch& search,
            const Assignment& chosen)
      : graphs_(graphs), request_(request), search_(search), common_(search.common_growth(chosen)) {
    PoolName name = names_of(std::span(&request.pool, 1))[0];
    name.count = request.pool.count;
    plan_ = {.device = std::move(name), .headroom = request.headroom};
    for (const ModelDemand& demand : request.demands) plan_.models.push_back({.demand = demand});
    for (const GroupCandidate* group : chosen.groups) add(*group);
    plan_.tpus.resize(request.pool.count);
  }

  [[nodiscard]] SetPlan plan() && { return std::move(plan_); }

 private:
  void add(const GroupCandidate& group) {
    const double scale = std::min(group.growth.scale, common_.scale);
    for (const std::uint32_t m : group.models) {
      SetModel& model = plan_.models[m];
      const Load& rate = search_.demands().rates[m];
      model.rate_per_s = rate.at(search_.demands().scale_for_latency(scale));
      const double slack = std::min(group.growth.slack, common_.slack);
      // A model without a rate already has the largest one.
      model.slack = model.demand.rate_per_s ? slack : 1;
    }
    group.own != nullptr ? add_own(group) : add_shared(group, scale);
  }

  void add_own(const GroupCandidate& group) {
    SetModel& model = plan_.models[group.models[0]];
    model.plan = *group.own;
    model.latency = group.own->predicted.latency;
    for (std::uint32_t s = 0; s < model.plan.stages.size(); ++s) {
      const Stage& stage = model.plan.stages[s];
      std::vector<std::uint32_t>& tpus = model.tpus.emplace_back();
      for (std::uint32_t r = 0; r < stage.replicas; ++r) {
        tpus.push_back(static_cast<std::uint32_t>(plan_.tpus.size()));
        plan_.tpus.push_back({Sharing::kOwn,
                              {{group.models[0], s, stage.on_chip_bytes, stage.host_bytes,
                                stage.time.total(), Nanoseconds(0)}},
                              model.rate_per_s / stage.replicas * to_s(stage.time.total())});
      }
    }
  }

  void add_shared(const GroupCandidate& group, double scale) {
    std::vector<SetTpu> tpus = group.residents();
    const double pace = search_.demands().scale_for_latency(scale);
    const auto latencies = latencies_ns(group, tpus, search_.demands(), pace, search_.hop());
    const auto begin = static_cast<std::uint32_t>(plan_.tpus.size());
    for (std::size_t i = 0; i < group.models.size(); ++i) {
      SetModel& model = plan_.models[group.models[i]];
      model.plan = alone(group.models[i], *group.layouts[i], group.tpus);
      model.latency = Nanoseconds(std::llround(latencies[i]));
      const std::size_t stages = group.layouts[i]->size();
      model.tpus.resize(stages);
      for (std::uint32_t t = 0; t < group.tpus; ++t) {
        model.tpus[t % stages].push_back(begin + t);
        const double per_s = model.rate_per_s * static_cast<double>(stages) / group.tpus;
        tpus[t].utilisation +=
            per_s * to_s(tpus[t].residents[i].time + tpus[t].residents[i].reload);
      }
    }
    plan_.tpus.insert(plan_.tpus.end(), tpus.begin(), tpus.end());
  }

  // The same stages and copies on TPUs that the model would have alone.
  [[nodiscard]] Plan alone(std::uint32_t model, const SetLayout& layout, std::uint32_t tpus) const {
    Segmentation segmentation;
    for (const SetStage& stage : layout) segmentation.segments.push_back(stage.operators());
    const DevicePool pool{request_.pool.device, tpus, request_.pool.shares_link && tpus > 1};
    const auto copies = tpus / static_cast<std::uint32_t>(layout.size());
    const std::vector<PoolCounts> devices(layout.size(), PoolCounts{copies});
    return make_plan(*graphs_[model], segmentation, std::span(&pool, 1), Strategy::kManual,
                     devices);
  }

  std::span<const Graph* const> graphs_;
  const SetRequest& request_;
  SetSearch& search_;
  Growth common_;
  SetPlan plan_;
};

// --- Requests

[[noreturn]] void refuse_set(const std::string& reason, ErrorCode code) {
  throw Error(code, reason);
}

void check_demand(const ModelDemand& demand) {
  const auto fail = [&](const std::string& reason) {
    refuse_set(fmt::format("{}: {}", demand.name, reason), ErrorCode::kInvalidArgument);
  };
  const auto is_rate = [](double value) { return value >= kLeastSetRate && value <= kMostSetRate; };
  if (demand.rate_per_s && !is_rate(*demand.rate_per_s))
    fail(fmt::format("rate {} per second: must be from 10^-6 to 10^6", *demand.rate_per_s));
  if (!is_rate(demand.weight))
    fail(fmt::format("weight {}: must be from 10^-6 to 10^6", demand.weight));
  if (demand.max_latency && *demand.max_latency <= Nanoseconds(0))
    fail("the latency must be above 0");
}

void check_set_request(std::span<const Graph* const> graphs, const SetRequest& request) {
  const auto invalid = [](const std::string& reason) {
    refuse_set(reason, ErrorCode::kInvalidArgument);
  };
  const auto unsupported = [](const std::string& reason) {
    refuse_set(reason, ErrorCode::kUnsupported);
  };
  if (graphs.empty() || graphs.size() != request.demands.size())
    invalid(fmt::format("{} models, but {} demands: give one demand for each model", graphs.size(),
                        request.demands.size()));
  std::set<std::string> names;
  for (const ModelDemand& demand : request.demands) {
    check_demand(demand);
    if (!names.insert(demand.name).second)
      invalid(
          fmt::format("two models are named '{}'; name each once and add up their rates, or "
                      "rename a file",
                      demand.name));
  }
  constexpr double kLeastHeadroom = 0.01;
  if (!(request.headroom >= kLeastHeadroom && request.headroom < 1))
    invalid(fmt::format("headroom {}: must be at least {} and below 1", request.headroom,
                        kLeastHeadroom));
  const DevicePool& pool = request.pool;
  if (graphs.size() > kMostSetModels)
    unsupported(fmt::format("{} models: a set has at most {}; plan two sets on separate TPUs",
                            graphs.size(), kMostSetModels));
  if (pool.count == 0 || pool.count > kMostSetTpus)
    unsupported(fmt::format("{} TPUs: a set is planned for 1 to {}; plan two sets on separate TPUs",
                            pool.count, kMostSetTpus));
  if (pool.device.model != &edgetpu_model())
    unsupported(fmt::format("{}: sets are planned for Edge TPUs only", pool.device.name));
  if (pool.device.timing.busy_stretch.value > 1)
    unsupported(
        fmt::format("{}: the host's pace depends on the number of TPUs (busy_stretch {}), "
                    "which plans of sets do not model; use a device with busy_stretch 1",
                    pool.device.name, pool.device.timing.busy_stretch.value));
  for (const Graph* graph : graphs) check_can_be_planned(graph->model(), pool.device);
}

// --- Demands that no plan meets

std::string shortfall(const SetModel& model) {
  std::vector<std::string> parts;
  const ModelDemand& demand = model.demand;
  if (demand.rate_per_s && model.slack < 1)
    parts.push_back(fmt::format("{:g}/s requested, {:.4g}/s possible if all rates shrink alike",
                                *demand.rate_per_s, *demand.rate_per_s * model.slack));
  if (demand.max_latency && model.latency > *demand.max_latency)
    parts.push_back(fmt::format(
        "latency of at most {} requested, {} predicted", format_time(*demand.max_latency),
        model.latency >= kLongestWait ? "no limit" : format_time(model.latency)));
  return parts.empty() ? "" : fmt::format("{}: {}", demand.name, fmt::join(parts, ", "));
}

bool is_met(const Assignment& assignment) {
  constexpr double kRounding = 1e-9;
  return assignment.reach >= 1 - kRounding;
}

[[noreturn]] void refuse_demands(std::span<const Graph* const> graphs, const SetRequest& request,
                                 SetSearch& search, const Assignment& nearest) {
  std::vector<std::string> missed;
  for (const SetModel& model : SetWriter(graphs, request, search, nearest).plan().models) {
    if (std::string text = shortfall(model); !text.empty()) missed.push_back(std::move(text));
  }
  std::string remedy = fmt::format("not with {} TPUs either; lower the demands", kMostSetTpus);
  for (std::uint32_t tpus = request.pool.count + 1; tpus <= kMostSetTpus; ++tpus) {
    if (!is_met(search.best(tpus))) continue;
    remedy = fmt::format("{} TPUs would do", tpus);
    break;
  }
  if (request.pool.count == kMostSetTpus) remedy = "lower the demands";
  throw Error(ErrorCode::kInfeasible,
              fmt::format("demands not met on {} with {:g} % headroom: {}; {}",
                          format_count(request.pool.count, "TPU"), 100 * request.headroom,
                          fmt::join(missed, "; "), remedy));
}

}  // namespace

std::string_view to_string(Sharing sharing) {
  constexpr std::array<std::string_view, 3> kNames{"own", "cached", "swapped"};
  return kNames.at(static_cast<std::size_t>(sharing));
}

std::uint32_t SetPlan::used_tpus() const {
  return static_cast<std::uint32_t>(
      std::ranges::count_if(tpus, [](const SetTpu& tpu) { return !tpu.residents.empty(); }));
}

SetPlan plan_set(std::span<const Graph* const> graphs, const SetRequest& request) {
  check_set_request(graphs, request);
  SetSearch search(graphs, request);
  const Assignment best = search.best(request.pool.count);
  if (!is_met(best)) refuse_demands(graphs, request, search, best);
  return SetWriter(graphs, request, search, best).plan();
}

}  // namespace segue
