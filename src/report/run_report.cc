#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/internal/json/node.h"
#include "report/internal/plan_words.h"
#include "segue/report.h"
#include "segue/units.h"

namespace segue {
namespace {

double utilisation(const PipelineStageStatistics& stage) {
  double sum = 0;
  for (const DeviceStatistics& device : stage.devices) sum += device.utilisation;
  return stage.devices.empty() ? 0 : sum / static_cast<double>(stage.devices.size());
}

// Returns the plan's stage, or null if the pipeline no longer has the plan's stages.
const Stage* planned_stage(const RunReport& report, std::size_t position) {
  if (!report.predicted || report.measured.layouts > 1) return nullptr;
  if (report.measured.stages[position].is_on_host) return nullptr;
  return &report.predicted->stages[position];
}

// Returns the predicted time of an input in a stage, if the plan has one.
std::optional<Nanoseconds> planned_time(const RunReport& report, std::size_t position) {
  if (report.predicted && report.predicted->decoding && report.measured.stages[position].is_on_host)
    return report.predicted->decoding->time;
  const Stage* const planned = planned_stage(report, position);
  return planned != nullptr ? std::optional(planned->time.total()) : std::nullopt;
}

std::int64_t living_devices(const PipelineStageStatistics& stage) {
  return std::ranges::count(stage.devices, false, &DeviceStatistics::is_lost);
}

std::size_t slowest(const PipelineStatistics& measured) {
  const auto found =
      std::ranges::max_element(measured.stages, {}, [](const PipelineStageStatistics& stage) {
        return stage.mean_time / std::max<std::int64_t>(living_devices(stage), 1);
      });
  return static_cast<std::size_t>(found - measured.stages.begin());
}

std::string predicted_text(const RunReport& report) {
  if (!report.predicted) return "";
  const Plan& plan = *report.predicted;
  const std::string count = plan.devices.size() > 1 ? "" : fmt::format("{} ", plan.device_count());
  std::string text =
      fmt::format("Predicted for {}{}{}: {:.1f}/s, latency {} for an input alone; simulated.\n",
                  count, printable(plan.device_text()),
                  report.measured.layouts > 1 ? ", before devices were lost" : "",
                  plan.predicted.throughput_per_s, format_time(plan.predicted.latency));
  const Stage& last = plan.stages[slowest_stage(plan)];
  Nanoseconds all = plan.decoding ? plan.decoding->time : Nanoseconds{0};
  const Nanoseconds slowest = std::max(last.time.total() / last.replicas, all);
  for (const Stage& stage : plan.stages) all += stage.time.total();
  const bool is_more = plan.predicted.bottleneck > slowest || plan.predicted.latency > all;
  if (report.time_scale && is_more && slowest > Nanoseconds{0})
    text += fmt::format(
        "The stages alone: {:.1f}/s, latency {}. The rest is host overhead or a shared link, which "
        "a run does not simulate.\n",
        1 / to_s(slowest), format_time(all));
  for (const PipelineStageStatistics& stage : report.measured.stages) {
    if (!stage.is_on_host) continue;
    text += plan.decoding ? fmt::format("Decoding on the host: {} predicted, {} measured.\n",
                                        with_range(plan.decoding->time, plan.decoding->range),
                                        format_time(stage.mean_time))
                          : fmt::format("With {} on the host ({}, measured): latency {}.\n",
                                        stage.segment, format_time(stage.mean_time),
                                        format_time(plan.predicted.latency + stage.mean_time));
  }
  return text;
}

// Names the slowest stage by measured times. The cause is that of the simulation, because a run
// does not measure it.
std::string slowest_text(const RunReport& report) {
  const std::size_t stage = slowest(report.measured);
  if (report.measured.stages[stage].is_on_host)
    return fmt::format("The stage on the host is the slowest: {} per input (measured).\n",
                       format_time(report.measured.stages[stage].mean_time));
  std::string text = fmt::format(
      "Stage {} is the slowest: {} per input (measured). Give it more devices (`replicas` in "
      "plan.json), or move the cuts.\n",
      stage, format_time(report.measured.stages[stage].mean_time));
  if (planned_stage(report, stage) != nullptr)
    text += "On simulated Edge TPUs: " + bottleneck_sentence(*report.predicted, false) + "\n";
  return text;
}

// Explains the time scale of simulated devices, and suggests a larger one if the CPU is too slow.
std::string scale_text(const RunReport& report) {
  if (!report.time_scale) return "";
  const double scale = *report.time_scale;
  if (scale == 0)
    return "Simulated times were not waited for: measured times are those of the CPU.\n";
  std::string text;
  if (scale != 1)
    text = fmt::format(
        "Simulated times were multiplied by {}: measured times include this factor.\n", scale);
  double needed = scale;
  for (std::size_t i = 0; i < report.measured.stages.size(); ++i) {
    const Stage* planned = planned_stage(report, i);
    if (planned == nullptr || planned->time.total() <= Nanoseconds{0}) continue;
    needed =
        std::max(needed, to_s(report.measured.stages[i].mean_time) / to_s(planned->time.total()));
  }
  constexpr double kNoticeable = 1.1;
  if (needed > kNoticeable * scale)
    text +=
        fmt::format("This CPU is slower than the simulated devices: use `--time-scale {:.0f}`.\n",
                    std::ceil(2 * needed));
  return text;
}

}  // namespace

Table run_table(const RunReport& report) {
  Table table;
  using Unit = Table::Unit;
  constexpr auto kRight = Table::Align::kRight;
  table.columns = {{"stage"},
                   {"devices"},
                   {"on_chip_bytes", kRight, Unit::kBytes, "on-chip MiB"},
                   {"host_bytes", kRight, Unit::kBytes, "host MiB"},
                   {"inputs"},
                   {"measured_ns", kRight, Unit::kTime, "measured ms"},
                   {"simulated_ns", kRight, Unit::kTime, "simulated ms"},
                   {"utilisation", kRight, Unit::kShare, "busy %"},
                   {"mean_queue", kRight, Unit::kNone, "mean queue", 1},
                   {"largest_queue", kRight, Unit::kNone, "largest queue", 2}};
  for (std::size_t i = 0; i < report.measured.stages.size(); ++i) {
    const PipelineStageStatistics& stage = report.measured.stages[i];
    std::uint64_t inputs = 0;
    for (const DeviceStatistics& device : stage.devices) inputs += device.inputs;
    const Stage* planned = planned_stage(report, i);
    const auto time = planned_time(report, i);
    table.rows.push_back(
        {stage.is_on_host ? "host" : std::to_string(i), std::to_string(stage.devices.size()),
         planned != nullptr ? std::to_string(planned->on_chip_bytes) : "-",
         planned != nullptr ? std::to_string(planned->host_bytes) : "-", std::to_string(inputs),
         std::to_string(stage.mean_time.count()), time ? std::to_string(time->count()) : "-",
         fmt::format("{:.4f}", utilisation(stage)), fmt::format("{:.1f}", stage.mean_queue),
         std::to_string(stage.largest_queue)});
  }
  return table;
}

namespace {

std::string classified_text(const RunReport& report) {
  std::string text;
  for (const ClassifiedInput& input : report.classified) {
    text += printable(input.file) + "\n";
    for (const ClassScore& of : input.classes) {
      text +=
          fmt::format("  {:.3f}  {}\n", of.score,
                      of.label.empty() ? fmt::format("class {}", of.index) : printable(of.label));
    }
  }
  return text + (text.empty() ? "" : "\n");
}

std::string pixels(float value) { return fmt::format("{:.1f}", value); }

std::string detected_text(const RunReport& report) {
  std::string text;
  for (const DetectedInput& input : report.detected) {
    text += fmt::format("{}, {} x {} pixels: {}\n", printable(input.file), input.width,
                        input.height, format_count(input.boxes.size(), "object"));
    Table table{
        {{"label", Table::Align::kLeft}, {"score"}, {"left"}, {"top"}, {"right"}, {"bottom"}}, {}};
    for (const LabelledDetection& of : input.boxes) {
      table.rows.push_back({printable(class_name(of)), fmt::format("{:.3f}", of.box.score),
                            pixels(of.box.left), pixels(of.box.top), pixels(of.box.right),
                            pixels(of.box.bottom)});
    }
    text += input.boxes.empty() ? "\n" : table.to_text() + "\n";
  }
  return text;
}

}  // namespace

std::string class_name(const LabelledDetection& detection) {
  return detection.label.empty() ? fmt::format("class {}", detection.box.class_id)
                                 : detection.label;
}

std::string run_text(const RunReport& report, std::size_t width) {
  const PipelineStatistics& measured = report.measured;
  std::string text = classified_text(report) + detected_text(report);
  text += fmt::format("{} on {}\n\n", printable(report.model), printable(report.backend));
  text += run_table(report).to_text(width) + "\n";
  text += fmt::format("{} in {}: {:.1f}/s; latency {} (p50), {} (p99), {} (longest); measured.\n",
                      format_count(measured.results, "result"), format_time(measured.elapsed),
                      measured.throughput_per_s, format_time(measured.latency.p50),
                      format_time(measured.latency.p99), format_time(measured.latency.max));
  text += predicted_text(report) + scale_text(report);
  for (const DeviceTemperature& of : report.hottest) {
    text += fmt::format("{} reached {:.1f} degrees C{}.\n", printable(of.device), of.celsius,
                        of.celsius < kThrottleCelsius[0]
                            ? ""
                            : ": the device lowers its clock at 85, 90 and 95 degrees, so cool it");
  }
  if (measured.results > 0 && measured.stages.size() > 1) text += slowest_text(report);
  for (const DeviceLoss& loss : measured.losses) {
    text += fmt::format("Lost {} ({}): {}; fallback: {}.\n", printable(loss.device),
                        printable(loss.segment), printable(loss.reason), loss.remedy);
  }
  return text;
}

namespace {

using Json = nlohmann::ordered_json;

Json stage_json(const RunReport& report, std::size_t position) {
  using json::rounded;
  const PipelineStageStatistics& stage = report.measured.stages[position];
  Json devices = Json::array();
  for (const DeviceStatistics& device : stage.devices) {
    devices.push_back({{"name", device.name},
                       {"inputs", device.inputs},
                       {"utilisation", rounded(device.utilisation)},
                       {"lost", device.is_lost}});
  }
  const Stage* planned = planned_stage(report, position);
  const auto time = planned_time(report, position);
  Json result{{"index", position},
              {"segment", stage.segment},
              {"on_chip_bytes", planned != nullptr ? Json(planned->on_chip_bytes) : Json(nullptr)},
              {"host_bytes", planned != nullptr ? Json(planned->host_bytes) : Json(nullptr)},
              {"measured_ns", stage.mean_time.count()},
              {"simulated_ns", time ? Json(time->count()) : Json(nullptr)},
              {"mean_queue", rounded(stage.mean_queue)},
              {"largest_queue", stage.largest_queue},
              {"devices", std::move(devices)}};
  if (stage.is_on_host) result["on_host"] = true;
  return result;
}

Json measured_json(const PipelineStatistics& measured) {
  return {{"results", measured.results},
          {"elapsed_ns", measured.elapsed.count()},
          {"throughput_per_s", json::rounded(measured.throughput_per_s)},
          {"latency_ns",
           {{"mean", measured.latency.mean.count()},
            {"p50", measured.latency.p50.count()},
            {"p99", measured.latency.p99.count()},
            {"max", measured.latency.max.count()}}}};
}

Json simulated_json(const RunReport& report) {
  if (!report.predicted) return nullptr;
  const Prediction& predicted = report.predicted->predicted;
  return {{"device", report.predicted->device_text()},
          {"bottleneck_ns", predicted.bottleneck.count()},
          {"latency_ns", predicted.latency.count()},
          {"throughput_per_s", json::rounded(predicted.throughput_per_s)}};
}

Json detected_json(const DetectedInput& input) {
  using json::rounded;
  Json boxes = Json::array();
  for (const LabelledDetection& of : input.boxes) {
    boxes.push_back({{"class", of.box.class_id},
                     {"label", of.label.empty() ? Json(nullptr) : Json(of.label)},
                     {"score", rounded(of.box.score)},
                     {"left", rounded(of.box.left)},
                     {"top", rounded(of.box.top)},
                     {"right", rounded(of.box.right)},
                     {"bottom", rounded(of.box.bottom)}});
  }
  return {{"file", input.file},
          {"width", input.width},
          {"height", input.height},
          {"boxes", std::move(boxes)}};
}

}  // namespace

std::string run_json(const RunReport& report) {
  Json classified = Json::array();
  for (const ClassifiedInput& input : report.classified) {
    Json classes = Json::array();
    for (const ClassScore& of : input.classes) {
      classes.push_back({{"index", of.index},
                         {"label", of.label.empty() ? Json(nullptr) : Json(of.label)},
                         {"score", json::rounded(of.score)}});
    }
    classified.push_back({{"file", input.file}, {"classes", std::move(classes)}});
  }
  Json stages = Json::array();
  for (std::size_t i = 0; i < report.measured.stages.size(); ++i)
    stages.push_back(stage_json(report, i));
  Json losses = Json::array();
  for (const DeviceLoss& loss : report.measured.losses) {
    losses.push_back({{"device", loss.device},
                      {"segment", loss.segment},
                      {"reason", loss.reason},
                      {"remedy", loss.remedy}});
  }
  Json hottest = Json::array();
  for (const DeviceTemperature& of : report.hottest)
    hottest.push_back({{"device", of.device}, {"celsius", json::rounded(of.celsius)}});
  Json document{{"schema", "segue.run/1"},
                {"model", report.model},
                {"backend", report.backend},
                {"measured", measured_json(report.measured)},
                {"simulated", simulated_json(report)},
                {"time_scale", report.time_scale ? Json(*report.time_scale) : Json(nullptr)},
                {"hottest", std::move(hottest)},
                {"stages", std::move(stages)},
                {"losses", std::move(losses)},
                {"classified", std::move(classified)}};
  // Written only by runs that detect, because readers of earlier versions refuse unknown keys.
  for (const DetectedInput& input : report.detected)
    document["detected"].push_back(detected_json(input));
  return json::to_text(document);
}

}  // namespace segue
