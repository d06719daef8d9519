#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/internal/json/node.h"
#include "report/internal/plan_words.h"
#include "segue/report.h"

namespace segue {
namespace {

using json::Json;
using json::rounded;

// Planned values are shown in the time of the run.
double shown_scale(const RunReport& model) {
  const double scale = model.time_scale.value_or(1);
  return scale > 0 ? scale : 1;
}

Table device_table(const SetRunReport& report) {
  using Unit = Table::Unit;
  constexpr auto kRight = Table::Align::kRight;
  Table table{{{"device", Table::Align::kLeft},
               {"models", Table::Align::kLeft},
               {"inferences"},
               {"changes"},
               {"utilisation", kRight, Unit::kShare, "busy %"}},
              {}};
  for (const SharedDeviceStatistics& device : report.devices) {
    table.rows.push_back({printable(device.name),
                          !device.lost.empty() ? "lost"
                          : device.models.empty()
                              ? "-"
                              : printable(fmt::format("{}", fmt::join(device.models, ", "))),
                          std::to_string(device.inferences), std::to_string(device.changes),
                          fmt::format("{:.4f}", device.utilisation)});
  }
  return table;
}

Json device_json(const SharedDeviceStatistics& device) {
  return {{"name", device.name},
          {"models", device.models},
          {"inferences", device.inferences},
          {"changes", device.changes},
          {"busy_ns", device.busy.count()},
          {"utilisation", rounded(device.utilisation)},
          {"lost", device.lost.empty() ? Json(nullptr) : Json(device.lost)}};
}

}  // namespace

Table set_run_table(const SetRunReport& report) {
  using Unit = Table::Unit;
  constexpr auto kRight = Table::Align::kRight;
  Table table{{{"model", Table::Align::kLeft},
               {"results"},
               {"planned_per_s", kRight, Unit::kNone, "planned per s"},
               {"measured_per_s", kRight, Unit::kNone, "measured per s"},
               {"planned_latency_ns", kRight, Unit::kTime, "planned latency ms"},
               {"p50_ns", kRight, Unit::kTime, "p50 ms"},
               {"max_ns", kRight, Unit::kTime, "max ms"},
               {"losses"}},
              {}};
  for (std::size_t m = 0; m < report.models.size(); ++m) {
    const SetModel& planned = report.plan.models[m];
    const PipelineStatistics& measured = report.models[m].measured;
    const double scale = shown_scale(report.models[m]);
    const double latency_ns = static_cast<double>(planned.latency.count()) * scale;
    table.rows.push_back(
        {printable(planned.demand.name), std::to_string(measured.results),
         fmt::format("{:.1f}", planned.rate_per_s / scale),
         fmt::format("{:.1f}", measured.throughput_per_s), fmt::format("{:.0f}", latency_ns),
         std::to_string(measured.latency.p50.count()), std::to_string(measured.latency.max.count()),
         std::to_string(measured.losses.size())});
  }
  return table;
}

std::string set_run_text(const SetRunReport& report, std::size_t width) {
  std::string text = fmt::format("{} on {}\n\n", format_count(report.models.size(), "model"),
                                 printable(report.backend));
  text += set_run_table(report).to_text(width) + "\n";
  text += device_table(report).to_text(width) + "\n";
  text += "Planned rates and latencies are simulated; the others are measured.\n";
  if (const double scale = shown_scale(report.models.at(0)); scale != 1)
    text += fmt::format("Simulated times were multiplied by {:g}, planned ones too.\n", scale);
  for (const RunReport& model : report.models) {
    for (const DeviceLoss& loss : model.measured.losses)
      text += fmt::format("{} lost {} ({}): {}; fallback: {}.\n", printable(model.model),
                          printable(loss.device), printable(loss.segment), printable(loss.reason),
                          loss.remedy);
  }
  return text;
}

std::string set_run_json(const SetRunReport& report) {
  Json models = Json::array();
  for (std::size_t m = 0; m < report.models.size(); ++m) {
    const SetModel& planned = report.plan.models[m];
    models.push_back({{"name", planned.demand.name},
                      {"planned_per_s", rounded(planned.rate_per_s)},
                      {"planned_latency_ns", planned.latency.count()},
                      {"run", Json::parse(run_json(report.models[m]))}});
  }
  Json devices = Json::array();
  for (const SharedDeviceStatistics& device : report.devices)
    devices.push_back(device_json(device));
  return json::to_text({{"schema", "segue.setrun/1"},
                        {"backend", report.backend},
                        {"models", std::move(models)},
                        {"devices", std::move(devices)}});
}

}  // namespace segue
