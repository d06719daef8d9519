// Measures the cost of a hop of tokens through four equal stages. In the same run, it measures
// oneTBB's parallel_pipeline and a pipeline of a thread per stage with queues of a mutex and
// condition variables. The stages do nothing, with an empty token or one of 1 MB that is not
// copied, or compute for 3 to 270 us, alone or beside another program that keeps a core busy.
#include <benchmark/benchmark.h>
#include <oneapi/tbb/parallel_pipeline.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "segue/pipeline.h"
#include "segue/runtime.h"
#include "segue/timeline.h"
#include "segue/zoo.h"

namespace segue {
namespace {

constexpr std::uint64_t kTokens = 20'000;
constexpr std::size_t kStages = 4;
constexpr std::size_t kInFlight = 16;
constexpr std::int64_t kMegabyte = 1'000'000;

// Computes multiplications that depend on each other, which take a nanosecond or two each.
void compute(std::int64_t steps) {
  std::uint64_t value = 1;
  for (std::int64_t i = 0; i < steps; ++i)
    benchmark::DoNotOptimize(value = value * 6364136223846793005U + 1);
}

// Imitates another program with one busy thread.
class Neighbour {
 public:
  explicit Neighbour(bool is_busy) {
    if (is_busy) {
      thread_ = std::jthread([](const std::stop_token& stop) {
        while (!stop.stop_requested()) compute(1000);
      });
    }
  }

 private:
  std::jthread thread_;
};

// A session for stage i, which reads t<i> and writes t<i+1>, both without bytes. All stages read
// "payload".
class IdleSession : public Session {
 public:
  IdleSession(std::size_t stage, std::uint64_t payload_bytes, std::int64_t steps)
      : steps_(steps),
        inputs_{{"payload", ElementType::kInt8, {}, payload_bytes},
                {"t" + std::to_string(stage), ElementType::kInt8, {}, 0}},
        outputs_{{"t" + std::to_string(stage + 1), ElementType::kInt8, {}, 0}} {}
  [[nodiscard]] std::span<const Port> inputs() const override { return inputs_; }
  [[nodiscard]] std::span<const Port> outputs() const override { return outputs_; }
  void run_into(std::span<const std::span<const std::byte>> inputs,
                std::vector<TensorBytes>& outputs) override {
    benchmark::DoNotOptimize(inputs[0].data());
    compute(steps_);
    outputs[0].clear();
  }

 private:
  std::int64_t steps_;
  std::vector<Port> inputs_;
  std::vector<Port> outputs_;
};

class IdleBackend : public Backend {
 public:
  explicit IdleBackend(std::uint64_t payload_bytes, std::int64_t steps)
      : payload_bytes_(payload_bytes), steps_(steps) {}
  [[nodiscard]] bool computes_on_core() const override { return true; }
  [[nodiscard]] std::string description() const override { return "idle"; }
  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte>,
                                              const std::string& name) const override {
    return std::make_unique<IdleSession>(std::stoul(name), payload_bytes_, steps_);
  }

