// Sets of models that share TPUs, next to TPUs that are divided among the models by hand.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>

#include "evaluation/paper/experiments.h"
#include "evaluation/paper/write_up.h"
#include "segue/error.h"
#include "segue/plan_set.h"
#include "segue/planner.h"
#include "segue/zoo.h"

namespace segue::paper {
namespace {

struct SetCase {
  const char* name;
  const char* device;  // with its count
  std::vector<ModelDemand> demands;
};

std::vector<SetCase> set_cases() {
  using std::chrono::milliseconds;
  const auto model = [](const char* zoo, std::optional<double> rate,
                        std::optional<Nanoseconds> latency = std::nullopt) {
    return ModelDemand{.name = zoo,
                       .source = fmt::format("zoo:{}", zoo),
                       .rate_per_s = rate,
                       .max_latency = latency};
  };
  return {{"camera",
           "2xedgetpu-usb3",
           {model("ssdmobilenetv2@300", 15, milliseconds(80)), model("mobilenetv2", {})}},
          {"three detectors",
           "4xedgetpu-pcie",
           {model("yolov5s@320", 30), model("ssdmobilenetv2@300", 10),
            model("efficientdetlite0@320", 5)}},
          {"large and small",
           "5xedgetpu-pcie",
           {model("resnet101", 40), model("inceptionv3", 4), model("mobilenetv2", 20)}},
          {"four models",
           "8xedgetpu-pcie",
           {model("yolov5m@320", 30, milliseconds(150)), model("efficientdetlite2@448", 10),
            model("efficientnetliteb0", 80, milliseconds(60)), model("resnet50", 20)}}};
}

// What the models reach. Models without a rate: rate / weight.
struct Reached {
  double least_slack = 0;  // of models with a rate
  double scale = 0;        // of the others; 0: there is none
  std::vector<std::uint32_t> tpus;
};

// The models of a case, and the optimal plans of each alone.
class OpenCase {
 public:
  explicit OpenCase(const SetCase& of) : case_(of), pool_(open_devices(of.device, 0)[0]) {
    for (const ModelDemand& demand : of.demands) {
      models_.push_back(std::make_unique<const Model>(open_model(demand.source)));
      graphs_.push_back(std::make_unique<const Graph>(*models_.back()));
      pointers_.push_back(graphs_.back().get());
    }
  }

  [[nodiscard]] std::optional<SetPlan> plan(std::uint32_t tpus) const {
    SetRequest request{.demands = case_.demands, .pool = pool_};
    request.pool.count = tpus;
    try {
      return plan_set(pointers_, request);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kInfeasible) throw;
      return std::nullopt;
    }
  }

  // The best division of at most `tpus` TPUs into one part for each model.
  [[nodiscard]] std::optional<Reached> by_hand(std::uint32_t tpus) {
    std::optional<Reached> best;
    std::vector<std::uint32_t> counts(models_.size(), 1);
    const std::function<void(std::size_t, std::uint32_t)> divide = [&](std::size_t m,
                                                                       std::uint32_t left) {
      if (m == counts.size()) {
        const auto reached = divided(counts);
        const auto rank = [](const Reached& one) { return std::pair(one.scale, one.least_slack); };
        if (reached && (!best || rank(*reached) > rank(*best))) best = reached;
        return;
      }
      const auto others = static_cast<std::uint32_t>(counts.size() - m - 1);
      for (counts[m] = 1; counts[m] + others <= left; ++counts[m]) divide(m + 1, left - counts[m]);
    };
    divide(0, tpus);
    return best;
  }

  [[nodiscard]] std::uint32_t tpus() const { return pool_.count; }

 private:
  const std::optional<Plan>& alone(std::size_t m, std::uint32_t tpus) {
    const auto key = std::pair(m, tpus);
    if (const auto found = plans_.find(key); found != plans_.end()) return found->second;
    const DevicePool pool{pool_.device, tpus, pool_.shares_link && tpus > 1};
    std::optional<Plan> plan;
    try {
      plan = plan_by_strategy(*pointers_[m], std::span(&pool, 1), Strategy::kOptimal,
                              {.max_latency = case_.demands[m].max_latency})
                 .plan;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kInfeasible) throw;
    }
    return plans_.emplace(key, std::move(plan)).first->second;
  }

  // The link of a pool that shares one belongs to all models.
  std::optional<Reached> divided(const std::vector<std::uint32_t>& counts) {
    const double limit = 1 - SetRequest().headroom;
    Reached result{.least_slack = std::numeric_limits<double>::infinity(), .tpus = counts};
    double scale = std::numeric_limits<double>::infinity();
    double fixed_link = 0;
    double scaled_link = 0;
    for (std::size_t m = 0; m < counts.size(); ++m) {
      const auto& plan = alone(m, counts[m]);
      if (!plan) return std::nullopt;
      double link = 0;
      for (const Stage& stage : plan->stages) link += to_s(stage.time.link());
      const auto& rate = case_.demands[m].rate_per_s;
      const double most = limit * plan->predicted.throughput_per_s;
      if (rate) {
        result.least_slack = std::min(result.least_slack, most / *rate);
        fixed_link += link * *rate;
      } else {
        scale = std::min(scale, most);
        scaled_link += link;
      }
    }
    if (pool_.shares_link) {
      result.least_slack = std::min(result.least_slack, limit / fixed_link);
      scale = std::min(scale, (limit - fixed_link) / scaled_link);
    }
    if (scaled_link > 0) result.scale = scale;
    if (result.least_slack < 1) return std::nullopt;
    return result;
  }

