// Detectors on two to eight TPUs, next to the times that CodeProject.AI measured.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>

#include "evaluation/paper/detectors_alone.h"
#include "evaluation/paper/experiments.h"
#include "evaluation/paper/write_up.h"
#include "segue/planner.h"
#include "segue/zoo.h"

namespace segue::paper {
namespace {

struct Detector {
  const char* file;             // its name in CodeProject.AI
  const char* zoo;              // the corresponding network of the zoo
  const char* alone;            // the network with a time on one TPU, of this or a smaller input
  double vendor_ms;             // one TPU over USB 3 by coral.ai; 0: not published
  const char* assumption = "";  // about the measured file, which is not available
};

constexpr std::array kDetectors{
    Detector{"ssd_mobilenet_v1_fpn_640", "ssdmobilenetv1fpn", "ssdmobilenetv1fpn@640", 229.4},
    Detector{"efficientdet_lite2_448", "efficientdetlite2", "efficientdetlite2@448", 104.6},
    Detector{"efficientdet_lite3_512", "efficientdetlite3", "efficientdetlite3@512", 107.6},
    Detector{"efficientdet_lite3x_640", "efficientdetlite3x", "efficientdetlite3x@640", 197.0},
    Detector{"yolov5m-int8", "yolov5m@448", "yolov5m@448", 0},
    Detector{"yolov5l-int8", "yolov5l@448", "yolov5l@448", 0},
    Detector{"yolov8s_416_640px", "yolov8s@416x640", "yolov8s@384x608", 0},
    Detector{"yolov8m_416_640px", "yolov8m@416x640", "yolov8m@352x608", 0},
    Detector{"yolov8l_416_640px", "yolov8l@416x640", "yolov8l@352x608", 0},
    Detector{"ipcam-general-v8", "yolov8s@416x640", "yolov8s@384x608", 0,
             "a YOLOv8s of 416 x 640 pixels"},
};

// One row: segments on TPUs, the slow ones replicated, in ms per input.
struct Measured {
  std::size_t detector;
  std::uint32_t tpus;
  std::uint32_t segments;
  double ms;
};

// github.com/codeproject/CodeProject.AI-ObjectDetectionCoral, options.py: the best of several
// splits on PCIe TPUs, driven by Python. The file states segments and TPUs; which segments it
// replicates follows from their times.
constexpr std::array kMeasured{
    Measured{0, 2, 2, 104.2}, Measured{0, 3, 3, 67.5},  Measured{0, 4, 2, 49.1},
    Measured{0, 5, 3, 43.5},  Measured{0, 6, 3, 37.0},  Measured{0, 7, 2, 31.1},
    Measured{0, 8, 3, 27.1},  Measured{1, 2, 2, 32.1},  Measured{1, 3, 2, 19.5},
    Measured{1, 4, 3, 16.5},  Measured{1, 5, 2, 13.6},  Measured{1, 7, 2, 11.5},
    Measured{1, 8, 2, 11.3},  Measured{2, 4, 2, 20.9},  Measured{3, 2, 2, 95.0},
    Measured{3, 3, 3, 70.6},  Measured{3, 4, 3, 47.9},  Measured{3, 5, 2, 38.7},
    Measured{3, 6, 2, 35.1},  Measured{3, 7, 2, 30.6},  Measured{3, 8, 2, 27.3},
    Measured{4, 2, 2, 56.3},  Measured{4, 3, 2, 32.2},  Measured{4, 4, 4, 25.9},
    Measured{4, 5, 2, 21.2},  Measured{4, 6, 3, 18.8},  Measured{4, 7, 4, 14.7},
    Measured{4, 8, 3, 14.6},  Measured{5, 3, 3, 61.1},  Measured{5, 4, 4, 48.0},
    Measured{5, 5, 5, 39.0},  Measured{5, 6, 3, 31.5},  Measured{5, 7, 6, 26.7},
    Measured{5, 8, 4, 24.4},  Measured{6, 3, 2, 25.6},  Measured{7, 2, 2, 114.4},
    Measured{7, 3, 3, 71.9},  Measured{7, 4, 3, 53.0},  Measured{7, 5, 4, 43.5},
    Measured{7, 6, 5, 31.8},  Measured{7, 7, 4, 29.5},  Measured{7, 8, 3, 26.0},
    Measured{8, 2, 2, 169.6}, Measured{8, 3, 2, 115.8}, Measured{8, 4, 2, 89.7},
    Measured{8, 5, 2, 77.7},  Measured{8, 6, 2, 64.2},  Measured{8, 7, 3, 57.3},
    Measured{8, 8, 3, 52.2},  Measured{9, 2, 2, 53.4},  Measured{9, 3, 2, 24.3},
    Measured{9, 4, 3, 19.9},  Measured{9, 5, 3, 15.6},  Measured{9, 6, 3, 15.2},
    Measured{9, 7, 3, 12.3},  Measured{9, 8, 3, 10.9}};
static_assert(kMeasured.size() == 56);

struct DetectorRow {
  Measured measured;
  double simulated_ms = 0;
  double optimal_ms = 0;
  std::uint32_t optimal_stages = 0;
  SegmentTime slowest;  // of the slowest stage, for one input on one TPU
  std::uint64_t host_bytes = 0;
  double one_tpu_ratio = 1;  // measured / simulated, of the network on one TPU
  [[nodiscard]] double error() const { return simulated_ms / measured.ms - 1; }
  [[nodiscard]] double scaled_error() const {
    return one_tpu_ratio * simulated_ms / measured.ms - 1;
  }
};

// Gives each TPU beyond one per segment to the segment that is the slowest at that point.
std::vector<PoolCounts> replicate(std::span<const Stage> stages, std::uint32_t tpus) {
  std::vector<PoolCounts> devices(stages.size(), PoolCounts{1});
  const auto pace = [&](std::size_t s) { return stages[s].time.total() / devices[s][0]; };
  for (auto spare = tpus - static_cast<std::uint32_t>(stages.size()); spare > 0; --spare) {
    std::size_t slowest = 0;
    for (std::size_t s = 1; s < stages.size(); ++s)
      if (pace(s) > pace(slowest)) slowest = s;
    ++devices[slowest][0];
  }
  return devices;
}

// Adds the rows of one network. Its cuts are the best horizontal ones for the number of segments,
// in place of the best of several splits by libcoral's profiling partitioner.
void add_rows(std::size_t detector, const DeviceSpec& device, double one_tpu_ratio,
              std::vector<DetectorRow>& rows) {
  const Model model = open_model(fmt::format("zoo:{}", kDetectors.at(detector).zoo));
  const Graph graph(model);
  Profile profile = Profile::simulated(graph, device);
  const StrategyPlanner planner(graph, device, 8);
  for (const Measured& measured : kMeasured) {
    if (measured.detector != detector) continue;
    const DevicePool pool{device, measured.tpus, false};
    const Segmentation cuts = segment_profiled(profile, measured.segments).segmentation;
    const std::vector<PoolCounts> one_each(cuts.segments.size(), PoolCounts{1});
    const Plan alone = make_plan(graph, cuts, {&pool, 1}, Strategy::kProfile, one_each);
    const auto devices = replicate(alone.stages, measured.tpus);
    const Plan plan = make_plan(graph, cuts, {&pool, 1}, Strategy::kProfile, devices);
    const Plan best = planner.plan(measured.tpus, Strategy::kOptimal).plan;
    const auto slowest = std::ranges::max_element(
        plan.stages, {}, [](const Stage& stage) { return stage.time.total() / stage.replicas; });
    rows.push_back({measured, to_ms(plan.predicted.bottleneck), to_ms(best.predicted.bottleneck),
                    static_cast<std::uint32_t>(best.stages.size()), slowest->time,
                    plan.host_bytes(), one_tpu_ratio});
  }
}

std::vector<DetectorRow> rows_on(const DeviceSpec& device, std::span<const AloneTime> alone) {
  std::vector<DetectorRow> rows;
  for (std::size_t d = 0; d < kDetectors.size(); ++d) {
    const std::string_view name = kDetectors.at(d).alone;
    add_rows(d, device, std::ranges::find(alone, name, &AloneTime::zoo)->ratio(), rows);
  }
  return rows;
}

double mean_percent(std::span<const DetectorRow> rows, double (DetectorRow::*error)() const) {
  double sum = 0;
  for (const DetectorRow& row : rows) sum += std::abs((row.*error)());
  return 100 * sum / static_cast<double>(rows.size());
}

// Pairs of rows of one network whose measured times differ by more than 10 %.
struct Order {
  std::size_t pairs = 0;
  std::size_t right = 0;  // in the same order in the simulation
};

Order order_of(std::span<const DetectorRow> rows) {
  constexpr double kDiffer = 1.1;
  Order order;
  for (const DetectorRow& a : rows) {
    for (const DetectorRow& b : rows) {
      if (a.measured.detector != b.measured.detector || a.measured.ms < kDiffer * b.measured.ms)
        continue;
      ++order.pairs;
      if (a.simulated_ms > b.simulated_ms) ++order.right;
    }
  }
  return order;
}

Table rows_table(std::span<const DetectorRow> rows) {
  Table table{{{"network", Table::Align::kLeft},
               {"TPUs"},
               {"segments"},
               {"measured_ms"},
               {"simulated_ms"},
               {"error_%"},
               {"compute_%"},
               {"streaming_%"},
               {"transfers_%"},
               {"host_%"},
               {"host_MiB"},
               {"optimal_ms"},
               {"optimal_stages"}},
              {}};
  for (const DetectorRow& row : rows) {
    const double total = to_ms(row.slowest.total());
    const auto share = [&](Nanoseconds part) {
      return fmt::format("{:.0f}", 100 * to_ms(part) / total);
    };
    table.rows.push_back(
        {kDetectors.at(row.measured.detector).file, std::to_string(row.measured.tpus),
         std::to_string(row.measured.segments), fmt::format("{:.1f}", row.measured.ms),
         fmt::format("{:.1f}", row.simulated_ms), fmt::format("{:+.0f}", 100 * row.error()),
         share(row.slowest.compute), share(row.slowest.streaming),
         share(row.slowest.input + row.slowest.output + row.slowest.fixed), share(row.slowest.host),
         format_mib(row.host_bytes), fmt::format("{:.1f}", row.optimal_ms),
         std::to_string(row.optimal_stages)});
  }
  return table;
}

Table networks_table(std::span<const DetectorRow> rows) {
  Table table{{{"network", Table::Align::kLeft},
               {"zoo", Table::Align::kLeft},
               {"vendor_ms"},
               {"one_TPU_ms"},
               {"rows"},
               {"mean_error_%"},
               {"one_TPU_ratio"},
               {"scaled_error_%"},
               {"assumed", Table::Align::kLeft}},
              {}};
  for (std::size_t d = 0; d < kDetectors.size(); ++d) {
    const Detector& detector = kDetectors.at(d);
    std::vector<DetectorRow> own;
    for (const DetectorRow& row : rows)
      if (row.measured.detector == d) own.push_back(row);
    const Model model = open_model(fmt::format("zoo:{}", detector.zoo));
    const Graph graph(model);
    const DevicePool one{find_device("edgetpu-usb3-max"), 1, false};
    const Plan whole = plan_by_strategy(graph, {&one, 1}, Strategy::kOptimal).plan;
    table.rows.push_back({detector.file, detector.zoo,
                          detector.vendor_ms > 0 ? fmt::format("{:.1f}", detector.vendor_ms) : "-",
                          format_ms(whole.predicted.bottleneck), std::to_string(own.size()),
                          fmt::format("{:.0f}", mean_percent(own, &DetectorRow::error)),
                          fmt::format("{:.2f}", own.front().one_tpu_ratio),
                          fmt::format("{:.0f}", mean_percent(own, &DetectorRow::scaled_error)),
                          detector.assumption});
  }
  return table;
}

// What the exact search reaches next to the splits that were tuned by hand, over all rows of a
// network and on the most TPUs.
Table by_hand_table(std::span<const DetectorRow> rows) {
  Table table{{{"network", Table::Align::kLeft},
               {"rows"},
               {"vs_measured_%"},
               {"vs_cuts_%"},
               {"TPUs"},
               {"segments"},
               {"measured_ms"},
               {"optimal_stages"},
               {"optimal_ms"}},
              {}};
  for (std::size_t d = 0; d < kDetectors.size(); ++d) {
    const DetectorRow* most = nullptr;
    double to_measured = 0;
    double to_cuts = 0;
    double count = 0;
    for (const DetectorRow& row : rows) {
      if (row.measured.detector != d) continue;
      to_measured += row.optimal_ms / row.measured.ms;
      to_cuts += row.optimal_ms / row.simulated_ms;
      ++count;
      most = &row;
    }
    const auto percent = [&](double sum) {
      return fmt::format("{:+.0f}", 100 * (sum / count - 1));
    };
    table.rows.push_back(
        {kDetectors.at(d).file, fmt::format("{:.0f}", count), percent(to_measured),
         percent(to_cuts), std::to_string(most->measured.tpus),
         std::to_string(most->measured.segments), fmt::format("{:.1f}", most->measured.ms),
         std::to_string(most->optimal_stages), fmt::format("{:.1f}", most->optimal_ms)});
  }
  return table;
}

// Detectors of the zoo to choose from.
constexpr std::array kChoices{
    "ssdmobilenetv2@300",    "ssdlitemobiledet@320",  "efficientdetlite0@320",
    "efficientdetlite1@384", "efficientdetlite2@448", "efficientdetlite3@512",
    "yolov5n@320",           "yolov5s@320",           "yolov5m@320",
    "yolov5l@320",           "yolov8n@320",           "yolov8s@320",
    "yolov8m@320",           "yolov8l@320",           "yolov8n@640",
    "yolov8s@640",           "yolov8m@640",           "yolov8l@640"};

// "57 (51 to 62)": results per second.
std::string rate_cell(const Prediction& predicted) {
  const RateRange range = predicted.range->throughput_per_s();
  return fmt::format("{:.0f} ({:.0f} to {:.0f})", predicted.throughput_per_s, range.low,
                     range.high);
}

Table choices_table(const DeviceSpec& device) {
  constexpr std::array<std::uint32_t, 4> kTpuCounts{1, 2, 4, 8};
  Table table{{{"network", Table::Align::kLeft}}, {}};
  for (const std::uint32_t tpus : kTpuCounts)
    table.columns.push_back({fmt::format("per_s_on_{}", tpus)});
  for (const char* name : kChoices) {
    const Model model = open_model(fmt::format("zoo:{}", name));
    const Graph graph(model);
    const StrategyPlanner planner(graph, device, kTpuCounts.back());
    std::vector<std::string> cells{name};
    for (const std::uint32_t tpus : kTpuCounts)
      cells.push_back(rate_cell(planner.plan(tpus, Strategy::kOptimal).plan.predicted));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

}  // namespace

Experiment detectors_experiment(Evaluation& /*nothing of it is needed*/) {
  const DeviceSpec fast = with_python_runner(find_device("edgetpu-pcie-max"));
  const DeviceSpec slow = with_python_runner(find_device("edgetpu-pcie"));
  const std::vector<AloneTime> alone = detectors_alone(fast);
  const std::vector<DetectorRow> rows = rows_on(fast, alone);
  const std::vector<DetectorRow> slow_rows = rows_on(slow, detectors_alone(slow));
  const Order order = order_of(rows);
  Experiment experiment{
      "detectors",
      "Detectors on two to eight TPUs, next to CodeProject.AI's times",
      fmt::format(
          "Simulated at 500 MHz, the {} rows have a mean error of {:.0f} % ({:.0f} % at 250 MHz), "
          "and {:.0f} % when one measured time on one TPU scales each network. Of {} pairs of "
          "layouts of one network that differ by more than 10 %, {} are in the measured order.",
          rows.size(), mean_percent(rows, &DetectorRow::error),
          mean_percent(slow_rows, &DetectorRow::error),
          mean_percent(rows, &DetectorRow::scaled_error), order.pairs, order.right),
      "",
      {{"networks", "The networks, with published times of one TPU over USB 3",
        networks_table(rows)},
       {"by_hand", "The exact search next to splits tuned by hand", by_hand_table(rows)},
       {"rows", "All rows at 500 MHz; shares are of the slowest stage", rows_table(rows)},
       {"rows_250", "The same at 250 MHz", rows_table(slow_rows)},
       {"one_tpu",
        "One TPU in the newest published table, next to the shares of the simulated time",
        alone_table(alone)},
       {"clocks", "YOLOv8 at two clocks", clocks_table()},
       {"choices", "Pictures per second on PCIe TPUs at 250 MHz, simulated, with ranges",
        choices_table(find_device("edgetpu-pcie"))}},
      {}};
  write_readme(experiment);
  return experiment;
}

}  // namespace segue::paper