 private:
  std::uint64_t payload_bytes_;
  std::int64_t steps_;
};

std::uint64_t tokens_for(std::int64_t steps) { return steps > 10'000 ? 2'000 : kTokens; }

void report(benchmark::State& state) {
  state.counters["hops_per_s"] =
      benchmark::Counter(static_cast<double>(state.iterations()) *
                             static_cast<double>(tokens_for(state.range(1)) * kStages),
                         benchmark::Counter::kIsRate);
}

void segue_pipeline(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  const auto backend = std::make_shared<IdleBackend>(bytes, state.range(1));
  const Neighbour neighbour(state.range(2) == 1);
  const std::uint64_t tokens = tokens_for(state.range(1));
  PipelineLayout layout;
  for (std::size_t i = 0; i < kStages; ++i)
    layout.segments.push_back({std::to_string(i), {}, nullptr, 1});
  layout.inputs = {"payload", "t0"};
  layout.outputs = {"payload", "t" + std::to_string(kStages)};
  Pipeline pipeline(layout, std::vector<PipelineDevice>(kStages, {"idle", backend}),
                    {.queue_capacity = kInFlight, .result_capacity = kInFlight});
  std::vector<TensorBytes> free(2 * kInFlight * kStages, TensorBytes(bytes));
  for (auto _ : state) {
    std::uint64_t pushed = 0;
    std::uint64_t popped = 0;
    PipelineResult result;
    std::vector<TensorBytes> inputs(2);
    while (popped < tokens) {
      while (pushed < tokens && pushed - popped < kInFlight && !free.empty()) {
        inputs[0] = std::move(free.back());
        free.pop_back();
        if (pipeline.push(std::move(inputs)) != Flow::kOk) std::abort();
        ++pushed;
      }
      if (pipeline.pop(result) != Flow::kOk || result.outputs[0].size() != bytes) std::abort();
      free.push_back(std::move(result.outputs[0]));
      ++popped;
    }
  }
  report(state);
}

void tbb_pipeline(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  std::vector<TensorBytes> tokens(kInFlight, TensorBytes(bytes));
  using oneapi::tbb::filter_mode;
  const std::int64_t steps = state.range(1);
  const std::uint64_t count = tokens_for(steps);
  const Neighbour neighbour(state.range(2) == 1);
  const auto stage = [steps](TensorBytes* token) {
    benchmark::DoNotOptimize(token->data());
    compute(steps);
    return token;
  };
  for (auto _ : state) {
    std::uint64_t pushed = 0;
    std::uint64_t popped = 0;
    const auto source = oneapi::tbb::make_filter<void, TensorBytes*>(
        filter_mode::serial_in_order, [&](oneapi::tbb::flow_control& control) -> TensorBytes* {
          if (pushed == count) {
            control.stop();
            return nullptr;
          }
          return &tokens[pushed++ % kInFlight];
        });
    auto chain = source;
    for (std::size_t i = 0; i < kStages; ++i) {
      chain = chain & oneapi::tbb::make_filter<TensorBytes*, TensorBytes*>(
                          filter_mode::serial_in_order, stage);
    }
    oneapi::tbb::parallel_pipeline(
        kInFlight, chain & oneapi::tbb::make_filter<TensorBytes*, void>(
                               filter_mode::serial_in_order, [&](TensorBytes* token) {
                                 if (token->size() != bytes) std::abort();
                                 ++popped;
                               }));
    if (popped != count) std::abort();
  }
  report(state);
}

class MutexQueue {
 public:
  void push(std::optional<TensorBytes> token) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return tokens_.size() < kInFlight; });
    tokens_.push_back(std::move(token));
    changed_.notify_all();
  }
  std::optional<TensorBytes> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !tokens_.empty(); });
    auto token = std::move(tokens_.front());
    tokens_.pop_front();
    changed_.notify_all();
    return token;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::optional<TensorBytes>> tokens_;
};

// Measures oneTBB under the conditions of Pipeline's callers: inputs come from another thread, and
// results go to it.
void tbb_with_caller(benchmark::State& state) {
  using oneapi::tbb::filter_mode;
  const std::int64_t steps = state.range(1);
  const std::uint64_t count = tokens_for(steps);
  const Neighbour neighbour(state.range(2) == 1);
  for (auto _ : state) {
    MutexQueue inputs;
    MutexQueue results;
    auto chain = oneapi::tbb::make_filter<void, TensorBytes>(
        filter_mode::serial_in_order, [&](oneapi::tbb::flow_control& control) -> TensorBytes {
          auto token = inputs.pop();
          if (!token) control.stop();
          return token.value_or(TensorBytes());
        });
    for (std::size_t i = 0; i < kStages; ++i) {
      chain = chain & oneapi::tbb::make_filter<TensorBytes, TensorBytes>(
                          filter_mode::serial_in_order, [steps](TensorBytes token) {
                            compute(steps);
                            return token;
                          });
    }
    const auto sink = oneapi::tbb::make_filter<TensorBytes, void>(
        filter_mode::serial_in_order, [&](TensorBytes token) { results.push(std::move(token)); });
    const std::jthread runner([&] { oneapi::tbb::parallel_pipeline(kInFlight, chain & sink); });
    std::uint64_t pushed = 0;
    for (std::uint64_t popped = 0; popped < count; ++popped) {
      for (; pushed < count && pushed - popped < kInFlight; ++pushed) inputs.push(TensorBytes());
      (void)results.pop();
    }
    inputs.push(std::nullopt);
  }
  report(state);
}

void mutex_queues(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  std::vector<TensorBytes> free(kInFlight, TensorBytes(bytes));
  const std::int64_t steps = state.range(1);
  const std::uint64_t count = tokens_for(steps);
  const Neighbour neighbour(state.range(2) == 1);
  for (auto _ : state) {
    std::vector<MutexQueue> queues(kStages + 1);
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < kStages; ++i) {
      threads.emplace_back([&queues, i, steps] {
        while (auto token = queues[i].pop()) {
          benchmark::DoNotOptimize(token->data());
          compute(steps);
          queues[i + 1].push(std::move(token));
        }
        queues[i + 1].push(std::nullopt);
      });
    }
    std::uint64_t pushed = 0;
    for (std::uint64_t popped = 0; popped < count; ++popped) {
      while (pushed < count && !free.empty()) {
        queues[0].push(std::move(free.back()));
        free.pop_back();
        ++pushed;
      }
      free.push_back(std::move(*queues[kStages].pop()));
    }
    queues[0].push(std::nullopt);
  }
  report(state);
}

