#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "runtime/time_scale.h"
#include "segue/cost.h"
#include "segue/error.h"
#include "segue/graph.h"
#include "segue/runtime.h"

namespace segue {
namespace {

using SteadyClock = std::chrono::steady_clock;

class SimulatedSession : public Session {
 public:
  SimulatedSession(std::unique_ptr<Session> computes, Nanoseconds lasts)
      : computes_(std::move(computes)), lasts_(lasts) {}

  [[nodiscard]] std::span<const Port> inputs() const override { return computes_->inputs(); }
  [[nodiscard]] std::span<const Port> outputs() const override { return computes_->outputs(); }

  void run_into(std::span<const std::span<const std::byte>> inputs,
                std::vector<TensorBytes>& outputs) override {
    const auto end = SteadyClock::now() + lasts_;
    computes_->run_into(inputs, outputs);
    std::this_thread::sleep_until(end);
  }

 private:
  std::unique_ptr<Session> computes_;
  Nanoseconds lasts_;
};

// Returns the simulated time of the whole file as one segment.
Nanoseconds time_of(std::span<const std::byte> bytes, const std::string& name,
                    const DeviceSpec& device) {
  const Model model = parse_model({bytes.begin(), bytes.end()}, name);
  check_not_compiled(model);
  const Graph graph(model);
  const auto operators = graph.operators_between(1, graph.depth());
  const auto compiler = make_simulated_compiler(device);
  return simulate_segment(graph, operators, compiler->compile(graph, operators), device).total();
}

class SimulatedBackend : public Backend {
 public:
  SimulatedBackend(std::shared_ptr<const Backend> computes, DeviceSpec device, double time_scale)
      : computes_(std::move(computes)), device_(std::move(device)), time_scale_(time_scale) {}

  [[nodiscard]] std::string description() const override {
    const std::string pace = time_scale_ == 0 ? "without waiting"
                             : time_scale_ == 1
                                 ? "in simulated time"
                                 : fmt::format("at {:g} times the simulated time", time_scale_);
    return fmt::format("simulated {}, {} ({})", device_.name, pace, computes_->description());
  }

  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> model,
                                              const std::string& name) const override {
    auto session = computes_->open(model, name);
    const double ns = static_cast<double>(time_of(model, name, device_).count()) * time_scale_;
    return std::make_unique<SimulatedSession>(std::move(session),
                                              Nanoseconds(static_cast<std::int64_t>(ns)));
  }

 private:
  std::shared_ptr<const Backend> computes_;
  DeviceSpec device_;
  double time_scale_;
};

}  // namespace

std::unique_ptr<Backend> make_simulated_backend(std::shared_ptr<const Backend> computes,
                                                const DeviceSpec& device, double time_scale) {
  check_time_scale(time_scale);
  return std::make_unique<SimulatedBackend>(std::move(computes), device, time_scale);
}

}  // namespace segue
