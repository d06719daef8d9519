#include <fmt/format.h>

#include <algorithm>

#include "base/internal/json/node.h"
#include "segue/report.h"
#include "segue/units.h"

namespace segue {
namespace {

using Json = nlohmann::ordered_json;

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
                   {"unique_id", Table::Align::kLeft, Table::Unit::kNone, "", 1},
                   {"link_mbps"},
                   {"temperature_c"},
                   {"controller", Table::Align::kLeft, Table::Unit::kNone, "", 2},
                   {"listed", Table::Align::kLeft}};
  for (const EdgeTpuDevice& device : devices) {
    table.rows.push_back({printable(device.name()), printable(device.path),
                          printable(device.unique_id),
                          device.link_speed_mbps ? std::to_string(*device.link_speed_mbps) : "-",
                          device.temperature_c ? fmt::format("{:.1f}", *device.temperature_c) : "-",
                          device.controller.empty() ? "-" : printable(device.controller),
                          device.unlisted.empty() ? "yes" : "no: " + printable(device.unlisted)});
  }
  return table;
}

std::string devices_text(std::span<const EdgeTpuDevice> devices, std::size_t width) {
  if (devices.empty()) return "No Edge TPU found; `segue doctor` shows what is missing.\n";
  std::string text = devices_table(devices).to_text(width);
  const auto unlisted = static_cast<std::uint64_t>(std::ranges::count_if(
      devices, [](const EdgeTpuDevice& device) { return !device.unlisted.empty(); }));
  if (unlisted == 0) return text;
  return text + fmt::format("\n{} {} not in libedgetpu's list; `segue doctor` shows what to do.\n",
                            format_count(unlisted, "Edge TPU"), unlisted == 1 ? "is" : "are");
}

std::string devices_json(std::span<const EdgeTpuDevice> devices) {
  const auto or_null = [](const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
  };
  Json list = Json::array();
  for (const EdgeTpuDevice& device : devices) {
    list.push_back(
        {{"name", device.name()},
         {"path", device.path},
         {"unique_id", or_null(device.unique_id)},
         {"link_mbps", device.link_speed_mbps ? Json(*device.link_speed_mbps) : Json(nullptr)},
         {"temperature_c", device.temperature_c ? Json(*device.temperature_c) : Json(nullptr)},
         {"controller", or_null(device.controller)},
         {"unlisted", or_null(device.unlisted)}});
  }
  return json::to_text({{"schema", "segue.devices/2"}, {"devices", std::move(list)}});
}

std::string doctor_text(std::span<const Finding> findings) {
  std::string text;
  for (const Finding& finding : findings) {
    text += fmt::format("{:8} {:15} {}\n", word(finding.kind), finding.key,
                        printable(finding.what, 4000));
    if (!finding.next_step.empty())
      text += fmt::format("{:24} next: {}\n", "", printable(finding.next_step, 4000));
  }
  return text;
}

std::string doctor_json(std::span<const Finding> findings) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"key", finding.key},
                    {"kind", word(finding.kind)},
                    {"what", finding.what},
                    {"next_step", finding.next_step}});
  }
  return json::to_text({{"schema", "segue.doctor/2"}, {"findings", std::move(list)}});
}

}  // namespace segue
