// Detectors on one TPU: CodeProject.AI's newest table, and Ultralytics' YOLOv8 at two clocks.
#include "evaluation/paper/detectors_alone.h"

#include <fmt/format.h>

#include <array>

#include "segue/planner.h"
#include "segue/units.h"
#include "segue/zoo.h"

namespace segue::paper {
namespace {

struct Alone {
  const char* zoo;
  double ms;
  bool is_reported;
};

// The newest table of options.py (host: i5-8500). Constants were compared only with networks that
// the experiment does not report on two to eight TPUs.
constexpr std::array kAlone{Alone{"ssdmobilenetv2@300", 6.6, false},
                            Alone{"ssdlitemobiledet@320", 7.4, false},
                            Alone{"efficientdetlite0@320", 23.2, false},
                            Alone{"efficientdetlite1@384", 34.6, false},
                            Alone{"yolov5n@448", 26.5, false},
                            Alone{"yolov5s@448", 37.1, false},
                            Alone{"yolov8n@384x640", 23.6, false},
                            Alone{"ssdmobilenetv1fpn@640", 175.0, true},
                            Alone{"efficientdetlite2@448", 59.8, true},
                            Alone{"efficientdetlite3@512", 75.3, true},
                            Alone{"efficientdetlite3x@640", 182.4, true},
                            Alone{"yolov5m@448", 100.7, true},
                            Alone{"yolov5l@448", 182.9, true},
                            Alone{"yolov8s@384x608", 46.7, true},
                            Alone{"yolov8m@352x608", 187.6, true},
                            Alone{"yolov8l@352x608", 234.7, true}};

SegmentTime time_alone(const char* zoo, const DeviceSpec& device) {
  const Model model = open_model(fmt::format("zoo:{}", zoo));
  const Graph graph(model);
  const DevicePool one{device, 1, false};
  return plan_by_strategy(graph, {&one, 1}, Strategy::kOptimal).plan.stages[0].time;
}

// Ultralytics' times of a USB Accelerator at 250 and 500 MHz on two Raspberry Pis
// (docs.ultralytics.com/guides/coral-edge-tpu-on-raspberry-pi).
struct TwoClocks {
  const char* zoo;
  std::array<double, 2> pi4_ms;
  std::array<double, 2> pi5_ms;
};

constexpr std::array kTwoClocks{TwoClocks{"yolov8n@320", {32.2, 26.7}, {22.2, 16.7}},
                                TwoClocks{"yolov8n@512", {73.5, 60.7}, {53.5, 41.6}},
                                TwoClocks{"yolov8s@320", {47.1, 39.8}, {40.1, 32.2}},
                                TwoClocks{"yolov8s@512", {149.6, 125.3}, {132.0, 103.3}}};

}  // namespace

// An invocation starts and ends in a Python thread that takes turns with 16 others, which resize
// pictures and decode results. An emulation without a TPU takes 1.35 to 1.95 ms more per picture
// than its invocations (experiments/detectors). SSD MobileNet v2 and MobileDet on one TPU lack 1.3
// and 1.6 ms without it.
DeviceSpec with_python_runner(DeviceSpec device) {
  constexpr double kRunnerNs = 1.4e6;
  device.timing.invoke_ns.value += kRunnerNs;
  return device;
}

double AloneTime::ratio() const { return measured_ms / to_ms(simulated.total()); }

std::vector<AloneTime> detectors_alone(const DeviceSpec& device) {
  std::vector<AloneTime> times;
  for (const Alone& row : kAlone)
    times.push_back({row.zoo, row.ms, row.is_reported, time_alone(row.zoo, device)});
  return times;
}

Table alone_table(std::span<const AloneTime> times) {
  Table table{{{"zoo", Table::Align::kLeft},
               {"on_2_to_8", Table::Align::kLeft},
               {"measured_ms"},
               {"simulated_ms"},
               {"error_%"},
               {"input_ms"},
               {"compute_ms"},
               {"streaming_ms"},
               {"output_ms"},
               {"host_ms"}},
              {}};
  const auto cell = [](Nanoseconds time) { return fmt::format("{:.1f}", to_ms(time)); };
  for (const AloneTime& row : times) {
    const SegmentTime& time = row.simulated;
    table.rows.push_back({std::string(row.zoo), row.is_reported ? "yes" : "no",
                          fmt::format("{:.1f}", row.measured_ms), cell(time.total()),
                          fmt::format("{:+.0f}", 100 * (1 / row.ratio() - 1)), cell(time.input),
                          cell(time.compute), cell(time.streaming), cell(time.output),
                          cell(time.host)});
  }
  return table;
}

Table clocks_table() {
  Table table{{{"network", Table::Align::kLeft},
               {"Pi_4_at_500_MHz_ms"},
               {"Pi_5_at_500_MHz_ms"},
               {"simulated_ms"},
               {"Pi_4_difference_ms"},
               {"Pi_5_difference_ms"},
               {"simulated_difference_ms"}},
              {}};
  const DeviceSpec& standard = find_device("edgetpu-usb3-pi4");
  DeviceSpec maximum = standard;
  maximum.timing.clock_hz = find_device("edgetpu-usb3-max").timing.clock_hz;
  const auto cell = [](double ms) { return fmt::format("{:.1f}", ms); };
  for (const TwoClocks& row : kTwoClocks) {
    const double fast = to_ms(time_alone(row.zoo, maximum).total());
    const double slow = to_ms(time_alone(row.zoo, standard).total());
    table.rows.push_back({row.zoo, cell(row.pi4_ms[1]), cell(row.pi5_ms[1]), cell(fast),
                          cell(row.pi4_ms[0] - row.pi4_ms[1]), cell(row.pi5_ms[0] - row.pi5_ms[1]),
                          cell(slow - fast)});
  }
  return table;
}

}  // namespace segue::paper
