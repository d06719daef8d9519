#include "base/internal/json/node.h"
#include "segue/file.h"
#include "segue/report.h"

namespace segue {
namespace {

Nanoseconds time_in(const json::Node& node) {
  return Nanoseconds(static_cast<std::int64_t>(node.number(std::uint64_t{1} << 62U)));
}

}  // namespace

RunReport read_run(const std::filesystem::path& path) {
  constexpr std::uint64_t kLargest = std::uint64_t{64} << 20U;
  const std::string label = path.string();
  const json::Json document = json::parse(read_text_file(path, kLargest), label);
  const json::Node node(document, "", label);
  node.expect_kind("segue.run");
  node.expect_keys({"schema", "model", "backend", "measured", "simulated", "time_scale", "hottest",
                    "stages", "losses", "classified"},
                   {"detected"});
  node["schema"].expect_schema("segue.run/1");
  RunReport report;
  report.model = node["model"].text();
  report.backend = node["backend"].text();
  const json::Node measured = node["measured"];
  measured.expect_keys({"results", "elapsed_ns", "throughput_per_s", "latency_ns"});
  PipelineStatistics& statistics = report.measured;
  statistics.results = measured["results"].number();
  statistics.elapsed = time_in(measured["elapsed_ns"]);
  statistics.throughput_per_s = measured["throughput_per_s"].real();
  const json::Node latency = measured["latency_ns"];
  latency.expect_keys({"mean", "p50", "p99", "max"});
  statistics.latency = {time_in(latency["mean"]), time_in(latency["p50"]), time_in(latency["p99"]),
                        time_in(latency["max"])};
  for (const json::Node& stage : node["stages"].elements()) {
    stage.expect_keys({"index", "segment", "measured_ns", "simulated_ns", "mean_queue",
                       "largest_queue", "devices"},
                      {"on_chip_bytes", "host_bytes", "on_host"});
    if (stage.has("on_host")) continue;
    PipelineStageStatistics& of = statistics.stages.emplace_back();
    of.segment = stage["segment"].text();
    of.mean_time = time_in(stage["measured_ns"]);
  }
  return report;
}

}  // namespace segue
