#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "evaluation/accuracy/accuracy.h"
#include "evaluation/accuracy/measured.h"
#include "evaluation/accuracy/networks.h"
#include "evaluation/accuracy/predict.h"
#include "segue/zoo.h"

namespace segue {
namespace {

constexpr const char* kAuthors = "Jorgitou98/EdgeTPU-QuantRL-Evaluation";
constexpr double kNotMeasured = 0;

// Every second row, from the first, is used for fitting; the others are held out.
bool is_held_out(std::size_t position, AccuracyRole role) {
  return role != AccuracyRole::kFitted || position % 2 == 1;
}

using Role = AccuracyRole;

struct SweepModel {
  std::int32_t filters = 0;
  SweepPredictor predictor;
};

AccuracySeries series(const std::string& key, const std::string& title, const char* source,
                      const char* device, Role role) {
  AccuracySeries result;
  result.key = key;
  result.title = title;
  result.source = source;
  result.device = device;
  result.role = role;
  return result;
}

AccuracyRow row_of(std::string label, double measured_ms, const RangedTime& predicted,
                   const DeviceSpec& device, bool is_held_out) {
  return {.label = std::move(label),
          .measured_ms = measured_ms,
          .predicted_ms = to_ms(predicted.time),
          .is_held_out = is_held_out,
          .low_ms = to_ms(predicted.range.low),
          .high_ms = to_ms(predicted.range.high),
          .host = host_knowledge(device),
          .kind = predicted.kind};
}

// A simulated time of a model of the convolutional sweep, and the column with which it is compared.
struct SweepColumn {
  const char* key;
  const char* title;
  Role role;
  double ConvSweepRow::*measured;
  std::size_t devices;
  std::uint64_t batch;
  HostPace pace;
  double session_ms;
  std::int32_t smallest_filters;  // rows with fewer filters are evaluated by the difference
};

constexpr HostPace kUnhurried{};

constexpr std::array<SweepColumn, 8> kSweepColumns{{
    {"conv_sweep", "5 x conv 3x3, one TPU, with the session's 1.3 ms", Role::kFitted,
     &ConvSweepRow::one_device, 1, 1, kUnhurried, kSweepSessionMs, 100},
    {"conv_sweep_bare", "5 x conv 3x3, one TPU, as segue simulates it", Role::kAlternative,
     &ConvSweepRow::one_device, 1, 1, kUnhurried, 0, 100},
    {"pipeline_k2_b1", "Segm_Comp on 2 TPUs, batch 1", Role::kSeen, &ConvSweepRow::two_batch_1, 2,
     1, kUnhurried, 0, 100},
    {"pipeline_k4_b1", "Segm_Comp on 4 TPUs, batch 1", Role::kSeen, &ConvSweepRow::four_batch_1, 4,
     1, kUnhurried, 0, 100},
    {"pipeline_k2_b100", "Segm_Comp on 2 TPUs, batch 100", Role::kFitted,
     &ConvSweepRow::two_batch_100, 2, 100, kMeasuredHost, 0, 100},
    {"pipeline_k4_b100", "Segm_Comp on 4 TPUs, batch 100", Role::kFitted,
     &ConvSweepRow::four_batch_100, 4, 100, kMeasuredHost, 0, 100},
    {"pipeline_k2_b100_apart", "the same on 2 TPUs, the host not stretched", Role::kAlternative,
     &ConvSweepRow::two_batch_100, 2, 100, kUnhurried, 0, 100},
    {"pipeline_k4_b100_apart", "the same on 4 TPUs, the host not stretched", Role::kAlternative,
     &ConvSweepRow::four_batch_100, 4, 100, kUnhurried, 0, 100},
}};

AccuracySeries sweep_column(const SweepColumn& column, const std::vector<SweepModel>& models) {
  AccuracySeries result = series(column.key, column.title, kAuthors, "edgetpu-pcie", column.role);
  const DeviceSpec device = on_measured_host("edgetpu-pcie");
  for (std::size_t i = 0; i < models.size(); ++i) {
    const double measured = conv_sweep()[i].*column.measured;
    if (measured == kNotMeasured) continue;
    AccuracyRow row = row_of(
        fmt::format("F={}", models[i].filters), measured,
        models[i].predictor.ranged_pipeline(column.devices, column.batch, column.pace, device),
        device, is_held_out(i, result.role));
    for (double* ms : {&row.predicted_ms, &row.low_ms, &row.high_ms}) *ms += column.session_ms;
    row.is_small = models[i].filters < column.smallest_filters;
    result.rows.push_back(std::move(row));
  }
  return result;
}

void add_conv_sweeps(std::vector<AccuracySeries>& all) {
  std::vector<SweepModel> models;
  for (const ConvSweepRow& row : conv_sweep())
    models.push_back({row.filters, SweepPredictor(row.filters)});
  for (const SweepColumn& column : kSweepColumns) all.push_back(sweep_column(column, models));
}

AccuracySeries on_three(const char* key, const char* title, Role role, const HostPace& pace) {
  AccuracySeries result = series(key, title, kAuthors, "edgetpu-pcie", role);
  const DeviceSpec device = on_measured_host("edgetpu-pcie");
  for (std::size_t i = 0; i < conv_sweep_on_three().size(); ++i) {
    const ThreeDevicesRow& row = conv_sweep_on_three()[i];
    result.rows.push_back(row_of(fmt::format("F={}", row.filters), row.batch_100,
                                 SweepPredictor(row.filters).ranged_pipeline(3, 100, pace, device),
                                 device, is_held_out(i, result.role)));
    result.rows.back().is_small = row.filters < 100;
  }
  return result;
}

AccuracySeries batches(const char* key, const char* title, const std::vector<BatchSweepRow>& rows,
                       std::size_t devices) {
  AccuracySeries result = series(key, title, kAuthors, "edgetpu-pcie", Role::kSeen);
  const SweepPredictor model(kBatchSweepFilters);
  const DeviceSpec device = on_measured_host("edgetpu-pcie");
  for (const BatchSweepRow& row : rows) {
    result.rows.push_back(row_of(fmt::format("B={}", row.batch), row.per_input,
                                 model.ranged_pipeline(devices, row.batch, kMeasuredHost, device),
                                 device, true));
  }
  return result;
}

void add_three_devices(std::vector<AccuracySeries>& all) {
  all.push_back(
      on_three("pipeline_k3_b100", "Segm_Comp on 3 TPUs, batch 100", Role::kFitted, kMeasuredHost));
  all.push_back(on_three("pipeline_k3_b100_apart", "the same on 3 TPUs, the host not stretched",
                         Role::kAlternative, kUnhurried));
}

void add_batch_sweeps(std::vector<AccuracySeries>& all) {
  all.push_back(
      batches("batch_sweep", "Segm_Comp on 2 TPUs, batches of 1 to 100, F=672", batch_sweep(), 2));
  all.push_back(batches("batch_sweep_k3", "Segm_Comp on 3 TPUs, batches of 1 to 37, F=672",
                        batch_sweep_on_three(), 3));
}

// Adds five layers in two segments, with the cuts of libcoral's profiling.
void add_profiled_splits(std::vector<AccuracySeries>& all) {
  AccuracySeries result = series("profiled_k2_b100", "profiled splits on 2 TPUs, batch 100",
                                 kAuthors, "edgetpu-pcie", Role::kSeen);
  const DeviceSpec device = on_measured_host("edgetpu-pcie");
  for (const ProfiledRow& row : profiled_splits()) {
    const SweepPredictor model(row.filters);
    result.rows.push_back(row_of(fmt::format("F={}", row.filters), row.batch_100,
                                 model.ranged_in_two(row.first_layers, 100, kMeasuredHost, device),
                                 device, true));
  }
  all.push_back(std::move(result));
}

void add_conv_stacks(std::vector<AccuracySeries>& all) {
  AccuracySeries result = series("conv_stacks", "2 and 5 x conv 3x3 of other runs, one TPU",
                                 "Jorgitou98/EdgeTPU-QuantRL-Evaluation, earlier commits",
                                 "edgetpu-pcie", Role::kLookedAt);
  const DeviceSpec device = on_measured_host("edgetpu-pcie");
  for (const ConvStackRow& row : conv_stacks()) {
    const Model model = conv_stack(row.layers, row.filters);
    result.rows.push_back(row_of(fmt::format("L={} F={}", row.layers, row.filters), row.one_device,
                                 ranged(model, predict(model, device), device), device, true));
  }
  all.push_back(std::move(result));
}

constexpr const char* kCardSource = "mouad-zouhdi/sparta-edgetpu";

// Adds ResNet152 in Google's segments, with its latency and the time between results, and whole on
// each TPU.
void add_resnet_on_card(std::vector<AccuracySeries>& all) {
  const auto on_card = [](const char* key, const char* title, Role role) {
    return series(key, title, kCardSource, "edgetpu-card8", role);
  };
  AccuracySeries latency =
      on_card("card_latency", "ResNet152 on 1 to 8 TPUs of a card, latency", Role::kLookedAt);
  AccuracySeries period = on_card("card_period", "the same, time between two results", Role::kSeen);
  AccuracySeries copies = on_card("card_copies", "the same network whole on each TPU", Role::kSeen);
  const Model model = open_model("zoo:resnet152");
  const Graph graph(model);
  const DeviceSpec device = on_measured_host("edgetpu-card8");
  for (const CardRow& row : resnet152_on_card()) {
    const CardPipeline pipeline = predict_on_card(graph, row.tpus);
    RangedTime whole = ranged(model, predict(model, device), device);
    for (Nanoseconds* time : {&whole.time, &whole.range.low, &whole.range.high}) *time /= row.tpus;
    const std::string label = fmt::format("{} TPUs", row.tpus);
    latency.rows.push_back(row_of(label, row.latency_ms, pipeline.latency, device, true));
    period.rows.push_back(row_of(label, 1000 / row.per_s, pipeline.period, device, true));
    copies.rows.push_back(row_of(label, 1000 / row.copies_per_s, whole, device, true));
  }
  for (AccuracySeries* one : {&latency, &period, &copies}) all.push_back(std::move(*one));
}

void add_residual_net_on_card(std::vector<AccuracySeries>& all) {
  constexpr std::int32_t kLargestOfSmall = 384;
  AccuracySeries small =
      series("card_residual", "residual network of 26 MiB, 96 to 384 pixels, 1 to 8 TPUs, latency",
             kCardSource, "edgetpu-card8", Role::kLookedAt);
  AccuracySeries large = series("card_residual_large", "the same, 448 to 768 pixels", kCardSource,
                                "edgetpu-card8", Role::kLookedAt);
  const DeviceSpec device = on_measured_host("edgetpu-card8");
  for (const ResidualNetRow& row : residual_net_on_card()) {
    const Model model = residual_net(row.pixels);
    const Graph graph(model);
    for (std::size_t i = 0; i < row.times.size(); ++i) {
      const auto tpus = static_cast<std::uint32_t>(i + 1);
      (row.pixels <= kLargestOfSmall ? small : large)
          .rows.push_back(row_of(fmt::format("{} TPUs, {} pixels", tpus, row.pixels), row.times[i],
                                 predict_on_card(graph, tpus).latency, device, true));
    }
  }
  all.push_back(std::move(small));
  all.push_back(std::move(large));
}

void add_published(std::vector<AccuracySeries>& all, const std::string& key_prefix,
                   const std::string& title, bool is_predicted) {
  constexpr const char* kSource = "coral.ai/docs/edgetpu/benchmarks, google-coral/pycoral";
  const Role role = is_predicted ? Role::kPredicted : Role::kLookedAt;
  AccuracySeries desktop =
      series(key_prefix + "usb3", title + ", USB 3, 500 MHz", kSource, "edgetpu-usb3-max", role);
  // The Dev Board's rows led to the law of its instructions.
  AccuracySeries board = series(key_prefix + "devboard", title + ", Dev Board", kSource,
                                "edgetpu-devboard", Role::kLookedAt);
  const DeviceSpec usb3 = with_first_compilers(find_device(desktop.device));
  const DeviceSpec dev_board = with_first_compilers(find_device(board.device));
  for (const PublishedTime& row : published_times()) {
    // The published time is less than its parameters take on the link.
    if (row.title == std::string_view("Inception-ResNet v2")) continue;
    if (row.is_predicted != is_predicted) continue;
    const Model model = open_model(std::string("zoo:") + row.model);
    const auto add_row = [&](AccuracySeries& to, double measured, const DeviceSpec& device) {
      to.rows.push_back(
          row_of(row.title, measured, ranged(model, predict(model, device), device), device, true));
    };
    add_row(desktop, row.desktop, usb3);
    add_row(board, row.dev_board, dev_board);
  }
  all.push_back(std::move(desktop));
  all.push_back(std::move(board));
}

void add_recent_host(std::vector<AccuracySeries>& all) {
  AccuracySeries result = series("recent_host", "three networks on a host of 2026, USB 3, 250 MHz",
                                 "x2q.net/post/google-coral-edge-tpu-experiments-2026",
                                 "edgetpu-usb3", Role::kPredicted);
  const DeviceSpec device = find_device(result.device);
  for (const RecentHostRow& row : recent_host()) {
    const Model model = open_model(std::string("zoo:") + row.model);
    result.rows.push_back(
        row_of(row.title, row.ms, ranged(model, predict(model, device), device), device, true));
  }
  all.push_back(std::move(result));
}

void add_dense_sweep(std::vector<AccuracySeries>& all) {
  AccuracySeries result = series("dense_sweep", "dense 64 -> N x 4 -> 10, one TPU", kAuthors,
                                 "edgetpu-pcie", Role::kFitted);
  const DeviceSpec device = on_measured_host("edgetpu-pcie");
  for (std::size_t i = 0; i < dense_sweep().size(); ++i) {
    const DenseSweepRow& row = dense_sweep()[i];
    const Model model = dense_stack(row.units);
    result.rows.push_back(row_of(fmt::format("N={}", row.units), row.one_device,
                                 ranged(model, predict(model, device), device), device,
                                 is_held_out(i, result.role)));
    result.rows.back().is_small = row.one_device < 1;
  }
  all.push_back(std::move(result));
}

void add_mobilenets(std::vector<AccuracySeries>& all) {
  AccuracySeries result =
      series("mobilenet", "MobileNet v1 in 16 sizes, USB 2, Raspberry Pi",
             "salimmj/coral-benchmarks, times 10", "edgetpu-usb2", Role::kLookedAt);
  const DeviceSpec& device = find_device("edgetpu-usb2");
  for (std::size_t i = 0; i < mobilenets().size(); ++i) {
    const MobileNetRow& row = mobilenets()[i];
    const Model model = mobilenet_v1(row.width, row.input_size);
    result.rows.push_back(row_of(fmt::format("{:.2f} {}", row.width, row.input_size),
                                 row.one_device, ranged(model, predict(model, device), device),
                                 device, is_held_out(i, result.role)));
  }
  all.push_back(std::move(result));
}

struct JetsonSetUp {
  const char* name;
  const char* device;
  double invoke_ns;
  double input_ns_per_byte;
  double output_ns_per_byte;
  double slowdown;
};

// The host's constants are fitted to the transfers at 10 W. At 5 W the host is slower by the ratio
// of the documented clocks, 1479 MHz to 918 MHz.
constexpr double kClockRatio = 1479.0 / 918.0;
constexpr std::array<JetsonSetUp, kJetsonRuns> kJetsons{{
    {"USB 3, 10 W", "edgetpu-usb3-max", 0.28e6, 0.85, 29.7, 1},
    {"USB 2, 10 W", "edgetpu-usb2-max", 0.225e6, 0.3, 56.5, 1},
    {"USB 3, 5 W", "edgetpu-usb3-max", 0.28e6, 0.85, 29.7, kClockRatio},
    {"USB 2, 5 W", "edgetpu-usb2-max", 0.225e6, 0.3, 56.5, kClockRatio},
}};

DeviceSpec jetson_device(std::size_t run) {
  const JetsonSetUp& jetson = kJetsons[run];
  DeviceSpec device = find_device(jetson.device);
  device.timing.invoke_ns.value = jetson.invoke_ns;
  device.timing.input_ns_per_byte.value = jetson.input_ns_per_byte;
  device.timing.output_ns_per_byte.value = jetson.output_ns_per_byte;
  device.timing.host_slowdown.value = jetson.slowdown;
  device.is_host_unknown = jetson.slowdown > 1;
  if (!device.is_host_unknown) device.calibration = Calibration{};
  return device;
}

void add_usb_stacks(std::vector<AccuracySeries>& all) {
  constexpr const char* kDevices = "edgetpu-usb3-max, edgetpu-usb2-max";
  constexpr std::size_t kRunsAt10W = 2;
  AccuracySeries fast =
      series("usb_stacks", "stacks of 10 to 300 conv 7x7, USB 3 and USB 2, Jetson Nano at 10 W",
             "iwatake2222/EdgeTPU_Analysis", kDevices, Role::kLookedAt);
  AccuracySeries slow = series("usb_stacks_5w", "the same at 5 W", "iwatake2222/EdgeTPU_Analysis",
                               kDevices, Role::kLookedAt);
  for (const UsbStackRow& row : usb_stacks()) {
    const Model model = usb_stack(row.layers);
    for (std::size_t run = 0; run < kJetsonRuns; ++run) {
      const DeviceSpec device = jetson_device(run);
      const SegmentTime time = predict_with_report(model, row.on_chip_mib, row.host_mib, device);
      (run < kRunsAt10W ? fast : slow)
          .rows.push_back(row_of(fmt::format("{} layers, {}", row.layers, kJetsons[run].name),
                                 row.times[run], ranged(model, time, device), device, true));
    }
  }
  all.push_back(std::move(fast));
  all.push_back(std::move(slow));
}

void add_usb_transfers(std::vector<AccuracySeries>& all) {
  AccuracySeries result = series(
      "usb_transfers", "inputs and outputs of 12 to 196608 bytes, USB 3 and USB 2, Jetson Nano",
      "iwatake2222/EdgeTPU_Analysis", "edgetpu-usb3-max, edgetpu-usb2-max", Role::kFitted);
  constexpr std::array<const char*, 3> kNames{"in", "out", "neither"};
  for (std::size_t i = 0; i < usb_transfers().size(); ++i) {
    const UsbTransferRow& row = usb_transfers()[i];
    const Model model = transfer_test(row.test, row.height, row.width);
    for (std::size_t run = 0; run < kJetsonRuns; ++run) {
      const DeviceSpec device = jetson_device(run);
      result.rows.push_back(
          row_of(fmt::format("{} {}x{}x3, {}", kNames[static_cast<std::size_t>(row.test)],
                             row.height, row.width, kJetsons[run].name),
                 row.times[run], ranged(model, predict(model, device), device), device,
                 is_held_out(i, result.role)));
    }
  }
  all.push_back(std::move(result));
}

}  // namespace

std::vector<AccuracySeries> evaluate_accuracy() {
  std::vector<AccuracySeries> all;
  add_conv_sweeps(all);
  add_three_devices(all);
  add_batch_sweeps(all);
  add_profiled_splits(all);
  add_conv_stacks(all);
  add_dense_sweep(all);
  add_mobilenets(all);
  add_usb_stacks(all);
  add_usb_transfers(all);
  add_resnet_on_card(all);
  add_residual_net_on_card(all);
  add_published(all, "published_", "networks of the zoo", false);
  add_published(all, "predicted_", "networks added later", true);
  add_recent_host(all);
  return all;
}

}  // namespace segue
