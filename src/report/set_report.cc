#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "segue/report.h"

namespace segue {
namespace {

std::string rate_cell(const ModelDemand& demand) {
  return demand.rate_per_s ? fmt::format("{:g}", *demand.rate_per_s)
                           : fmt::format("weight {:g}", demand.weight);
}

// "0", "0 1", "0+2 1+3": the TPUs of each stage.
std::string tpus_cell(const SetModel& model) {
  std::vector<std::string> stages;
  for (const auto& tpus : model.tpus) stages.push_back(fmt::format("{}", fmt::join(tpus, "+")));
  return fmt::format("{}", fmt::join(stages, " "));
}

// "yolov5s, mobilenetv2 (stage 1)": residents in cache order.
std::string residents_cell(const SetPlan& plan, const SetTpu& tpu) {
  std::vector<std::string> names;
  for (const Resident& resident : tpu.residents) {
    const SetModel& model = plan.models[resident.model];
    names.push_back(printable(model.demand.name));
    if (model.tpus.size() > 1) names.back() += fmt::format(" (stage {})", resident.stage);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

// The least slack of a demanded rate.
std::string slack_text(const SetPlan& plan) {
  std::optional<double> least;
  for (const SetModel& model : plan.models)
    if (model.demand.rate_per_s) least = std::min(least.value_or(model.slack), model.slack);
  return least ? fmt::format(", least slack {:.2f}", *least) : "";
}

bool has_sharing(const SetPlan& plan, Sharing sharing) {
  return std::ranges::any_of(plan.tpus, [&](const SetTpu& tpu) {
    return tpu.residents.size() > 1 && tpu.sharing == sharing;
  });
}

}  // namespace

Table set_table(const SetPlan& plan) {
  using Unit = Table::Unit;
  Table table{{{"model", Table::Align::kLeft},
               {"demand_per_s"},
               {"per_s", Table::Align::kRight, Unit::kNone, "per s"},
               {"slack"},
               {"latency_ns", Table::Align::kRight, Unit::kTime, "latency ms"},
               {"max_latency_ns", Table::Align::kRight, Unit::kTime, "limit ms", 1},
               {"tpus", Table::Align::kLeft, Unit::kNone, "TPUs of each stage"}},
              {}};
  table.columns[1].shown = "demand per s";
  for (const SetModel& model : plan.models) {
    const auto& limit = model.demand.max_latency;
    table.rows.push_back({printable(model.demand.name), rate_cell(model.demand),
                          fmt::format("{:.1f}", model.rate_per_s),
                          fmt::format("{:.2f}", model.slack), std::to_string(model.latency.count()),
                          limit ? std::to_string(limit->count()) : "-", tpus_cell(model)});
  }
  return table;
}

Table set_tpu_table(const SetPlan& plan) {
  using Unit = Table::Unit;
  constexpr auto kRight = Table::Align::kRight;
  Table table{{{"tpu", kRight, Unit::kNone, "TPU"},
               {"memory", Table::Align::kLeft},
               {"models", Table::Align::kLeft},
               {"on_chip_bytes", kRight, Unit::kBytes, "on-chip MiB"},
               {"host_bytes", kRight, Unit::kBytes, "host MiB"},
               {"utilisation", kRight, Unit::kShare, "busy %"}},
              {}};
  for (std::size_t t = 0; t < plan.tpus.size(); ++t) {
    const SetTpu& tpu = plan.tpus[t];
    std::uint64_t on_chip = 0;
    std::uint64_t host = 0;
    for (const Resident& resident : tpu.residents) {
      on_chip = tpu.sharing == Sharing::kSwapped ? std::max(on_chip, resident.on_chip_bytes)
                                                 : on_chip + resident.on_chip_bytes;
      host += resident.host_bytes;
    }
    table.rows.push_back({std::to_string(t),
                          tpu.residents.empty() ? "-" : std::string(to_string(tpu.sharing)),
                          residents_cell(plan, tpu), std::to_string(on_chip), std::to_string(host),
                          fmt::format("{:.4f}", tpu.utilisation)});
  }
  return table;
}

std::string set_text(const SetPlan& plan, std::size_t width) {
  std::string text = fmt::format("{} on {} of {} ({}), {:g} % headroom: all demands met{}\n\n",
                                 format_count(plan.models.size(), "model"), plan.used_tpus(),
                                 format_count(plan.tpus.size(), "Edge TPU"),
                                 printable(to_string(std::span(&plan.device, 1))),
                                 100 * plan.headroom, slack_text(plan));
  text += set_table(plan).to_text(width) + "\n" + set_tpu_table(plan).to_text(width) + "\n";
  text +=
      "Slack is the rate that is possible / the rate demanded. The latency is the longest one with "
      "waiting for other models. No other assignment of those that are compared (docs/sets.md) is "
      "better. All numbers are "
      "simulated.\n";
  if (has_sharing(plan, Sharing::kCached))
    text += "cached: compile these models together, in this order (segue compile set.json).\n";
  if (has_sharing(plan, Sharing::kSwapped))
    text += "swapped: a TPU loads the parameters again whenever another model follows.\n";
  return text;
}

}  // namespace segue
