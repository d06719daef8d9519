#include <fmt/format.h>

#include "json/node.h"
#include "segue/names.h"
#include "segue/report.h"

namespace segue {
namespace {

const char* word(Finding::Kind kind) {
  switch (kind) {
    case Finding::Kind::kGood:
      return "good";
    case Finding::Kind::kNote:
      return "note";
    default:
      return "problem";
  }
}

}  // namespace

Table devices_table(std::span<const EdgeTpuDevice> devices) {
  Table table;
  table.columns = {{"device", Table::Align::kLeft},
                   {"path", Table::Align::kLeft},
                   {"unique_id", Table::Align::kLeft},
                   {"link_mbps"},
                   {"temperature_c"}};
  for (const EdgeTpuDevice& device : devices) {
    table.rows.push_back(
        {printable(device.name()), printable(device.path), printable(device.unique_id),
         device.link_speed_mbps ? std::to_string(*device.link_speed_mbps) : "-",
         device.temperature_c ? fmt::format("{:.1f}", *device.temperature_c) : "-"});
  }
  return table;
}

std::string devices_json(std::span<const EdgeTpuDevice> devices) {
  using Json = nlohmann::ordered_json;
  Json list = Json::array();
  for (const EdgeTpuDevice& device : devices) {
    list.push_back(
        {{"name", device.name()},
         {"path", device.path},
         {"unique_id", device.unique_id.empty() ? Json(nullptr) : Json(device.unique_id)},
         {"link_mbps", device.link_speed_mbps ? Json(*device.link_speed_mbps) : Json(nullptr)},
         {"temperature_c", device.temperature_c ? Json(*device.temperature_c) : Json(nullptr)}});
  }
  return json::to_text({{"schema", "segue.devices/1"}, {"devices", std::move(list)}});
}

std::string doctor_text(std::span<const Finding> findings) {
  std::string text;
  for (const Finding& finding : findings) {
    text += fmt::format("{:8}{}\n", word(finding.kind), printable(finding.what, 4000));
    if (!finding.next_step.empty()) text += fmt::format("        next: {}\n", finding.next_step);
  }
  return text;
}

std::string doctor_json(std::span<const Finding> findings) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    list.push_back(
        {{"kind", word(finding.kind)}, {"what", finding.what}, {"next_step", finding.next_step}});
  }
  return json::to_text({{"schema", "segue.doctor/1"}, {"findings", std::move(list)}});
}

}  // namespace segue
