#include <fmt/format.h>

#include "base/internal/json/node.h"
#include "segue/report.h"

namespace segue {
namespace {

Table constants_table(const CalibrationResult& result) {
  Table table;
  table.columns = {{"constant", Table::Align::kLeft},
                   {"unit", Table::Align::kLeft},
                   {result.base},
                   {"measured"}};
  for (const CalibratedConstant& constant : result.constants) {
    table.rows.push_back({constant.key, constant.unit, fmt::format("{:.4g}", constant.base),
                          fmt::format("{:.4g}", constant.measured)});
  }
  return table;
}

Table check_table(const CalibrationResult& result) {
  Table table;
  table.columns = {
      {"network", Table::Align::kLeft}, {"measured_ms"}, {"simulated_ms"}, {"measured/simulated"}};
  for (const CalibratedProbe& probe : result.probes) {
    if (!probe.measures.empty()) continue;
    table.rows.push_back({probe.name, format_ms(probe.measured.median), format_ms(probe.simulated),
                          fmt::format("{:.3f}", probe.ratio())});
  }
  return table;
}

}  // namespace

std::string calibration_text(const CalibrationResult& result, std::size_t width) {
  const Calibration check = result.device.calibration.value_or(Calibration{});
  return fmt::format(
      "Measured on {}, compared with {}:\n\n{}\n{}\n\nCheck on networks that were not used to fit "
      "constants, simulated with the measured constants:\n\n{}\nPlans for this device use the "
      "ranges of a measured host, which include {:.2f} to {:.2f} times the simulated time.\n",
      printable(result.tpu), result.base, constants_table(result).to_text(width),
      clock_sentence(result), check_table(result).to_text(width), check.low, check.high);
}

std::string calibration_json(const CalibrationResult& result) {
  using nlohmann::ordered_json;
  ordered_json constants = ordered_json::array();
  for (const CalibratedConstant& constant : result.constants) {
    constants.push_back({{"name", constant.key},
                         {"unit", constant.unit},
                         {"base", constant.base},
                         {"measured", constant.measured}});
  }
  ordered_json probes = ordered_json::array();
  for (const CalibratedProbe& probe : result.probes) {
    probes.push_back({{"name", probe.name},
                      {"measures", probe.measures.empty() ? ordered_json(nullptr)
                                                          : ordered_json(probe.measures)},
                      {"runs", probe.measured.runs},
                      {"measured_ns", probe.measured.median.count()},
                      {"spread", probe.measured.spread},
                      {"simulated_ns", probe.simulated.count()}});
  }
  const Calibration check = result.device.calibration.value_or(Calibration{});
  return json::to_text({{"schema", "segue.calibrate/1"},
                        {"device", result.tpu},
                        {"base", result.base},
                        {"constants", std::move(constants)},
                        {"probes", std::move(probes)},
                        {"calibrated", {{"low", check.low}, {"high", check.high}}},
                        {"clock", clock_sentence(result)}});
}

}  // namespace segue
