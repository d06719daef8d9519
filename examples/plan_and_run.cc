// Plans a network for three Edge TPUs, runs its segments as a pipeline on this machine's cores, and
// compares the results with those of the whole network.
//   plan_and_run LIBTENSORFLOWLITE_C
#include <segue/error.h>
#include <segue/pipeline.h>
#include <segue/planner.h>
#include <segue/runtime.h>
#include <segue/zoo.h>

#include <cstdio>
#include <memory>

namespace {

constexpr std::uint64_t kInputs = 8;

void run(const char* runtime) {
  const segue::Model model = segue::open_model("zoo:mobilenetv2@96");
  const segue::Graph graph(model);
  const auto tpus = segue::open_devices("edgetpu-usb3", 3);
  const segue::Plan plan = segue::plan_by_strategy(graph, tpus, segue::Strategy::kBalanced).plan;
  std::printf("%zu stages on %u TPUs, %.2f ms per input (simulated)\n", plan.stages.size(),
              plan.device_count(), segue::to_ms(plan.predicted.bottleneck));

  // A backend opens segments. One that computes on the CPU can be used for every device.
  const std::shared_ptr<const segue::Backend> cpu =
      segue::make_cpu_backend({.libraries = {runtime}});
  std::vector<segue::PipelineDevice> devices;
  for (std::uint32_t i = 0; i < plan.device_count(); ++i)
    devices.push_back({"core " + std::to_string(i), cpu});
  segue::Pipeline pipeline(segue::pipeline_layout(model, plan), std::move(devices), {});

  // Queues are short, so pushing and popping need two threads, or take turns as here.
  const auto whole = cpu->open(model.bytes(), model.name());
  std::uint64_t equal = 0;
  for (std::uint64_t number = 0; number < kInputs; ++number) {
    auto inputs = segue::random_inputs(pipeline.inputs(), number);
    const std::vector<std::span<const std::byte>> views(inputs.begin(), inputs.end());
    const auto expected = whole->run(views);
    segue::PipelineResult result;
    if (pipeline.push(std::move(inputs)) != segue::Flow::kOk ||
        pipeline.pop(result) != segue::Flow::kOk)
      return;
    equal += result.outputs == expected ? 1 : 0;
  }
  std::printf("%llu of %llu results equal the whole model's\n",
              static_cast<unsigned long long>(equal), static_cast<unsigned long long>(kInputs));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc > 1 ? argv[1] : "libtensorflowlite_c.so");
  } catch (const segue::Error& error) {
    std::fprintf(stderr, "plan_and_run: %s\n", error.what());
    return 1;
  }
}
