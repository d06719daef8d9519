#include "segue/measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace segue {
namespace {

using Clock = std::chrono::steady_clock;

Nanoseconds fastest_run(Session& session, const MeasureOptions& options) {
  const auto values = random_inputs(session.inputs(), options.seed);
  const std::vector<std::span<const std::byte>> inputs(values.begin(), values.end());
  std::vector<TensorBytes> outputs;
  session.run_into(inputs, outputs);
  auto fastest = Nanoseconds::max();
  for (std::uint32_t run = 0; run < std::max(options.runs, 1U); ++run) {
    const auto begin = Clock::now();
    session.run_into(inputs, outputs);
    fastest = std::min<Nanoseconds>(fastest, Clock::now() - begin);
  }
  return fastest;
}

}  // namespace

SegmentLatency measured_latency(const Graph& graph, std::shared_ptr<const Backend> backend,
                                const MeasureOptions& options) {
  return [&graph, backend = std::move(backend),
          options](std::span<const OperatorId> operators) -> Nanoseconds {
    const auto file = extract_segment(graph.model(), operators).to_bytes();
    const auto name = fmt::format("{}: {} operators from {}", graph.model().name(),
                                  operators.size(), index(operators.front()));
    return fastest_run(*backend->open(file, name), options);
  };
}

}  // namespace segue
