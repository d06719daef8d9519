#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/internal/json/node.h"
#include "report/internal/plan_words.h"
#include "segue/report.h"
#include "segue/units.h"

namespace segue {
namespace {

std::string depths(const Stage& stage) {
  return fmt::format("{}-{}", stage.first_depth, stage.last_depth);
}

bool has_replicas(const Plan& plan) {
  return std::ranges::any_of(plan.stages, [](const Stage& stage) { return stage.replicas > 1; });
}

bool has_host_work(const Plan& plan) { return plan.host_operators() > 0; }

bool has_several_kinds(const Plan& plan) {
  return !plan.stages[0].devices.empty() || plan.network.has_value();
}

// "pi1 pi2 rack:4": the nodes of a stage, with the number of its devices there.
std::string nodes_text(const Plan& plan, const Stage& stage) {
  const Topology& topology = plan.network->topology;
  std::vector<std::uint32_t> replicas(topology.nodes.size());
  const std::vector<std::size_t> nodes = nodes_of_pools(topology);
  if (stage.devices.empty()) replicas[nodes[0]] = stage.replicas;
  for (const StageDevices& devices : stage.devices)
    replicas[nodes[devices.pool]] += devices.replicas;
  std::string text;
  for (std::size_t n = 0; n < replicas.size(); ++n) {
    if (replicas[n] == 0) continue;
    text += (text.empty() ? "" : " ") + printable(topology.nodes[n].name);
    if (replicas[n] > 1) text += fmt::format(":{}", replicas[n]);
  }
  return text;
}

// Returns the devices of a stage if there are several kinds, for example "2xedgetpu-usb3
// 1xedgetpu-pcie".
std::string devices_text(const Plan& plan, const Stage& stage) {
  if (plan.network) return nodes_text(plan, stage);
  std::string text;
  for (const StageDevices& devices : stage.devices) {
    text += fmt::format(
        "{}{}x{}", text.empty() ? "" : " ", devices.replicas,
        devices.pool < plan.devices.size() ? printable(plan.devices[devices.pool].device) : "?");
  }
  return text;
}

std::vector<std::string> column_titles(const Plan& plan) {
  std::vector<std::string> titles{"operators", "depths", "on-chip MiB", "host MiB", "ms"};
  if (has_host_work(plan)) titles.emplace_back("on host ms");
  if (has_replicas(plan) || has_several_kinds(plan))
    titles.emplace_back(plan.network ? "nodes" : "TPUs");
  return titles;
}

std::vector<std::string> stage_cells(const Plan& plan, const Stage& stage) {
  std::vector<std::string> cells{std::to_string(stage.operators.size()), depths(stage),
                                 format_mib(stage.on_chip_bytes), format_mib(stage.host_bytes),
                                 format_ms(stage.time.total())};
  if (has_host_work(plan)) cells.push_back(format_ms(stage.time.host));
  if (has_several_kinds(plan)) {
    cells.push_back(devices_text(plan, stage));
  } else if (has_replicas(plan)) {
    cells.push_back(std::to_string(stage.replicas));
  }
  return cells;
}

std::vector<std::string> decoding_cells(const Plan& plan) {
  const std::string time = format_ms(plan.decoding->time);
  std::vector<std::string> cells{"-", "-", "-", "-", time};
  if (has_host_work(plan)) cells.push_back(time);
  cells.resize(column_titles(plan).size(), "-");
  return cells;
}

std::vector<std::string> total_cells(const Plan& plan) {
  std::uint64_t on_chip = 0;
  const Nanoseconds decoding = plan.decoding ? plan.decoding->time : Nanoseconds{0};
  Nanoseconds time = decoding;
  for (const Stage& stage : plan.stages) {
    on_chip += stage.on_chip_bytes;
    time += stage.time.total();
  }
  std::vector<std::string> cells{std::to_string(plan.model.operator_count),
                                 fmt::format("1-{}", plan.model.depth), format_mib(on_chip),
                                 format_mib(plan.host_bytes()), format_ms(time)};
  if (has_host_work(plan)) cells.push_back(format_ms(plan.host_time() + decoding));
  if (has_replicas(plan) || has_several_kinds(plan))
    cells.push_back(std::to_string(plan.device_count()));
  return cells;
}

// One row per stage, one for decoding if the plan includes it, and one with their sums.
Table stage_table(const Plan& plan) {
  Table table;
  table.columns.push_back({"stage"});
  for (std::string& title : column_titles(plan)) table.columns.push_back({std::move(title)});
  if (has_several_kinds(plan)) table.columns.back().align = Table::Align::kLeft;
  const auto add_row = [&](const std::string& label, std::vector<std::string> cells) {
    cells.insert(cells.begin(), label);
    table.rows.push_back(std::move(cells));
  };
  for (std::size_t i = 0; i < plan.stages.size(); ++i)
    add_row(std::to_string(i), stage_cells(plan, plan.stages[i]));
  if (plan.decoding) add_row("host", decoding_cells(plan));
  add_row("sum", total_cells(plan));
  return table;
}

// The plans of other strategies on the same number of TPUs, followed by the plan.
Table strategy_table(const Plan& plan, std::span<const Plan> others) {
  Table table;
  table.columns = {{"strategy", Table::Align::kLeft},
                   {"TPUs of each stage", Table::Align::kLeft},
                   {"host MiB"},
                   {"ms per input"},
                   {"per s"},
                   {"latency ms"},
                   {"speed-up"}};
  const auto add_row = [&](const Plan& one) {
    const Prediction& predicted = one.predicted;
    table.rows.push_back({one.strategy_key(), replicas_text(one), format_mib(one.host_bytes()),
                          format_ms(predicted.bottleneck),
                          fmt::format("{:.1f}", predicted.throughput_per_s),
                          format_ms(predicted.latency), fmt::format("{:.2f}", predicted.speedup)});
  };
  for (const Plan& other : others) add_row(other);
  add_row(plan);
  return table;
}

// Returns a sentence if a measurement may reverse the order of the strategies.
std::string overlaps(const Plan& plan, std::span<const Plan> others) {
  std::vector<const Plan*> rest;
  for (const Plan& other : others) rest.push_back(&other);
  return overlap_sentence(plan, rest, [](const Plan& one) { return one.strategy_key(); });
}

// One row per link and direction that carries something.
std::string network_text(const Plan& plan, std::size_t width) {
  const Topology& topology = plan.network->topology;
  Table table;
  table.columns = {
      {"from", Table::Align::kLeft}, {"to", Table::Align::kLeft}, {"KB per input"}, {"busy %"}};
  for (const LinkTraffic& traffic : link_traffic(plan)) {
    if (traffic.bytes_per_input <= 0) continue;
    const TopologyLink& link = topology.links[traffic.link];
    table.rows.push_back({printable(topology.nodes[traffic.is_forward ? link.a : link.b].name),
                          printable(topology.nodes[traffic.is_forward ? link.b : link.a].name),
                          fmt::format("{:.1f}", traffic.bytes_per_input / 1e3),
                          percent(traffic.busy)});
  }
  if (table.rows.empty()) return "No tensor crosses a link.\n\n";
  return table.to_text(width) + "\n";
}

Nanoseconds objective_of(const Plan& plan, const Prediction& predicted) {
  return plan.objective == Objective::kLatency ? predicted.latency : predicted.bottleneck;
}

// Returns a recommendation for the top of the report if another strategy is faster.
std::string better_choice(const Plan& plan, std::span<const Plan> others) {
  constexpr double kWorthSaying = 0.99;
  const auto time_of = [&](const Plan& one) { return objective_of(plan, one.predicted); };
  const auto fastest = std::ranges::min_element(others, {}, time_of);
  if (fastest == others.end() || to_s(time_of(*fastest)) > kWorthSaying * to_s(time_of(plan)))
    return "";
  return fmt::format("Use `--strategy {}` instead: {} on {} instead of {} (simulated).\n\n",
                     fastest->strategy_key(), format_time(time_of(*fastest)),
                     format_count(fastest->device_count(), "TPU"), format_time(time_of(plan)));
}

// Returns one line with the predicted times for a stream of inputs.
std::string prediction(const Plan& plan) {
  const Prediction& predicted = plan.predicted;
  return fmt::format(
      "{}: {} per input, {}, latency {}; one TPU {}, speed-up {:.2f} (simulated).\n",
      plan.strategy_key(), with_range(predicted.bottleneck, bottleneck_range(predicted)),
      rate_with_range(predicted), with_range(predicted.latency, latency_range(predicted)),
      format_time(predicted.single_device), predicted.speedup);
}

std::string bound_text(const Plan& plan) {
  const std::string what = plan.objective == Objective::kLatency ? "latency" : "time per input";
  if (plan.bound->is_proven) {
    return fmt::format("Proven optimal{}: no other cuts{} and replicas{} have a smaller {}.\n",
                       has_shared_link(plan) ? ", without waiting times on the shared link" : "",
                       plan.network ? ", nodes" : "", limits_text(*plan.bound), what);
  }
  if (plan.bound->value.count() == 0) return "Not proven optimal.\n";
  return fmt::format("Not proven optimal{} no plan has a {} below {}.\n",
                     !has_host_work(plan) ? ";"
                     : is_host_measured(plan)
                         ? ", because times on the host vary. With the measured times,"
                         : ", because times on the host are estimates. With these estimates,",
                     what, format_time(plan.bound->value));
}

// ", largest segment: …", unless it is as large in both plans.
std::string largest_text(const Plan& plan, const Plan& vendor) {
  const std::string ours = format_bytes(plan.largest_stage_parameter_bytes());
  const std::string theirs = format_bytes(vendor.largest_stage_parameter_bytes());
  return ours == theirs ? ""
                        : fmt::format("; largest segment: {} of stored parameters instead of {}",
                                      ours, theirs);
}

std::string bytes_verdict(const Plan& plan, const Plan& vendor) {
  const std::string ours = plan.host_bytes() == 0 ? "nothing" : format_bytes(plan.host_bytes());
  const std::string theirs = format_bytes(vendor.host_bytes());
  const std::string beside =
      plan.host_bytes() < vendor.host_bytes()   ? fmt::format(" instead of {}", theirs)
      : plan.host_bytes() > vendor.host_bytes() ? fmt::format(", {} with strategy compiler", theirs)
                                                : ", as with strategy compiler";
  return fmt::format("The host streams {} per inference{} (simulated){}.\n", ours, beside,
                     largest_text(plan, vendor));
}

// Compares the times first, because the bytes matter only through their effect on the time.
std::string verdict(const Plan& plan, const Plan& vendor) {
  const Nanoseconds ours = objective_of(plan, plan.predicted);
  const Nanoseconds theirs = objective_of(plan, vendor.predicted);
  return fmt::format("{} strategy compiler: {} {}, compared with {} (simulated). ",
                     ours < theirs ? "Faster than" : (ours > theirs ? "Slower than" : "As fast as"),
                     format_time(ours),
                     plan.objective == Objective::kLatency ? "latency" : "per input",
                     format_time(theirs)) +
         bytes_verdict(plan, vendor);
}

// Of a plan for a topology, a list of the devices of each node would be long.
std::string devices_of_text(const Plan& plan) {
  if (!plan.network) return printable(plan.device_text());
  return format_count(static_cast<std::uint64_t>(std::ranges::count_if(
                          plan.network->topology.nodes,
                          [](const TopologyNode& node) { return !node.devices.empty(); })),
                      "host");
}

}  // namespace

Table plan_table(const Plan& plan) {
  constexpr std::size_t kHostTime = 12;  // the column, before that of the whole time
  Table table;
  table.columns = {{"stage"},           {"operators"},     {"first_depth"}, {"last_depth"},
                   {"parameter_bytes"}, {"on_chip_bytes"}, {"host_bytes"},  {"macs"},
                   {"input_bytes"},     {"output_bytes"},  {"replicas"},    {"host_operators"},
                   {"host_ns"},         {"total_ns"}};
  if (has_several_kinds(plan))
    table.columns.push_back({plan.network ? "nodes" : "devices", Table::Align::kLeft});
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const Stage& s = plan.stages[i];
    table.rows.push_back(
        {std::to_string(i), std::to_string(s.operators.size()), std::to_string(s.first_depth),
         std::to_string(s.last_depth), std::to_string(s.parameter_bytes),
         std::to_string(s.on_chip_bytes), std::to_string(s.host_bytes), std::to_string(s.macs),
         std::to_string(s.input_bytes), std::to_string(s.output_bytes), std::to_string(s.replicas),
         std::to_string(s.time.host_operators), std::to_string(s.time.host.count()),
         std::to_string(s.time.total().count())});
    if (has_several_kinds(plan)) table.rows.back().push_back(devices_text(plan, s));
  }
  if (plan.decoding) {
    auto& row = table.rows.emplace_back(table.columns.size(), "-");
    row.front() = "host";
    row[kHostTime] = row[kHostTime + 1] = std::to_string(plan.decoding->time.count());
  }
  return table;
}

