#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "accuracy/measured.h"
#include "accuracy/networks.h"
#include "accuracy/predict.h"
#include "segue/accuracy.h"

namespace segue {
namespace {

constexpr const char* kAuthors = "Jorgitou98/EdgeTPU-QuantRL-Evaluation";
constexpr double kNotMeasured = 0;

// Every second row takes part in the fit, from the first; the others are held out.
bool is_held_out(std::size_t position, bool is_fitted) { return !is_fitted || position % 2 == 1; }

// What the rows of a series were used for.
enum class Role {
  kFitted,       // every second row took part in a fit
  kHeldOut,      // none did
  kAlternative,  // none did; another reading of rows that a series before it has
};

struct SweepModel {
  std::int32_t filters = 0;
  SweepPredictor predictor;
};

AccuracySeries series(const char* key, const char* title, const char* source, const char* device,
                      Role role) {
  AccuracySeries result;
  result.key = key;
  result.title = title;
  result.source = source;
  result.device = device;
  result.is_fitted = role == Role::kFitted;
  result.is_rejected = role == Role::kAlternative;
  return result;
}

// What is simulated of a model of the convolutional sweep, and the column it is compared with.
struct SweepColumn {
  const char* key;
  const char* title;
  Role role;
  double ConvSweepRow::*measured;
  std::size_t devices;
  std::uint64_t batch;
  HostSharing sharing;
  double session_ms;
  std::int32_t smallest_filters;  // below, rows are judged by the difference
};

constexpr std::array<SweepColumn, 10> kSweepColumns{{
    {"conv_sweep", "5 x conv 3x3, one TPU, with the session's 1.3 ms", Role::kFitted,
     &ConvSweepRow::one_device, 1, 1, HostSharing::kNone, kSweepSessionMs, 100},
    {"conv_sweep_bare", "5 x conv 3x3, one TPU, as segue simulates it", Role::kAlternative,
     &ConvSweepRow::one_device, 1, 1, HostSharing::kNone, 0, 100},
    {"pipeline_k2_b1", "Segm_Comp on 2 TPUs, batch 1", Role::kFitted, &ConvSweepRow::two_batch_1, 2,
     1, HostSharing::kNone, 0, 0},
    {"pipeline_k4_b1", "Segm_Comp on 4 TPUs, batch 1", Role::kFitted, &ConvSweepRow::four_batch_1,
     4, 1, HostSharing::kNone, 0, 0},
    {"pipeline_k2_b100", "Segm_Comp on 2 TPUs, batch 100, invocations exclude each other",
     Role::kHeldOut, &ConvSweepRow::two_batch_100, 2, 100, HostSharing::kInvocations, 0, 0},
    {"pipeline_k4_b100", "Segm_Comp on 4 TPUs, batch 100, nothing shared", Role::kHeldOut,
     &ConvSweepRow::four_batch_100, 4, 100, HostSharing::kNone, 0, 0},
    {"pipeline_k2_b100_apart", "the same on 2 TPUs, nothing shared", Role::kAlternative,
     &ConvSweepRow::two_batch_100, 2, 100, HostSharing::kNone, 0, 0},
    {"pipeline_k2_b100_transfers", "the same on 2 TPUs, transfers exclude each other",
     Role::kAlternative, &ConvSweepRow::two_batch_100, 2, 100, HostSharing::kTransfers, 0, 0},
    {"pipeline_k4_b100_shared", "the same on 4 TPUs, invocations exclude each other",
     Role::kAlternative, &ConvSweepRow::four_batch_100, 4, 100, HostSharing::kInvocations, 0, 0},
    {"pipeline_k4_b100_transfers", "the same on 4 TPUs, transfers exclude each other",
     Role::kAlternative, &ConvSweepRow::four_batch_100, 4, 100, HostSharing::kTransfers, 0, 0},
}};

AccuracySeries sweep_column(const SweepColumn& column, const std::vector<SweepModel>& models) {
  AccuracySeries result = series(column.key, column.title, kAuthors, "edgetpu-pcie", column.role);
  for (std::size_t i = 0; i < models.size(); ++i) {
    const double measured = conv_sweep()[i].*column.measured;
    if (measured == kNotMeasured) continue;
    const SweepPredictor& model = models[i].predictor;
    const Nanoseconds time = column.devices == 1
                                 ? model.one_device()
                                 : model.pipeline(column.devices, column.batch, column.sharing);
    result.rows.push_back({fmt::format("F={}", models[i].filters), measured,
                           to_ms(time) + column.session_ms, is_held_out(i, result.is_fitted),
                           models[i].filters < column.smallest_filters});
  }
  return result;
}

void add_conv_sweeps(std::vector<AccuracySeries>& all) {
  std::vector<SweepModel> models;
  for (const ConvSweepRow& row : conv_sweep())
    models.push_back({row.filters, SweepPredictor(row.filters)});
  for (const SweepColumn& column : kSweepColumns) all.push_back(sweep_column(column, models));
}

AccuracySeries on_three(const char* key, const char* title, Role role, HostSharing sharing) {
  AccuracySeries result = series(key, title, kAuthors, "edgetpu-pcie", role);
  for (const ThreeDevicesRow& row : conv_sweep_on_three()) {
    const Nanoseconds time = SweepPredictor(row.filters).pipeline(3, 100, sharing);
    result.rows.push_back(
        {fmt::format("F={}", row.filters), row.batch_100, to_ms(time), true, false});
  }
  return result;
}

AccuracySeries batches(const char* key, const char* title, const std::vector<BatchSweepRow>& rows,
                       std::size_t devices, HostSharing sharing) {
  AccuracySeries result = series(key, title, kAuthors, "edgetpu-pcie", Role::kHeldOut);
  const SweepPredictor model(kBatchSweepFilters);
  for (const BatchSweepRow& row : rows) {
    const Nanoseconds time = model.pipeline(devices, row.batch, sharing);
    result.rows.push_back(
        {fmt::format("B={}", row.batch), row.per_input, to_ms(time), true, false});
  }
  return result;
}

void add_three_devices(std::vector<AccuracySeries>& all) {
  all.push_back(on_three("pipeline_k3_b100",
                         "Segm_Comp on 3 TPUs, batch 100, invocations of two exclude each other",
                         Role::kHeldOut, HostSharing::kInvocationsOfTwo));
  all.push_back(on_three("pipeline_k3_b100_apart", "the same on 3 TPUs, nothing shared",
                         Role::kAlternative, HostSharing::kNone));
  all.push_back(on_three("pipeline_k3_b100_shared",
                         "the same on 3 TPUs, invocations exclude each other", Role::kAlternative,
                         HostSharing::kInvocations));
}

void add_batch_sweeps(std::vector<AccuracySeries>& all) {
  all.push_back(batches("batch_sweep", "Segm_Comp on 2 TPUs, batches of 1 to 100, F=672",
                        batch_sweep(), 2, HostSharing::kInvocations));
  all.push_back(batches("batch_sweep_k3", "Segm_Comp on 3 TPUs, batches of 1 to 37, F=672",
                        batch_sweep_on_three(), 3, HostSharing::kInvocationsOfTwo));
}

void add_dense_sweep(std::vector<AccuracySeries>& all) {
  AccuracySeries result = series("dense_sweep", "dense 64 -> N x 4 -> 10, one TPU", kAuthors,
                                 "edgetpu-pcie", Role::kFitted);
  for (std::size_t i = 0; i < dense_sweep().size(); ++i) {
    const DenseSweepRow& row = dense_sweep()[i];
    const Model model = dense_stack(row.units);
    result.rows.push_back({fmt::format("N={}", row.units), row.one_device,
                           to_ms(predict(model, find_device("edgetpu-pcie")).total()),
                           is_held_out(i, true), row.one_device < 1});
  }
  all.push_back(std::move(result));
}

void add_mobilenets(std::vector<AccuracySeries>& all) {
  AccuracySeries result = series("mobilenet", "MobileNet v1 in 16 sizes, USB 3",
                                 "salimmj/coral-benchmarks", "edgetpu-usb3-max", Role::kFitted);
  for (std::size_t i = 0; i < mobilenets().size(); ++i) {
    const MobileNetRow& row = mobilenets()[i];
    const Model model = mobilenet_v1(row.width, row.input_size);
    result.rows.push_back({fmt::format("{:.2f} {}", row.width, row.input_size), row.one_device,
                           to_ms(predict(model, find_device("edgetpu-usb3-max")).total()),
                           is_held_out(i, true), false});
  }
  all.push_back(std::move(result));
}

struct JetsonSetUp {
  const char* name;
  const char* device;
  double slowdown;
};

// The host's pace: at 10 W by the fixed time of an inference against a desktop's, at 5 W slower by
// the ratio of the documented clocks, 1479 MHz to 918 MHz.
constexpr double kJetsonSlowdown = 1.45;
constexpr double kClockRatio = 1479.0 / 918.0;
constexpr std::array<JetsonSetUp, kJetsonRuns> kJetsons{{
    {"USB 3, 10 W", "edgetpu-usb3-max", kJetsonSlowdown},
    {"USB 2, 10 W", "edgetpu-usb2-max", kJetsonSlowdown},
    {"USB 3, 5 W", "edgetpu-usb3-max", kJetsonSlowdown* kClockRatio},
    {"USB 2, 5 W", "edgetpu-usb2-max", kJetsonSlowdown* kClockRatio},
}};

DeviceSpec jetson_device(std::size_t run) {
  DeviceSpec device = find_device(kJetsons[run].device);
  device.timing.host_slowdown.value = kJetsons[run].slowdown;
  return device;
}

void add_usb_stacks(std::vector<AccuracySeries>& all) {
  AccuracySeries result =
      series("usb_stacks", "stacks of 10 to 300 conv 7x7, USB 3 and USB 2, Jetson Nano",
             "iwatake2222/EdgeTPU_Analysis", "edgetpu-usb3-max, edgetpu-usb2-max", Role::kFitted);
  for (std::size_t i = 0; i < usb_stacks().size(); ++i) {
    const UsbStackRow& row = usb_stacks()[i];
    const Model model = usb_stack(row.layers);
    for (std::size_t run = 0; run < kJetsonRuns; ++run) {
      const double ms = to_ms(
          predict_with_report(model, row.on_chip_mib, row.host_mib, jetson_device(run)).total());
      result.rows.push_back({fmt::format("{} layers, {}", row.layers, kJetsons[run].name),
                             row.times[run], ms, is_held_out(i, true), false});
    }
  }
  all.push_back(std::move(result));
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
      result.rows.push_back(
          {fmt::format("{} {}x{}x3, {}", kNames[static_cast<std::size_t>(row.test)], row.height,
                       row.width, kJetsons[run].name),
           row.times[run], to_ms(predict(model, jetson_device(run)).total()), is_held_out(i, true),
           false});
    }
  }
  all.push_back(std::move(result));
}