std::unique_ptr<Backend> xnnpack_on_cpu() {
  const char* runtime = std::getenv("SEGUE_TFLITE_LIB");
  return make_cpu_backend({.libraries = {runtime == nullptr ? "libtensorflowlite_c.so" : runtime},
                           .kernels = CpuKernels::kXnnpack});
}

// Compares ten plans of squeezenet in simulated time with the timeline that predicts them; 1 is a
// perfect result. `pace` is that of a stream, `latency` that of single inputs. Predictions contain
// the hop of libcoral's runner, which is not used here, so the hop is set to zero.
void simulated_time(benchmark::State& state) {
  struct Case {
    std::uint32_t stages;
    std::uint32_t replicas;
    const char* device;
  };
  constexpr std::array kCases{Case{1, 1, "edgetpu-usb3"}, Case{2, 1, "edgetpu-usb3"},
                              Case{3, 1, "edgetpu-usb3"}, Case{4, 1, "edgetpu-usb3"},
                              Case{1, 2, "edgetpu-usb3"}, Case{2, 2, "edgetpu-pcie"},
                              Case{3, 1, "edgetpu-pcie"}, Case{1, 3, "edgetpu-pcie"},
                              Case{2, 1, "edgetpu-usb2"}, Case{3, 2, "edgetpu-usb2"}};
  const Case& plan_case = kCases.at(static_cast<std::size_t>(state.range(0)));
  const Model model = open_model("zoo:squeezenet@64");
  const Graph graph(model);
  Segmentation segmentation;
  for (std::uint32_t i = 0; i < plan_case.stages; ++i) {
    segmentation.segments.push_back(graph.operators_between(
        graph.depth() * i / plan_case.stages + 1, graph.depth() * (i + 1) / plan_case.stages));
  }
  const DevicePool pool{find_device(plan_case.device), plan_case.stages * plan_case.replicas,
                        false};
  Plan plan = make_plan(graph, segmentation, std::span(&pool, 1), Strategy::kManual,
                        std::vector<PoolCounts>(plan_case.stages, PoolCounts{plan_case.replicas}));
  identify_model(plan, model);
  constexpr double kPeriodNs = 2e7;  // time between results, much longer than the CPU's time
  Nanoseconds slowest{0};
  Nanoseconds sum{0};
  for (const Stage& stage : plan.stages) {
    slowest = std::max(slowest, stage.time.total() / stage.replicas);
    sum += stage.time.total();
  }
  const double scale = kPeriodNs / static_cast<double>(slowest.count());
  const auto backend =
      std::shared_ptr<const Backend>(make_simulated_backend(xnnpack_on_cpu(), pool.device, scale));
  constexpr std::uint64_t kInputs = 60;
  TimelineOptions options;
  options.inputs = kInputs;
  const Timeline timeline = simulate_timeline(stage_loads(plan), options);
  for (auto _ : state) {
    Pipeline pipeline(pipeline_layout(model, plan),
                      std::vector<PipelineDevice>(plan.device_count(), {"cpu", backend}),
                      {.result_capacity = kInputs});
    const auto push = [&] {
      if (pipeline.push(random_inputs(pipeline.inputs(), 1)) != Flow::kOk) std::abort();
    };
    PipelineResult result;
    Nanoseconds latency{0};
    constexpr int kAlone = 10;
    for (int i = 0; i < kAlone; ++i) {
      push();
      if (pipeline.pop(result) != Flow::kOk) std::abort();
      latency += result.latency / kAlone;
    }
    const auto begin = std::chrono::steady_clock::now();
    for (std::uint64_t i = 0; i < kInputs; ++i) push();
    for (std::uint64_t i = 0; i < kInputs; ++i) {
      if (pipeline.pop(result) != Flow::kOk) std::abort();
    }
    const Nanoseconds stream = std::chrono::steady_clock::now() - begin;
    state.counters["pace"] = to_s(stream) / scale / to_s(timeline.makespan);
    state.counters["latency"] = to_s(latency) / scale / to_s(sum);
  }
}

