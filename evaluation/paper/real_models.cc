// The CNNs on one TPU.
#include <fmt/format.h>

#include <algorithm>

#include "evaluation/accuracy/measured.h"
#include "evaluation/accuracy/predict.h"
#include "evaluation/paper/experiments.h"
#include "evaluation/paper/tables.h"
#include "evaluation/paper/write_up.h"
#include "segue/cost.h"

namespace segue::paper {
namespace {

Table models_table(const std::vector<OneTpuPoint>& points) {
  Table table{{{"model", Table::Align::kLeft},
               {"operators"},
               {"depth"},
               {"parameters_MiB"},
               {"GMAC"},
               {"TPUs"},
               {"ms"},
               {"TOPS"},
               {"on_chip_MiB"},
               {"host_MiB"},
               {"streaming_ms"}},
              {}};
  for (std::size_t i = 0; i < points.size(); ++i) {
    const OneTpuPoint& point = points[i];
    table.rows.push_back(
        {point.model, std::to_string(point.operators), std::to_string(point.depth),
         format_mib(point.parameter_bytes),
         fmt::format("{:.2f}", 1e-9 * static_cast<double>(point.macs)),
         std::to_string(kNetworks.at(i).tpus), format_ms(point.time.total()),
         fmt::format("{:.2f}", tera_operations_per_s(point.macs, point.time.total())),
         format_mib(point.on_chip_bytes), format_mib(point.host_bytes),
         format_ms(point.time.streaming)});
  }
  return table;
}

}  // namespace

Table published_table() {
  Table table{{{"model", Table::Align::kLeft},
               {"USB3_published_ms"},
               {"USB3_simulated_ms"},
               {"USB3_error_%"},
               {"DevBoard_published_ms"},
               {"DevBoard_simulated_ms"},
               {"DevBoard_error_%"}},
              {}};
  for (const PublishedTime& row : published_times()) {
    std::vector<std::string> cells{row.title};
    for (const auto& [device, published] : {std::pair("edgetpu-usb3-max", row.desktop),
                                            std::pair("edgetpu-devboard", row.dev_board)}) {
      const double simulated =
          to_ms(on_one_tpu(row.model, with_first_compilers(find_device(device))).time.total());
      cells.push_back(fmt::format("{:g}", published));
      cells.push_back(fmt::format("{:.1f}", simulated));
      cells.push_back(fmt::format("{:+.0f}", 100 * (simulated / published - 1)));
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

Experiment real_models_experiment(Evaluation& evaluation) {
  const auto& points = evaluation.one_tpu();
  std::size_t streaming = 0;
  for (const OneTpuPoint& point : points) streaming += point.fits ? 0 : 1;
  Experiment experiment{
      "real_models",
      "Table: the CNNs on one TPU",
      fmt::format(
          "{} of {} CNNs do not fit in one TPU; streaming takes up to {} ms of an inference.",
          streaming, points.size(),
          format_ms(std::ranges::max(points, {},
                                     [](const OneTpuPoint& point) { return point.time.streaming; })
                        .time.streaming)),
      "",
      {{"models", "On one TPU over PCIe at 250 MHz, simulated", models_table(points)},
       {"published", "Published times of one TPU, ms", published_table()}},
      {}};
  write_readme(experiment);
  return experiment;
}

}  // namespace segue::paper
