// Tests pipelines of real segments, whose results must equal those of the unsplit model, byte for
// byte and in order.
#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <thread>

#include "environment.h"
#include "expect.h"
#include "segue/pipeline.h"
#include "segue/planner.h"
#include "segue/timeline.h"
#include "segue/toolchain.h"
#include "segue/zoo.h"
#include "stand_in.h"

namespace segue {
namespace {

std::shared_ptr<const Backend> cpu(CpuKernels kernels) {
  return make_cpu_backend({.libraries = {SEGUE_TEST_RUNTIME}, .kernels = kernels});
}

std::vector<PipelineDevice> devices_on(const std::shared_ptr<const Backend>& backend,
                                       std::uint32_t count) {
  return std::vector<PipelineDevice>(count, {"cpu", backend});
}

// Makes a plan of segments with about equal numbers of depths and `replicas` devices each.
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
  Plan plan = make_plan(graph, segmentation, std::span(&pool, 1), Strategy::kManual,
                        std::vector<PoolCounts>(stages, PoolCounts{replicas}));
  identify_model(plan, graph.model());
  return plan;
}

// Inputs and the outputs of the unsplit model.
class Whole {
 public:
  // The n-th input has the seed n % `different`.
  Whole(const Model& model, const Backend& backend, std::uint64_t count, std::uint64_t different)
      : different_(different) {
    const auto session = backend.open(model.bytes(), "whole");
    for (std::uint64_t i = 0; i < count; ++i) {
      if (!keeps_state(model) && i >= different) {
        expected_.push_back(expected_[i - different]);
        continue;
      }
      const auto values = random_inputs(session->inputs(), i % different);
      const std::vector<std::span<const std::byte>> spans(values.begin(), values.end());
      expected_.push_back(session->run(spans));
    }
  }

  static bool keeps_state(const Model& model) {
    return std::ranges::any_of(model.tensors(), [](const Tensor& t) { return t.is_variable; });
  }

  // Expects the same outputs from a pipeline, in order.
  void expect_from(const PipelineLayout& layout, std::vector<PipelineDevice> devices) const {
    Pipeline pipeline(layout, std::move(devices), {});
    const std::jthread producer([&] {
      for (std::uint64_t i = 0; i < expected_.size(); ++i)
        EXPECT_EQ(pipeline.push(random_inputs(pipeline.inputs(), i % different_)), Flow::kOk);
      pipeline.close();
    });
    PipelineResult result;
    std::uint64_t next = 0;
    for (; pipeline.pop(result) == Flow::kOk; ++next) {
      ASSERT_EQ(result.number, next);
      EXPECT_EQ(result.outputs, expected_[next]) << "input " << next;
    }
    EXPECT_EQ(next, expected_.size());
    EXPECT_TRUE(pipeline.statistics().losses.empty());
  }

 private:
  std::uint64_t different_;
  std::vector<std::vector<TensorBytes>> expected_;
};

// Returns the number of inputs for each pipeline. SEGUE_TEST_INPUTS=84 gives about three thousand
// per model, in all its pipelines on all backends, and takes a quarter of an hour.
std::uint64_t inputs_of_each() {
  const char* count = std::getenv("SEGUE_TEST_INPUTS");
  return count == nullptr ? 7 : std::strtoull(count, nullptr, 10);
}

// The parameter is "zoo:NAME@SIZE" or the name of a model of Google's beside the checkout.
class PipelineOfModel : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam().starts_with("zoo:")) {
      model_ = open_model(GetParam());
    } else {
      const auto path = testing::shared("models/" + GetParam() + ".tflite");
      SKIP_WITHOUT(path);
      model_ = read_model(path);
    }
    graph_.emplace(*model_);
  }

  // Tests all pipelines on one kind of device; `cut` makes the segments of a plan.
  template <typename Cut>
  void expect_results_of_whole(const Backend& reference, const std::vector<PipelineDevice>& devices,
                               const Cut& cut) {
    const Whole whole(*model_, reference, inputs_of_each(), 3);
    const std::uint32_t most_stages = std::min(4U, graph_->depth());
    const std::uint32_t most_replicas = Whole::keeps_state(*model_) ? 1 : 3;
    for (std::uint32_t stages = 1; stages <= most_stages; ++stages) {
      PipelineLayout layout = cut(even_plan(*graph_, stages, 1));
      for (std::uint32_t replicas = 1; replicas <= most_replicas; ++replicas) {
        SCOPED_TRACE(::testing::Message() << stages << " stages of " << replicas);
        for (PipelineSegment& segment : layout.segments) segment.replicas = replicas;
        whole.expect_from(layout, {devices.begin(), devices.begin() + layout.device_count()});
      }
    }
  }

  std::optional<Model> model_;
  std::optional<Graph> graph_;
};