double seconds_of(const std::function<void()>& run) {
  const auto begin = std::chrono::steady_clock::now();
  run();
  return to_s(std::chrono::steady_clock::now() - begin);
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

// Runs the unsplit model on one core, two unsplit copies on two cores, and a 2-stage pipeline.
class TwoCores {
 public:
  TwoCores(const char* name, std::uint64_t inputs)
      : model_(open_model(std::string("zoo:") + name)),
        backend_(xnnpack_on_cpu()),
        inputs_(inputs),
        whole_(backend_->open(model_.bytes(), name)),
        values_(random_inputs(whole_->inputs(), 1)) {
    const Graph graph(model_);
    Profile profile =
        Profile::of_depths(graph, measured_latency(graph, backend_, {.busy_cores = 1}));
    best_ = segment_profiled(profile, 2);
    const DevicePool pool{find_device("edgetpu-pcie"), 2, false};
    plan_ = make_plan(graph, best_.segmentation, std::span(&pool, 1), Strategy::kProfile,
                      std::vector<PoolCounts>(2, PoolCounts{1}));
    identify_model(plan_, model_);
  }

  [[nodiscard]] const ProfiledSegmentation& best() const { return best_; }

  // Returns seconds per input.
  double unsplit() {
    return seconds_of([&] { run(*whole_, expected_); }) / per_run();
  }

  double two_copies() {
    const auto other = backend_->open(model_.bytes(), "copy");
    std::vector<TensorBytes> outputs;
    return seconds_of([&] {
             std::jthread second([&] { run(*other, outputs); });
             run(*whole_, expected_);
           }) /
           per_run() / 2;
  }

  double two_stages() {
    Pipeline pipeline(pipeline_layout(model_, plan_),
                      std::vector<PipelineDevice>(2, {"core", backend_}), {.result_capacity = 8});
    return seconds_of([&] {
             std::jthread producer([&] {
               for (std::uint64_t i = 0; i < inputs_; ++i) {
                 if (pipeline.push(std::vector<TensorBytes>(values_)) != Flow::kOk) std::abort();
               }
               pipeline.close();
             });
             PipelineResult result;
             while (pipeline.pop(result) == Flow::kOk) {
               if (result.outputs != expected_) std::abort();
             }
           }) /
           per_run();
  }

 private:
  [[nodiscard]] double per_run() const { return static_cast<double>(inputs_); }
  void run(Session& session, std::vector<TensorBytes>& outputs) {
    const std::vector<std::span<const std::byte>> spans(values_.begin(), values_.end());
    for (std::uint64_t i = 0; i < inputs_; ++i) session.run_into(spans, outputs);
  }

  Model model_;
  std::shared_ptr<const Backend> backend_;
  std::uint64_t inputs_;
  std::unique_ptr<Session> whole_;
  std::vector<TensorBytes> values_;
  std::vector<TensorBytes> expected_;
  ProfiledSegmentation best_;
  Plan plan_;
};

// Compares a 2-stage pipeline on two cores, cut by measured latencies, with the unsplit model on
// one core and with two unsplit copies on two cores, which show what the machine can reach. The
// measurements take turns, because the speed of a shared machine changes; results are medians of
// the turns.
void two_cores(benchmark::State& state, const char* name, std::uint64_t inputs) {
  TwoCores cores(name, inputs);
  constexpr int kTurns = 7;
  for (auto _ : state) {
    std::vector<double> unsplit;
    std::vector<double> ratio;
    std::vector<double> copies;
    for (int turn = 0; turn < kTurns; ++turn) {
      const double before = cores.unsplit();
      const double split = cores.two_stages();
      const double both = cores.two_copies();
      unsplit.push_back((before + cores.unsplit()) / 2);
      ratio.push_back(unsplit.back() / split);
      copies.push_back(unsplit.back() / both);
    }
    state.counters["unsplit_per_s"] = 1 / median(unsplit);
    state.counters["two_stages_per_s"] = median(ratio) / median(unsplit);
    state.counters["ratio"] = median(ratio);
    state.counters["ratio_least"] = std::ranges::min(ratio);
    state.counters["ratio_most"] = std::ranges::max(ratio);
    state.counters["two_copies"] = median(copies);
    // This is the ratio of these cuts on two cores that do not disturb each other.
    state.counters["cut_limit"] = median(unsplit) / to_s(cores.best().slowest);
    state.counters["measurements"] = static_cast<double>(cores.best().measurements);
  }
}

BENCHMARK_CAPTURE(two_cores, mobilenetv2, "mobilenetv2", 200)
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(two_cores, resnet50, "resnet50", 60)
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(simulated_time)->DenseRange(0, 9)->Iterations(1)->Unit(benchmark::kMillisecond);
// Sets the bytes of the token, the steps of each stage, and whether a neighbour is busy.
void loads(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"bytes", "steps", "busy"})->Args({0, 0, 0})->Args({kMegabyte, 0, 0});
  for (const std::int64_t steps : {2'500, 22'500, 57'000, 226'000}) {
    for (const std::int64_t is_busy : {0, 1}) benchmark->Args({0, steps, is_busy});
  }
}

BENCHMARK(segue_pipeline)->Apply(loads)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(tbb_with_caller)->Apply(loads)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(tbb_pipeline)->Apply(loads)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(mutex_queues)->Apply(loads)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace segue
