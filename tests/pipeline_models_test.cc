// Pipelines of real segments: what comes out is what the unsplit model computes, byte for byte and
// in order.
#include <gtest/gtest.h>

#include <thread>

#include "environment.h"
#include "segue/error.h"
#include "segue/optimal.h"
#include "segue/pipeline.h"
#include "segue/timeline.h"
#include "segue/zoo.h"

namespace segue {
namespace {

std::shared_ptr<const Backend> cpu(CpuKernels kernels) {
  return make_cpu_backend({.libraries = {SEGUE_TEST_RUNTIME}, .kernels = kernels});
}

std::vector<PipelineDevice> devices_on(const std::shared_ptr<const Backend>& backend,
                                       std::uint32_t count) {
  return std::vector<PipelineDevice>(count, {"cpu", backend});
}

// Cuts of about equal numbers of depths, each with `replicas` devices.
Plan even_plan(const Graph& graph, std::uint32_t stages, std::uint32_t replicas) {
  std::vector<std::uint32_t> ends;
  for (std::uint32_t i = 1; i <= stages; ++i) ends.push_back(graph.depth() * i / stages);
  Segmentation segmentation;
  std::uint32_t first = 1;
  for (const std::uint32_t end : ends) {
    segmentation.segments.push_back(graph.operators_between(first, end));
    first = end + 1;
  }
  const DevicePool pool{find_device("edgetpu-pcie"), stages * replicas, false};
  Plan plan = make_plan(graph, segmentation, std::span(&pool, 1), "manual",
                        std::vector<PoolCounts>(stages, PoolCounts{replicas}));
  identify_model(plan, graph.model());
  return plan;
}

void expect_results_of_whole(const Model& model, const Plan& plan,
                             const std::shared_ptr<const Backend>& backend, std::uint64_t inputs,
                             std::uint64_t different) {
  const auto whole = backend->open(model.bytes(), "whole");
  std::vector<std::vector<TensorBytes>> expected;
  for (std::uint64_t i = 0; i < inputs; ++i) {  // all of them: some models keep state
    const auto values = random_inputs(whole->inputs(), i % different);
    const std::vector<std::span<const std::byte>> spans(values.begin(), values.end());
    expected.push_back(whole->run(spans));
  }
  Pipeline pipeline(pipeline_layout(model, plan), devices_on(backend, plan.device_count()), {});
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < inputs; ++i)
      EXPECT_EQ(pipeline.push(random_inputs(pipeline.inputs(), i % different)), Flow::kOk);
    pipeline.close();
  });
  PipelineResult result;
  std::uint64_t next = 0;
  for (; pipeline.pop(result) == Flow::kOk; ++next) {
    EXPECT_EQ(result.number, next);
    EXPECT_EQ(result.outputs, expected[next]) << "input " << next;
  }
  EXPECT_EQ(next, inputs);
  producer.join();
}

class PipelineOfModel : public ::testing::TestWithParam<const char*> {};

TEST_P(PipelineOfModel, GivesTheResultsOfTheWholeInOneToFourStagesOfOneToThreeReplicas) {
  const Model model = open_model(std::string("zoo:") + GetParam());
  const Graph graph(model);
  const std::shared_ptr<const Backend> simulated = make_simulated_backend(
      cpu(CpuKernels::kXnnpack), find_device("edgetpu-pcie"), /*time_scale=*/0);
  for (std::uint32_t stages = 1; stages <= 4; ++stages) {
    for (std::uint32_t replicas = 1; replicas <= 3; ++replicas) {
      SCOPED_TRACE(::testing::Message() << stages << " stages of " << replicas);
      const Plan plan = even_plan(graph, stages, replicas);
      expect_results_of_whole(model, plan, cpu(CpuKernels::kBuiltin), 12, 3);
      expect_results_of_whole(model, plan, simulated, 24, 3);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Zoo, PipelineOfModel,
                         ::testing::Values("squeezenet@64", "mobilenet@64", "mobilenetv2@64",
                                           "resnet50@64", "densenet121@64", "inceptionv3@96"),
                         [](const auto& row) {
                           std::string name = row.param;
                           return name.substr(0, name.find('@'));
                         });

TEST(PipelineOfModels, ThousandsOfInputsComeOutInOrder) {
  const Model model = open_model("zoo:squeezenet@64");
  const Graph graph(model);
  expect_results_of_whole(model, even_plan(graph, 3, 2), cpu(CpuKernels::kXnnpack), 3000, 50);
}

TEST(PipelineOfModels, GooglesModelsGiveTheResultsOfTheWholeWithBothKernels) {
  const auto names = testing::shared_models();
  if (names.empty()) GTEST_SKIP() << "absent: " << testing::shared("models");
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    const Model model = read_model(testing::shared("models/" + name + ".tflite"));
    const Graph graph(model);
    const bool keeps_state =
        std::ranges::any_of(model.tensors(), [](const Tensor& t) { return t.is_variable; });
    for (const CpuKernels kernels : {CpuKernels::kBuiltin, CpuKernels::kXnnpack}) {
      std::shared_ptr<const Backend> backend = cpu(kernels);
      try {
        (void)backend->open(model.bytes(), name);
      } catch (const Error&) {
        continue;  // the runtime itself does not run it
      }
      const std::uint32_t most = std::min<std::uint32_t>(4, graph.depth());
      for (std::uint32_t stages = 1; stages <= most; ++stages) {
        for (std::uint32_t replicas = 1; replicas <= (keeps_state ? 1 : 3); ++replicas)
          expect_results_of_whole(model, even_plan(graph, stages, replicas), backend, 6, 2);
      }
      if (keeps_state) {
        EXPECT_THROW((void)pipeline_layout(model, even_plan(graph, 1, 2)), Error);
      }
    }
  }
}

TEST(PipelineOfModels, InSimulatedTimeAreNeverFasterThanTheTimelineSays) {
  const Model model = open_model("zoo:squeezenet@64");
  const Graph graph(model);
  const DeviceSpec& device = find_device("edgetpu-usb3");
  const Plan plan = even_plan(graph, 2, 2);
  const DevicePool pool{device, plan.device_count(), false};
  const Plan on_device = evaluate_plan(plan, graph, std::span(&pool, 1));
  constexpr double kScale = 10;
  constexpr std::uint64_t kInputs = 20;
  TimelineOptions options;
  options.inputs = kInputs;
  const Timeline timeline = simulate_timeline(stage_loads(on_device), options);
  const auto backend = std::shared_ptr<const Backend>(
      make_simulated_backend(cpu(CpuKernels::kBuiltin), device, kScale));
  Pipeline pipeline(pipeline_layout(model, on_device), devices_on(backend, plan.device_count()),
                    {.result_capacity = kInputs});
  for (std::uint64_t i = 0; i < kInputs; ++i)
    EXPECT_EQ(pipeline.push(random_inputs(pipeline.inputs(), 1)), Flow::kOk);
  pipeline.close();
  PipelineResult result;
  while (pipeline.pop(result) == Flow::kOk) {
  }
  EXPECT_GE(to_ms(pipeline.statistics().elapsed), to_ms(timeline.makespan) * kScale * 0.999);
}

}  // namespace
}  // namespace segue