  const SetCase& case_;
  DevicePool pool_;
  std::vector<std::unique_ptr<const Model>> models_;
  std::vector<std::unique_ptr<const Graph>> graphs_;
  std::vector<const Graph*> pointers_;
  std::map<std::pair<std::size_t, std::uint32_t>, std::optional<Plan>> plans_;
};

Reached reached_by(const SetPlan& plan) {
  Reached result{.least_slack = std::numeric_limits<double>::infinity(), .tpus = {}};
  for (const SetModel& model : plan.models) {
    if (model.demand.rate_per_s) {
      result.least_slack = std::min(result.least_slack, model.slack);
    } else {
      const double scale = model.rate_per_s / model.demand.weight;
      result.scale = result.scale > 0 ? std::min(result.scale, scale) : scale;
    }
  }
  return result;
}

std::string least_tpus(const std::function<bool(std::uint32_t)>& are_enough) {
  for (std::uint32_t tpus = 1; tpus <= kMostSetTpus; ++tpus)
    if (are_enough(tpus)) return std::to_string(tpus);
  return fmt::format("> {}", kMostSetTpus);
}

std::vector<std::string> case_row(const SetCase& of, OpenCase& open, const SetPlan& plan) {
  const auto hand = open.by_hand(open.tpus());
  const Reached set = reached_by(plan);
  const auto slack = [](const std::optional<Reached>& reached) {
    return reached ? fmt::format("{:.3f}", reached->least_slack) : std::string("not met");
  };
  const auto scale = [](const std::optional<Reached>& reached) {
    return !reached || reached->scale <= 0 ? std::string("-")
                                           : fmt::format("{:.1f}", reached->scale);
  };
  return {of.name,
          of.device,
          slack(set),
          slack(hand),
          scale(set),
          scale(hand),
          hand ? fmt::format("{}", fmt::join(hand->tpus, " + ")) : "-",
          least_tpus([&](std::uint32_t tpus) { return open.plan(tpus).has_value(); }),
          least_tpus([&](std::uint32_t tpus) { return open.by_hand(tpus).has_value(); })};
}

void add_model_rows(const SetCase& of, const SetPlan& plan, Table& table) {
  for (const SetModel& model : plan.models) {
    std::vector<std::string> stages;
    for (const auto& tpus : model.tpus) stages.push_back(fmt::format("{}", fmt::join(tpus, "+")));
    const SetTpu& first = plan.tpus[model.tpus[0][0]];
    const auto& limit = model.demand.max_latency;
    table.rows.push_back(
        {of.name, model.demand.name,
         model.demand.rate_per_s ? fmt::format("{:g}", *model.demand.rate_per_s) : "free",
         limit ? format_ms(*limit) : "-", fmt::format("{:.1f}", model.rate_per_s),
         fmt::format("{:.2f}", model.slack), format_ms(model.latency),
         fmt::format("{}", fmt::join(stages, " ")), std::string(to_string(first.sharing))});
  }
}

}  // namespace

Experiment sets_experiment(Evaluation& /*nothing of it is needed*/) {
  using enum Table::Align;
  Table cases{{{"case", kLeft},
               {"devices", kLeft},
               {"slack"},
               {"slack_by_hand"},
               {"free_per_s"},
               {"free_per_s_by_hand"},
               {"division", kLeft},
               {"least_TPUs"},
               {"least_TPUs_by_hand"}},
              {}};
  Table models{{{"case", kLeft},
                {"model", kLeft},
                {"demand_per_s"},
                {"limit_ms"},
                {"per_s"},
                {"slack"},
                {"latency_ms"},
                {"TPUs_of_each_stage", kLeft},
                {"memory", kLeft}},
               {}};
  const std::vector<SetCase> all = set_cases();
  for (const SetCase& of : all) {
    OpenCase open(of);
    const SetPlan plan = open.plan(open.tpus()).value();
    cases.rows.push_back(case_row(of, open, plan));
    add_model_rows(of, plan, models);
  }
  Experiment experiment{
      "sets",
      "Several models on one set of TPUs, next to a division by hand",
      fmt::format("In {} cases, models that share TPUs reach at least the rates of the best "
                  "division of the TPUs among separate optimal plans.",
                  all.size()),
      "",
      {{"cases", "What the set reaches, and the best division by hand", std::move(cases)},
       {"models", "Where the models of each set run", std::move(models)}},
      {}};
  write_readme(experiment);
  return experiment;
}

}  // namespace segue::paper