std::string plan_text(const Plan& plan, std::span<const Plan> others, std::size_t width) {
  std::string text = fmt::format(
      "{} on {} ({}): {}, {} of parameters, {}, depth {}\n", printable(plan.model.name),
      format_count(plan.device_count(), "Edge TPU"), devices_of_text(plan),
      format_count(plan.model.operator_count, "operator"), format_bytes(plan.model.parameter_bytes),
      format_macs(plan.model.macs), plan.model.depth);
  text += prediction(plan) + "\n" + better_choice(plan, others);
  text += stage_table(plan).to_text(width) + "\n";
  if (plan.network) text += network_text(plan, width);
  if (!others.empty()) {
    text += strategy_table(plan, others).to_text(width);
    text +=
        fmt::format("Speed-up is relative to one TPU, {} per input. All numbers are simulated{}.\n",
                    format_time(plan.predicted.single_device),
                    has_host_work(plan) && is_host_measured(plan)
                        ? ", except times on the host, which are measured"
                        : "");
    if (const std::string line = overlaps(plan, others); !line.empty()) text += line + "\n";
    text += "\n";
  }
  text += bottleneck_sentence(plan, has_shared_link(plan)) + "\n";
  if (plan.bound) text += bound_text(plan);
  text += host_operators_note(plan) + decoding_note(plan.decoding);
  const auto vendor = std::ranges::find(others, Strategy::kCompiler, &Plan::strategy);
  text += vendor != others.end()
              ? verdict(plan, *vendor)
              : fmt::format("The host streams {} per inference (simulated).\n",
                            plan.host_bytes() == 0 ? "nothing" : format_bytes(plan.host_bytes()));
  return text;
}

