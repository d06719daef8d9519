#include <fmt/format.h>

#include "json/node.h"
#include "report/plan_words.h"
#include "segue/report.h"
#include "segue/units.h"

namespace segue {
namespace {

std::string depths(const Stage& stage) {
  return fmt::format("{}-{}", stage.first_depth, stage.last_depth);
}

void append_cells(std::vector<std::string>& row, const Plan& plan, std::size_t position) {
  if (position >= plan.stages.size()) {
    row.insert(row.end(), 5, "");
    return;
  }
  const Stage& stage = plan.stages[position];
  row.push_back(std::to_string(stage.operators.size()));
  row.push_back(depths(stage));
  row.push_back(format_mib(stage.on_chip_bytes));
  row.push_back(format_mib(stage.host_bytes));
  row.push_back(format_ms(stage.time.total()));
}

void append_totals(std::vector<std::string>& row, const Plan& plan) {
  std::uint64_t on_chip = 0;
  for (const Stage& stage : plan.stages) on_chip += stage.on_chip_bytes;
  row.push_back(std::to_string(plan.model.operator_count));
  row.push_back(fmt::format("1-{}", plan.model.depth));
  row.push_back(format_mib(on_chip));
  row.push_back(format_mib(plan.host_bytes()));
  Nanoseconds time{0};
  for (const Stage& stage : plan.stages) time += stage.time.total();
  row.push_back(format_ms(time));
}

void append_columns(Table& table) {
  table.columns.push_back({"operators"});
  table.columns.push_back({"depths"});
  table.columns.push_back({"on-chip MiB"});
  table.columns.push_back({"host MiB"});
  table.columns.push_back({"ms"});
}

Table comparison(const Plan& plan, const Plan* vendor) {
  Table table;
  table.columns.push_back({"TPU"});
  if (vendor != nullptr) {
    append_columns(table);
    table.columns.push_back({"|"});
  }
  append_columns(table);
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    std::vector<std::string> row{std::to_string(i)};
    if (vendor != nullptr) {
      append_cells(row, *vendor, i);
      row.emplace_back("|");
    }
    append_cells(row, plan, i);
    table.rows.push_back(std::move(row));
  }
  std::vector<std::string> totals{"sum"};
  if (vendor != nullptr) {
    append_totals(totals, *vendor);
    totals.emplace_back("|");
  }
  append_totals(totals, plan);
  table.rows.push_back(std::move(totals));
  return table;
}

// The width of the vendor's half of the table, from the position of the separator.
std::string titles(const Plan& plan, const std::string& table_text) {
  const std::size_t separator = table_text.find('|');
  std::string left = "       " + strategy_title("compiler");
  left.resize(std::max(left.size(), separator), ' ');
  return left + "|  " + strategy_title(plan.strategy) + "\n";
}

// One line: what the plan gives for a stream of inputs.
std::string prediction(const Plan& plan) {
  const Prediction& predicted = plan.predicted;
  return fmt::format(
      "{}: {} per input ({:.1f}/s), latency {}; one TPU {}, speed-up {:.2f} (simulated).\n",
      strategy_title(plan.strategy), format_time(predicted.bottleneck), predicted.throughput_per_s,
      format_time(predicted.latency), format_time(predicted.single_device), predicted.speedup);
}

std::string verdict(const Plan& plan, const Plan& vendor) {
  const std::string largest = fmt::format("largest segment {} of stored parameters instead of {}",
                                          format_bytes(plan.largest_stage_parameter_bytes()),
                                          format_bytes(vendor.largest_stage_parameter_bytes()));
  if (plan.host_bytes() < vendor.host_bytes()) {
    return fmt::format("Gain: the host streams {} per inference instead of {} (simulated); {}.\n",
                       plan.host_bytes() == 0 ? "nothing" : format_bytes(plan.host_bytes()),
                       format_bytes(vendor.host_bytes()), largest);
  }
  if (plan.host_bytes() > vendor.host_bytes()) {
    return fmt::format(
        "Loss: the host streams {} per inference, {} with Segm_Comp (simulated); {}.\n",
        format_bytes(plan.host_bytes()), format_bytes(vendor.host_bytes()), largest);
  }
  return fmt::format("The host streams {} per inference, as with Segm_Comp (simulated); {}.\n",
                     plan.host_bytes() == 0 ? "nothing" : format_bytes(plan.host_bytes()), largest);
}

}  // namespace

