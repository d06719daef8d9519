#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "segue/cost.h"
#include "segue/error.h"
#include "segue/runtime.h"

namespace segue {
namespace {

using Clock = std::function<Nanoseconds()>;

Nanoseconds steady_time() { return std::chrono::steady_clock::now().time_since_epoch(); }

// A session that runs on one seeded input.
class Runner {
 public:
  Runner(std::unique_ptr<Session> session, const MeasureOptions& options)
      : session_(std::move(session)),
        clock_(options.clock ? options.clock : steady_time),
        values_(random_inputs(session_->inputs(), options.seed)),
        inputs_(values_.begin(), values_.end()) {
    (void)run();  // warm-up, which touches new memory
  }

  Nanoseconds run() {
    const Nanoseconds begin = clock_();
    session_->run_into(inputs_, outputs_);
    return clock_() - begin;
  }

 private:
  std::unique_ptr<Session> session_;
  Clock clock_;
  std::vector<TensorBytes> values_;
  std::vector<std::span<const std::byte>> inputs_;
  std::vector<TensorBytes> outputs_;
};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

// Keeps one core busy per runner during its lifetime.
class Load {
 public:
  explicit Load(const std::vector<std::unique_ptr<Runner>>& runners) {
    for (const auto& runner : runners) {
      threads_.emplace_back([&runner](const std::stop_token& stop) {
        try {
          while (!stop.stop_requested()) (void)runner->run();
        } catch (...) {
          // This core then idles. The measured run reports what is wrong with the backend.
        }
      });
    }
  }

 private:
  std::vector<std::jthread> threads_;
};

class MeasuredLatency {
 public:
  MeasuredLatency(const Graph& graph, std::shared_ptr<const Backend> backend,
                  MeasureOptions options)
      : graph_(graph), backend_(std::move(backend)), options_(std::move(options)) {
    const Model& model = graph.model();
    for (std::uint32_t i = 0; i < options_.busy_cores; ++i) {
      busy_.push_back(
          std::make_unique<Runner>(backend_->open(model.runnable_bytes(), model.name()), options_));
    }
    if (!options_.in_turns) return;
    const Load load(busy_);
    whole_ =
        std::make_unique<Runner>(backend_->open(model.runnable_bytes(), model.name()), options_);
    whole_time_ = fastest(*whole_);
  }

  [[nodiscard]] Nanoseconds operator()(std::span<const OperatorId> operators) {
    const auto file = extract_segment(graph_.model(), operators).to_bytes();
    const auto name = fmt::format("{}: {} operators from {}", graph_.model().name(),
                                  operators.size(), index(operators.front()));
    Runner segment(backend_->open(file, name), options_);
    const Load load(busy_);
    return whole_ == nullptr ? fastest(segment) : in_turns(segment);
  }

 private:
  [[nodiscard]] std::uint32_t runs() const { return std::max(options_.runs, 1U); }

  Nanoseconds fastest(Runner& runner) const {
    auto fastest = Nanoseconds::max();
    for (std::uint32_t run = 0; run < runs(); ++run) fastest = std::min(fastest, runner.run());
    return fastest;
  }

  // Measures the segment's share of the whole model's time. Each run of the segment is between two
  // runs of the whole model.
  Nanoseconds in_turns(Runner& segment) const {
    std::vector<double> shares;
    Nanoseconds before = whole_->run();
    for (std::uint32_t run = 0; run < runs(); ++run) {
      const Nanoseconds time = segment.run();
      const Nanoseconds after = whole_->run();
      shares.push_back(2 * to_s(time) / (to_s(before) + to_s(after)));
      before = after;
    }
    const double ns = median(std::move(shares)) * static_cast<double>(whole_time_.count());
    return Nanoseconds(std::llround(ns));
  }

  const Graph& graph_;
  std::shared_ptr<const Backend> backend_;
  MeasureOptions options_;
  std::vector<std::unique_ptr<Runner>> busy_;
  std::unique_ptr<Runner> whole_;
  Nanoseconds whole_time_{0};
};

}  // namespace

SegmentLatency measured_latency(const Graph& graph, std::shared_ptr<const Backend> backend,
                                const MeasureOptions& options) {
  const auto measured = std::make_shared<MeasuredLatency>(graph, std::move(backend), options);
  return [measured](std::span<const OperatorId> operators) { return (*measured)(operators); };
}

HostCompute measured_host(HostCompute host, const Graph& graph, const Backend& backend,
                          const MeasureOptions& options) {
  const Model& model = graph.model();
  const std::vector<bool> may_run_on_host = possible_host_operators(graph);
  for (std::size_t i = 0; i < may_run_on_host.size(); ++i) {
    if (!may_run_on_host[i]) continue;
    const OperatorId id = operator_id(i);
    try {
      const auto file = extract_segment(model, {&id, 1}).to_bytes();
      Runner runner(backend.open(file, model.describe(id)), options);
      auto fastest = Nanoseconds::max();
      for (std::uint32_t run = 0; run < std::max(options.runs, 1U); ++run)
        fastest = std::min(fastest, runner.run());
      host.measured[static_cast<std::uint32_t>(id)] = fastest;
    } catch (const Error& error) {
      // The operator shares a resource or a state, or is a custom operator that the runtime lacks.
      if (error.code() != ErrorCode::kUnsupported && error.code() != ErrorCode::kInvalidModel)
        throw;
    }
  }
  return host;
}

void measure_for(PlanRequest& request, const Graph& graph, std::shared_ptr<const Backend> backend) {
  check_request(request);
  check_can_be_planned(graph.model(), request.pools[0].device);
  // Measured once, so that all plans of the request use the same times.
  const auto measured = measured_host({}, graph, *backend).measured;
  for (DevicePool& pool : request.pools) pool.device.host.measured = measured;
  if (request.strategy.strategy != Strategy::kProfile) return;
  request.measure = [&graph, backend = std::move(backend)](std::uint32_t count) {
    // The other stages will keep their cores busy, up to the number of cores.
    MeasureOptions how;
    how.busy_cores = std::min(count, std::max(std::thread::hardware_concurrency(), 1U)) - 1;
    return measured_latency(graph, backend, how);
  };
}

}  // namespace segue