AccuracySummary summary(const std::vector<AccuracyRow>& rows, bool only_held_out) {
  AccuracySummary result;
  std::size_t large_rows = 0;
  for (const AccuracyRow& row : rows) {
    if (only_held_out && !row.is_held_out) continue;
    ++result.rows;
    if (row.is_small) {
      result.worst_difference_ms =
          std::max(result.worst_difference_ms, std::abs(row.difference_ms()));
      continue;
    }
    ++large_rows;
    result.mean_share += std::abs(row.share());
    result.worst_share = std::max(result.worst_share, std::abs(row.share()));
  }
  if (large_rows > 0) result.mean_share /= static_cast<double>(large_rows);
  return result;
}

std::string cells(const AccuracySummary& summary) {
  return fmt::format("{} | {:.1f} % | {:.1f} % | {}", summary.rows, 100 * summary.mean_share,
                     100 * summary.worst_share,
                     summary.worst_difference_ms > 0
                         ? fmt::format("{:.2f}", summary.worst_difference_ms)
                         : std::string("–"));
}

const AccuracySeries& find_series(std::span<const AccuracySeries> series, std::string_view key) {
  return *std::ranges::find(series, key, &AccuracySeries::key);
}

}  // namespace

AccuracySummary AccuracySeries::all() const { return summary(rows, false); }
AccuracySummary AccuracySeries::held_out() const { return summary(rows, true); }

