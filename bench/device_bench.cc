// Measures the cost of a process for each Edge TPU. One input at a time passes stages that hand 400
// KB on, on the stand-in for libedgetpu, whose stages add 1 to every byte. Stages run in a process
// each, in this process, and in oneTBB with the copies that a runtime makes. Each further stage
// adds one hop. It also measures the cost of an idle pipeline.
#include <benchmark/benchmark.h>
#include <oneapi/tbb/parallel_pipeline.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <numeric>
#include <thread>

#include "compiled_chain.h"
#include "stand_in.h"

namespace segue {
namespace {

constexpr std::int32_t kBytes = 400'000;
void segue_pipeline(benchmark::State& state) {
  testing::StandIn library;
  library.attach(4);
  const auto stages = static_cast<std::size_t>(state.range(1));
  const auto files = testing::compiled_chain(stages, kBytes);
  Pipeline pipeline(testing::chain(files, std::vector<std::uint32_t>(stages, 1)),
                    testing::stand_in_devices(), {.own_processes = state.range(0) == 1});
  std::vector<TensorBytes> inputs(1, TensorBytes(kBytes));
  PipelineResult result;
  for (auto _ : state) {
    if (pipeline.push(std::move(inputs)) != Flow::kOk || pipeline.pop(result) != Flow::kOk)
      std::abort();
    inputs.swap(result.outputs);
  }
  state.SetLabel(state.range(0) == 1 ? "a process each" : "in process");
}

// A stage that copies its input in, computes, and copies its output out, like a runtime.
class Stage {
 public:
  void run(const TensorBytes& from, TensorBytes& to) {
    std::memcpy(input_.data(), from.data(), input_.size());
    for (std::size_t i = 0; i < input_.size(); ++i)
      output_[i] = static_cast<std::byte>(static_cast<unsigned char>(input_[i]) + 1);
    std::memcpy(to.data(), output_.data(), output_.size());
  }

 private:
  TensorBytes input_{TensorBytes(kBytes)};
  TensorBytes output_{TensorBytes(kBytes)};
};

void tbb_pipeline(benchmark::State& state) {
  using oneapi::tbb::filter_mode;
  const auto count = static_cast<std::size_t>(state.range(0));
  std::vector<Stage> stages(count);
  std::vector<TensorBytes> tensors(count + 1, TensorBytes(kBytes));
  const auto run = [&](std::size_t at) {
    stages[at].run(tensors[at], tensors[at + 1]);
    return at + 1;
  };
  const auto step =
      oneapi::tbb::make_filter<std::size_t, std::size_t>(filter_mode::serial_in_order, run);
  bool is_done = false;
  const auto source = oneapi::tbb::make_filter<void, std::size_t>(
      filter_mode::serial_in_order, [&](oneapi::tbb::flow_control& control) -> std::size_t {
        if (std::exchange(is_done, true)) control.stop();
        return 0;
      });
  const auto sink =
      oneapi::tbb::make_filter<std::size_t, void>(filter_mode::serial_in_order, [](std::size_t) {});
  auto chain = source;
  for (std::size_t i = 0; i < count; ++i) chain = chain & step;
  for (auto _ : state) {
    is_done = false;
    oneapi::tbb::parallel_pipeline(1, chain & sink);
  }
}

double processor_seconds(int process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string field;
  double ticks = 0;
  for (int i = 1; i <= 15 && file >> field; ++i) {
    if (i >= 14) ticks += std::stod(field);
  }
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

// Measures the share of one core that this process and those of two devices take while nothing is
// pushed.
void idle_pipeline(benchmark::State& state) {
  const testing::StandIn library;
  const auto files = testing::compiled_chain(2, kBytes);
  const Pipeline pipeline(testing::chain(files, {1, 1}), testing::stand_in_devices(), {});
  const auto used = [&] {
    return processor_seconds(::getpid()) + processor_seconds(library.process(0)) +
           processor_seconds(library.process(1));
  };
  double share = 0;
  for (auto _ : state) {
    constexpr double kSeconds = 3;
    const double before = used();
    std::this_thread::sleep_for(std::chrono::duration<double>(kSeconds));
    share = (used() - before) / kSeconds;
  }
  state.counters["core_share"] = share;
}

BENCHMARK(segue_pipeline)
    ->ArgsProduct({{1, 0}, {1, 2, 3, 4}})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(tbb_pipeline)->DenseRange(1, 4)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(idle_pipeline)->Iterations(1)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace segue

BENCHMARK_MAIN();