std::string strategy_title(const std::string& strategy) {
  if (strategy == "compiler") return "Segm_Comp";
  if (strategy == "balanced") return "Segm_Balanced";
  if (strategy == "manual") return "Cuts by hand";
  return strategy;
}

std::string host_operators_note(const Plan& plan) {
  std::uint32_t count = 0;
  for (const Stage& stage : plan.stages) count += stage.time.host_operators;
  if (count == 0) return "";
  return fmt::format(
      "{} operators run on the host's processor; their time is not predicted (`segue inspect` "
      "shows them).\n",
      count);
}

Table plan_table(const Plan& plan) {
  Table table;
  table.columns = {{"index"},           {"operators"},     {"first_depth"}, {"last_depth"},
                   {"parameter_bytes"}, {"on_chip_bytes"}, {"host_bytes"},  {"macs"},
                   {"input_bytes"},     {"output_bytes"},  {"replicas"},    {"total_ns"}};
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const Stage& s = plan.stages[i];
    table.rows.push_back({std::to_string(i), std::to_string(s.operators.size()),
                          std::to_string(s.first_depth), std::to_string(s.last_depth),
                          std::to_string(s.parameter_bytes), std::to_string(s.on_chip_bytes),
                          std::to_string(s.host_bytes), std::to_string(s.macs),
                          std::to_string(s.input_bytes), std::to_string(s.output_bytes),
                          std::to_string(s.replicas), std::to_string(s.time.total().count())});
  }
  return table;
}

std::string plan_text(const Plan& plan, const Plan* vendor) {
  std::string text = fmt::format(
      "{} on {} Edge TPU{} ({}): {} operators, {} of parameters, {}, depth {}\n\n",
      printable(plan.model.name), plan.stages.size(), plan.stages.size() == 1 ? "" : "s",
      plan.device, plan.model.operator_count, format_bytes(plan.model.parameter_bytes),
      format_macs(plan.model.macs), plan.model.depth);
  const std::string table = comparison(plan, vendor).to_text();
  if (vendor != nullptr) text += titles(plan, table);
  text += table + "\n";
  if (vendor != nullptr) text += prediction(*vendor);
  text += prediction(plan);
  text += host_operators_note(plan);
  text += vendor != nullptr
              ? verdict(plan, *vendor)
              : fmt::format("The host streams {} per inference (simulated).\n",
                            plan.host_bytes() == 0 ? "nothing" : format_bytes(plan.host_bytes()));
  return text;
}

Table split_table(const Plan& plan) {
  Table table;
  table.columns = {{"file", Table::Align::kLeft},
                   {"operators"},
                   {"parameter_bytes"},
                   {"on_chip_bytes"},
                   {"host_bytes"}};
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const Stage& stage = plan.stages[i];
    table.rows.push_back({printable(segment_file_name(plan.model.name, i, plan.stages.size())),
                          std::to_string(stage.operators.size()),
                          std::to_string(stage.parameter_bytes),
                          std::to_string(stage.on_chip_bytes), std::to_string(stage.host_bytes)});
  }
  return table;
}

std::string split_json(const Plan& plan, const std::string& folder, std::uint64_t bytes) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const Stage& stage = plan.stages[i];
    files.push_back({{"name", segment_file_name(plan.model.name, i, plan.stages.size())},
                     {"operators", stage.operators.size()},
                     {"parameter_bytes", stage.parameter_bytes},
                     {"on_chip_bytes", stage.on_chip_bytes},
                     {"host_bytes", stage.host_bytes}});
  }
  return json::to_text({{"schema", "segue.split/1"},
                        {"folder", folder},
                        {"bytes", bytes},
                        {"files", std::move(files)}});
}

std::string refinement_text(const BalancedSegmentation& balanced) {
  std::string text;
  for (const CutMove& move : balanced.moves) {
    text += fmt::format(
        "Refinement: the cut below segment {} moved from depth {} to {}; host bytes {} -> {}\n",
        move.cut, move.from_depth, move.to_depth, format_bytes(move.host_bytes_before),
        format_bytes(move.host_bytes_after));
  }
  return text;
}

}  // namespace segue