namespace {

// Corrects the simulated placement: the operators that Google's compiler left on the host are on
// the host, and no others.
std::vector<OperatorMemory> as_compiled(std::vector<OperatorMemory> simulated, const Stage& stage) {
  if (!stage.compiled || !stage.compiled->host_operators) return simulated;
  for (OperatorMemory& memory : simulated) {
    const bool is_on_host = std::ranges::binary_search(*stage.compiled->host_operators, memory.op);
    if (is_on_host == (memory.residency == Residency::kOnHost)) continue;
    memory = {memory.op, is_on_host ? Residency::kOnHost : Residency::kNone, 0};
  }
  return simulated;
}

}  // namespace

Table plan_operator_table(const Plan& plan, const Graph& graph, const DeviceSpec& device) {
  constexpr std::array kPlaces{"", "on chip", "streamed", "never cached", "host"};
  const Model& model = graph.model();
  const auto compiler = make_simulated_compiler(device);
  Table table;
  using Unit = Table::Unit;
  constexpr auto kLeft = Table::Align::kLeft;
  constexpr auto kRight = Table::Align::kRight;
  table.columns = {{"operator"},
                   {"stage"},
                   {"depth", kRight, Unit::kNone, "", 3},
                   {"name", kLeft},
                   {"parameter_bytes"},
                   {"place", kLeft},
                   {"device_bytes"},
                   {"macs", kRight, Unit::kNone, "", 2},
                   {"cycles"},
                   {"host_ns", kRight, Unit::kNone, "", 4},
                   {"output_bytes", kRight, Unit::kNone, "", 5},
                   {"output", kLeft, Unit::kNone, "", 1}};
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    const MemoryReport report = compiler->compile(graph, plan.stages[s].operators);
    for (const OperatorMemory& memory : as_compiled(report.operators, plan.stages[s])) {
      const OperatorStats& stats = graph.stats(memory.op);
      const Operator& op = model.op(memory.op);
      const Nanoseconds host_ns = memory.residency == Residency::kOnHost
                                      ? host_operator_time(graph, memory.op, device)
                                      : Nanoseconds(0);
      const std::string output =
          op.outputs.empty()
              ? std::string()
              : printable(model.unique_name(TensorId{static_cast<std::uint32_t>(op.outputs[0])}));
      table.rows.push_back({std::to_string(static_cast<std::uint32_t>(memory.op)),
                            std::to_string(s), std::to_string(stats.depth), printable(op.name, 40),
                            std::to_string(stats.parameter_bytes),
                            kPlaces.at(static_cast<std::size_t>(memory.residency)),
                            std::to_string(memory.bytes), std::to_string(stats.macs),
                            std::to_string(operator_work(model, memory.op, device).cycles),
                            std::to_string(host_ns.count()), std::to_string(stats.output_bytes),
                            output});
    }
  }
  return table;
}