std::vector<AccuracySeries> evaluate_accuracy() {
  std::vector<AccuracySeries> all;
  add_conv_sweeps(all);
  add_three_devices(all);
  add_batch_sweeps(all);
  add_dense_sweep(all);
  add_mobilenets(all);
  add_usb_stacks(all);
  add_usb_transfers(all);
  return all;
}

std::string accuracy_markdown(std::span<const AccuracySeries> series) {
  std::string text =
      "| measured | rows held out | mean | worst | small, ms | all rows | mean | worst | small, ms "
      "|\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
  for (const AccuracySeries& one : series)
    text += fmt::format("| {} | {} | {} |\n", one.title, cells(one.held_out()), cells(one.all()));
  return text;
}

std::string speedup_markdown(std::span<const AccuracySeries> series) {
  const AccuracySeries& one = find_series(series, "conv_sweep");
  const AccuracySeries& two = find_series(series, "pipeline_k2_b100");
  const AccuracySeries& four = find_series(series, "pipeline_k4_b100");
  constexpr std::size_t kStep = 6;
  std::string text =
      "| filters | 2 TPUs measured | simulated | 4 TPUs measured | simulated |\n"
      "|---|--:|--:|--:|--:|\n";
  for (std::size_t i = 0; i < two.rows.size(); i += kStep) {
    const AccuracyRow& base = one.rows[i];
    const auto cells = [&](const AccuracyRow& row) {
      return fmt::format("{:.2f} | {:.2f}", base.measured_ms / row.measured_ms,
                         base.predicted_ms / row.predicted_ms);
    };
    text += fmt::format("| {} | {} | {} |\n", base.label.substr(2), cells(two.rows[i]),
                        cells(four.rows[i]));
  }
  return text;
}

}  // namespace segue