TEST_P(PipelineOfModel, CpuMatchesWholeModel) {
  const auto backend = cpu(CpuKernels::kBuiltin);
  expect_results_of_whole(*backend, devices_on(backend, 12),
                          [&](const Plan& plan) { return pipeline_layout(*model_, plan); });
}

TEST_P(PipelineOfModel, SimulatedXnnpackMatchesWholeModel) {
  const auto kernels = cpu(CpuKernels::kXnnpack);
  const std::shared_ptr<const Backend> backend =
      make_simulated_backend(kernels, find_device("edgetpu-pcie"), /*time_scale=*/0);
  expect_results_of_whole(*kernels, devices_on(backend, 12),
                          [&](const Plan& plan) { return pipeline_layout(*model_, plan); });
}

// The stand-in for Google's compiler compiles the segments, and the stand-in for libedgetpu runs
// them.
TEST_P(PipelineOfModel, CompiledEdgeTpuMatchesWholeModel) {
  testing::StandIn library;
  library.attach(12);
  const std::vector<PipelineDevice> devices = testing::stand_in_devices();
  ASSERT_EQ(devices.size(), 12U);
  const testing::ScratchFolder scratch;
  CompileOptions options;
  options.compiler = testing::stand_in_compiler();
  expect_results_of_whole(testing::cpu_backend(), devices, [&](const Plan& plan) {
    return compiled_layout(*model_, plan, scratch.path(), options);
  });
}

INSTANTIATE_TEST_SUITE_P(Zoo, PipelineOfModel,
                         ::testing::Values("zoo:squeezenet@64", "zoo:mobilenet@64",
                                           "zoo:mobilenetv2@64", "zoo:resnet50@64",
                                           "zoo:densenet121@64", "zoo:inceptionv3@96"),
                         [](const auto& row) { return testing::test_name(row.param); });
INSTANTIATE_TEST_SUITE_P(Google, PipelineOfModel,
                         ::testing::ValuesIn(testing::runnable_shared_models()),
                         [](const auto& row) { return testing::test_name(row.param); });

TEST(PipelineOfModels, ThousandsOfInputsKeepOrder) {
  const Model model = open_model("zoo:squeezenet@64");
  const auto backend = cpu(CpuKernels::kXnnpack);
  const Plan plan = even_plan(Graph(model), 3, 2);
  Whole(model, *backend, 3000, 50)
      .expect_from(pipeline_layout(model, plan), devices_on(backend, 6));
}

TEST(PipelineOfModels, StatefulModelRefusesReplicas) {
  const auto path = testing::shared("models/keras_lstm_mnist_ptq.tflite");
  SKIP_WITHOUT(path);
  const Model model = read_model(path);
  ASSERT_TRUE(Whole::keeps_state(model));
  testing::expect_error(ErrorCode::kUnsupported,
                        [&] { (void)pipeline_layout(model, even_plan(Graph(model), 1, 2)); }, {});
}

TEST(PipelineOfModels, SimulatedTimeIsAtLeastTimeline) {
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