std::string placement_text(const Plan& plan, const Stage& stage) {
  const std::string host = stage.time.host_operators == 0
                               ? ""
                               : fmt::format(", {} on the host CPU for {}",
                                             format_count(stage.time.host_operators, "operator"),
                                             format_time(stage.time.host));
  if (has_several_kinds(plan)) return " on " + devices_text(plan, stage) + host;
  return (stage.replicas > 1 ? fmt::format(" on {} TPUs", stage.replicas) : "") + host;
}

std::string certificate_text(const CertificateVerdict& verdict) {
  std::string text =
      fmt::format("{}: {}", verdict.is_accepted ? "Accepted" : "Rejected", verdict.reason);
  if (verdict.ideals > 0)
    text += fmt::format(" ({}, {} simulated)", format_count(verdict.ideals, "ideal"),
                        format_count(verdict.segments, "segment"));
  return text + (verdict.is_accepted ? "; all numbers of the plan are consistent\n" : "\n");
}

std::string certificate_json(const CertificateVerdict& verdict) {
  return json::to_text({{"schema", "segue.certificate/1"},
                        {"accepted", verdict.is_accepted},
                        {"reason", verdict.reason},
                        {"ideals", verdict.ideals},
                        {"segments", verdict.segments}});
}

}  // namespace segue
