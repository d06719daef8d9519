// Tests folders of segments with a stand-in for Google's compiler and stand-ins for Edge TPUs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <thread>

#include "environment.h"
#include "expect.h"
#include "plans.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/graph.h"
#include "segue/planner.h"
#include "segue/segmentation.h"
#include "segue/toolchain.h"
#include "segue/verify.h"
#include "segue/zoo.h"
#include "stand_in.h"

namespace segue {
namespace {

namespace fs = std::filesystem;
using testing::balanced_plan;
using ::testing::ElementsAre;
using testing::expect_error;
using ::testing::HasSubstr;
using testing::ScratchFolder;
using testing::stand_in;
using testing::stand_in_compiler;
using testing::StandIn;

const DeviceSpec& pcie() {
  static const DeviceSpec device = find_device("edgetpu-pcie");
  return device;
}

CompileOptions with_stand_in(std::vector<std::string> arguments = {}) {
  CompileOptions options;
  options.compiler = stand_in_compiler(std::move(arguments));
  options.compiler.attempts = 1;
  return options;
}

TEST(CompileFolder, PlanGetsCompilerMemory) {
  const ScratchFolder scratch;
  const Model model = open_model("zoo:squeezenet");
  const Graph graph(model);
  const Plan plan = balanced_plan(graph, 3);
  write_segments(model, plan, scratch.path());
  std::map<std::string, bool> reported;
  CompileOptions options = with_stand_in();
  options.on_compiled = [&](const std::string& file, const Compilation& compilation) {
    reported[file] = compilation.succeeded();
  };
  const FolderCompilation result = compile_folder(scratch.path(), options);
  ASSERT_TRUE(result.succeeded());
  EXPECT_EQ(reported.size(), 3U);
  EXPECT_THAT(read_text_file(scratch.path() / "squeezenet_segment_1_of_3_edgetpu.log", 1 << 20U),
              HasSubstr("Off-chip memory used"));
  for (const FileCompilation& file : result.files)
    EXPECT_NO_THROW((void)read_model(scratch.path() / file.compiled_file));
  const Plan written = find_plan(scratch.path()).value();
  EXPECT_EQ(to_json(written), to_json(*result.plan));
  for (std::size_t s = 0; s < 3; ++s) {
    const Stage& stage = written.stages[s];
    EXPECT_EQ(stage.on_chip_bytes, result.files[s].compilation.log->on_chip_bytes);
    EXPECT_EQ(stage.compiled->compiler, "16.0.384591198");
    EXPECT_EQ(stage.compiled->simulated_on_chip_bytes, plan.stages[s].on_chip_bytes);
    EXPECT_EQ(stage.time.total(), plan.stages[s].time.total()) << "nothing streams in both";
  }
  EXPECT_NO_THROW(check_plan_consistent(written, std::vector<DevicePool>{{pcie(), 3, false}}));
  // Compiling the folder again gives the same plan.
  EXPECT_EQ(to_json(*compile_folder(scratch.path(), with_stand_in()).plan), to_json(written));
}

TEST(CompileFolder, FailureNamesOperatorAndKeepsPlan) {
  const ScratchFolder scratch;
  const Model model = open_model("zoo:squeezenet");
  const Graph graph(model);
  write_segments(model, balanced_plan(graph, 3), scratch.path());
  const std::string before = read_text_file(scratch.path() / "plan.json", 1 << 24U);
  const FolderCompilation result =
      compile_folder(scratch.path(), with_stand_in({"fault=internal:SOFTMAX"}));
  EXPECT_FALSE(result.succeeded());
  EXPECT_TRUE(result.files[0].compilation.succeeded());
  const FileCompilation& last = result.files[2];
  EXPECT_EQ(last.compilation.failure->kind, CompilerFailure::Kind::kInternal);
  ASSERT_EQ(last.culprit_names.size(), 1U);
  EXPECT_THAT(last.culprit_names[0], HasSubstr("SOFTMAX"));
  EXPECT_EQ(read_text_file(scratch.path() / "plan.json", 1 << 24U), before);
  EXPECT_TRUE(fs::exists(scratch.path() / last.log_file));
  EXPECT_FALSE(fs::exists(scratch.path() / last.compiled_file));
  EXPECT_TRUE(fs::exists(scratch.path() / result.files[0].compiled_file));
}

TEST(CompileFolder, NewSplitRemovesStaleCompiledFiles) {
  const ScratchFolder scratch;
  const Model model = open_model("zoo:squeezenet");
  const Graph graph(model);
  const fs::path compiled = scratch.path() / "squeezenet_segment_0_of_2_edgetpu.tflite";
  const auto split_at = [&](std::uint32_t depth) {
    write_segments(model, segment_at_depths(graph, {depth}), "{}", scratch.path());
    fs::remove(scratch.path() / "plan.json");
  };
  split_at(10);
  EXPECT_TRUE(compile_folder(scratch.path(), with_stand_in()).succeeded());
  split_at(10);
  EXPECT_TRUE(fs::exists(compiled)) << "it is still of this segment";
  split_at(12);
  EXPECT_FALSE(fs::exists(compiled));
  EXPECT_TRUE(compile_folder(scratch.path(), with_stand_in()).succeeded());
  EXPECT_FALSE(compile_folder(scratch.path(), with_stand_in({"fault=large:CONV_2D"})).succeeded());
  EXPECT_TRUE(fs::exists(compiled)) << "it is of this segment still";
}

TEST(CompileFolder, DeviceOtherThanPlanIsRefused) {
  const ScratchFolder scratch;
  const Model model = open_model("zoo:squeezenet@64");
  const Graph graph(model);
  write_segments(model, balanced_plan(graph, 2), scratch.path());
  CompileOptions options = with_stand_in();
  options.pools = {{find_device("edgetpu-usb3"), 2, true}};
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)compile_folder(scratch.path(), options); },
               {"'edgetpu-pcie'", "'edgetpu-usb3:shared'"});
}

TEST(CompileFolder, MissingCompilerThrowsWithThreads) {
  const ScratchFolder scratch;
  const Model model = open_model("zoo:squeezenet");
  const Graph graph(model);
  write_segments(model, balanced_plan(graph, 4), scratch.path());
  CompileOptions options;
  options.compiler.command = {"/no/such/edgetpu_compiler"};
  options.jobs = 3;
  expect_error(ErrorCode::kCompiler, [&] { (void)compile_folder(scratch.path(), options); },
               {"/no/such/edgetpu_compiler"});
}

// The stand-in's device has less memory than ours. The plan and its times contain the bytes that it
// streams.
TEST(CompiledPlans, CompilerMemoryChangesTimes) {
  const ScratchFolder scratch;
  const Model model = open_model("zoo:resnet50");
  const Graph graph(model);
  const Plan plan = balanced_plan(graph, 5);
  ASSERT_EQ(plan.host_bytes(), 0U);
  write_segments(model, plan, scratch.path());
  const Plan compiled = *compile_folder(scratch.path(), with_stand_in({"capacity=4000000"})).plan;
  EXPECT_GT(compiled.host_bytes(), kMiB);
  EXPECT_GT(compiled.predicted.bottleneck, plan.predicted.bottleneck);
  const std::vector<DevicePool> pools{{pcie(), 5, false}};
  const Plan again = evaluate_plan(compiled, graph, pools);
  EXPECT_EQ(to_json(again), to_json(compiled)) << "the segment alone and the whole model agree";
  // An edit removes the compiler's figures from the stages that it changes.
  Plan edited = compiled;
  const OperatorId moved = edited.stages[1].operators.front();
  edited.stages[1].operators.erase(edited.stages[1].operators.begin());
  edited.stages[0].operators.push_back(moved);
  const Plan evaluated = evaluate_plan(edited, graph, pools);
  EXPECT_EQ(evaluated.strategy, Strategy::kManual);
  EXPECT_FALSE(evaluated.stages[0].compiled || evaluated.stages[1].compiled);
  EXPECT_TRUE(evaluated.stages[2].compiled);
}

// Expects the host's time of a stage to be that of these operators, and the device's time to be
// that of the other operators alone.
void expect_timed_on_host(const Stage& stage, const Graph& graph,
                          const std::vector<OperatorId>& on_host) {
  Nanoseconds host{0};
  std::vector<OperatorId> on_device;
  for (const OperatorId id : stage.operators) {
    if (std::ranges::binary_search(on_host, id)) {
      host += host_operator_time(graph, id, pcie());
    } else {
      on_device.push_back(id);
    }
  }
  EXPECT_EQ(stage.time.host_operators, on_host.size());
  EXPECT_EQ(stage.time.host, host);
  const MemoryReport memory = make_simulated_compiler(pcie())->compile(graph, on_device);
  const SegmentTime alone = simulate_segment(graph, on_device, memory, pcie());
  EXPECT_EQ(stage.time.compute, alone.compute);
  EXPECT_EQ(stage.time.input, alone.input);
  EXPECT_EQ(stage.time.output, alone.output);
}

TEST(CompiledPlans, HostOperatorsInLogAreTimed) {
  const ScratchFolder scratch;
  const Model model = open_model("zoo:squeezenet");
  const Graph graph(model);
  const Plan plan = balanced_plan(graph, 3);
  ASSERT_EQ(plan.host_operators(), 0U);
  write_segments(model, plan, scratch.path());
  const Plan compiled =
      *compile_folder(scratch.path(), with_stand_in({"leaves=CONCATENATION"})).plan;
  EXPECT_EQ(to_json(find_plan(scratch.path()).value()), to_json(compiled));
  std::size_t concatenations = 0;
  for (const Stage& stage : compiled.stages) {
    std::vector<OperatorId> expected;
    for (const OperatorId id : stage.operators) {
      const bool is_left = model.op(id).code == OpCode::kConcatenation;
      concatenations += is_left ? 1 : 0;
      if (is_left || !is_supported_on_device(model, id)) expected.push_back(id);
    }
    ASSERT_TRUE(stage.compiled->host_operators.has_value());
    EXPECT_EQ(*stage.compiled->host_operators, expected);
    expect_timed_on_host(stage, graph, expected);
    EXPECT_GT(stage.range->high - stage.range->low, stage.time.host) << "estimates of the host";
  }
  EXPECT_EQ(concatenations, 8U);
  EXPECT_GT(compiled.predicted.latency, plan.predicted.latency);
  const std::vector<DevicePool> pools{{pcie(), 3, false}};
  EXPECT_EQ(to_json(evaluate_plan(compiled, graph, pools)), to_json(compiled));
  EXPECT_NO_THROW(check_plan_consistent(compiled, pools));
}

TEST(CompiledPlans, PlansWithoutHostOperatorsAreRead) {
  const Model model = open_model("zoo:squeezenet");
  const Graph graph(model);
  const std::vector<DevicePool> pools{{pcie(), 2, false}};
  const std::vector<CompiledMemory> memory(2, {1000, 0, "16.0"});
  const Plan plan = with_compiled_memory(balanced_plan(graph, 2), graph, memory, pools);
  const std::string text = to_json(plan);
  EXPECT_THAT(text, ::testing::Not(HasSubstr("operators_on_host")));
  const Plan read = parse_plan(text, "plan.json");
  EXPECT_FALSE(read.stages[1].compiled->host_operators.has_value());
  EXPECT_EQ(read.host_operators(), 0U) << "as simulated";
  EXPECT_EQ(to_json(evaluate_plan(read, graph, pools)), text);
}

TEST(CompiledPlans, UnsortedHostOperatorsAreRefused) {
  const Model model = open_model("zoo:squeezenet");
  const Graph graph(model);
  const std::vector<DevicePool> pools{{pcie(), 1, false}};
  const std::vector<CompiledMemory> memory{
      {1000, 0, "16.0", std::vector<OperatorId>{operator_id(3), operator_id(7)}}};
  std::string text = to_json(with_compiled_memory(balanced_plan(graph, 1), graph, memory, pools));
  EXPECT_EQ(parse_plan(text, "p").host_operators(), 2U);
  const auto at = text.find("7", text.find("operators_on_host"));
  text[at] = '3';
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)parse_plan(text, "p"); },
               {"stages[0].compiled.operators_on_host[1]", "larger than the previous element"});
}

TEST(CompileFolder, NothingMappedIsAFailure) {
  const ScratchFolder scratch;
  const Model model = open_model("zoo:squeezenet@64");
  const Graph graph(model);
  write_segments(model, balanced_plan(graph, 2), scratch.path());
  const std::string before = read_text_file(scratch.path() / "plan.json", 1 << 24U);
  const FolderCompilation result = compile_folder(scratch.path(), with_stand_in({"leaves=ALL"}));
  const FileCompilation& file = result.files[0];
  ASSERT_FALSE(file.compilation.succeeded());
  EXPECT_EQ(file.compilation.failure->kind, CompilerFailure::Kind::kNothingMapped);
  EXPECT_THAT(file.compilation.failure->message, HasSubstr("0 of "));
  EXPECT_FALSE(file.looked_for_culprit);
  EXPECT_FALSE(fs::exists(scratch.path() / file.compiled_file));
  EXPECT_EQ(read_text_file(scratch.path() / "plan.json", 1 << 24U), before);
}

TEST(CompiledPlans, WrongNumberOfReportsIsRefused) {
  const Model model = open_model("zoo:squeezenet");
  const Graph graph(model);
  const std::vector<DevicePool> pools{{pcie(), 2, false}};
  const std::vector<CompiledMemory> one(1);
  expect_error(ErrorCode::kInvalidArgument,
               [&] { (void)with_compiled_memory(balanced_plan(graph, 2), graph, one, pools); },
               {"1 report ", "2 stages"});
}

// --- refinement

TEST(RefineBalanced, CutsMoveUntilCompilerStreamsLess) {
  const ScratchFolder scratch;
  const Model model = open_model("zoo:resnet50");
  const Graph graph(model);
  const auto simulated = segment_balanced(graph, 5, *make_simulated_compiler(pcie()));
  ASSERT_EQ(simulated.host_bytes, 0U);
  const auto compiler =
      make_edgetpu_compiler(scratch.path(), stand_in_compiler({"capacity=5200000"}));
  const auto refined = refine_balanced(graph, simulated, *compiler, 60);
  EXPECT_GT(refined.initial_host_bytes, 0U);
  EXPECT_LT(refined.host_bytes, refined.initial_host_bytes);
  EXPECT_FALSE(refined.moves.empty());
  EXPECT_NE(refined.cuts, simulated.cuts);
  EXPECT_EQ(refined.initial_cuts, simulated.cuts);
  check_segmentation(graph, refined.segmentation);
}

TEST(EdgeTpuOracle, HostOperatorsOfSegmentAreReported) {
  const ScratchFolder scratch;
  const Model model = open_model("zoo:squeezenet");
  const Graph graph(model);
  const auto compiler =
      make_edgetpu_compiler(scratch.path(), stand_in_compiler({"leaves=CONCATENATION"}));
  const auto operators = graph.operators_between(4, 12);
  const MemoryReport report = compiler->compile(graph, operators);
  ASSERT_TRUE(report.host_operators.has_value());
  std::vector<OperatorId> expected;
  for (const OperatorId id : operators)
    if (model.op(id).code == OpCode::kConcatenation) expected.push_back(id);
  ASSERT_FALSE(expected.empty());
  EXPECT_EQ(*report.host_operators, expected) << "of the whole model";
}

// Refinement excludes cuts whose segments do not compile.
TEST(RefineBalanced, CutsRefusedByCompilerAreNotTaken) {
  class Refusing : public Compiler {
   public:
    [[nodiscard]] MemoryReport compile(const Graph& graph,
                                       std::span<const OperatorId> operators) const override {
      const bool is_start =
          operators.size() == 10 || operators.size() + 10 == graph.operator_count();
      if (!is_start) throw Error(ErrorCode::kCompiler, "refused");
      return {0, 1000, 0, {}, "16"};
    }
  };
  const Model model = open_model("zoo:squeezenet");
  const Graph graph(model);
  BalancedSegmentation start;
  for (std::uint32_t depth = 1; depth < graph.depth(); ++depth) {
    if (graph.operators_between(1, depth).size() == 10) start.cuts = {depth};
  }
  ASSERT_EQ(start.cuts.size(), 1U);
  const auto refined = refine_balanced(graph, start, Refusing(), 100);
  EXPECT_EQ(refined.cuts, start.cuts);
  EXPECT_EQ(refined.host_bytes, 2000U);
}

// --- on devices

// Pushes seeded inputs and expects the outputs of the whole model, in order.
void expect_as_whole(Pipeline& pipeline, const Model& model, std::uint64_t count) {
  const auto session = testing::cpu_backend().open(model.bytes(), "whole");
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < count; ++i)
      EXPECT_EQ(pipeline.push(random_inputs(pipeline.inputs(), i)), Flow::kOk);
    pipeline.close();
  });
  PipelineResult result;
  std::uint64_t next = 0;
  for (; pipeline.pop(result) == Flow::kOk; ++next) {
    ASSERT_EQ(result.number, next);
    const auto inputs = random_inputs(session->inputs(), next);
    const std::vector<std::span<const std::byte>> spans(inputs.begin(), inputs.end());
    EXPECT_EQ(result.outputs, session->run(spans));
  }
  EXPECT_EQ(next, count);
  producer.join();
}

TEST(CompiledSegments, EdgeTpusGiveWholeModelOutput) {
  const ScratchFolder scratch;
  StandIn library;
  const Model model = open_model("zoo:squeezenet@64");
  const Graph graph(model);
  write_segments(model, balanced_plan(graph, 3), scratch.path());
  const auto compiled = compile_folder(scratch.path(), with_stand_in());
  std::vector<fs::path> files;
  for (const FileCompilation& file : compiled.files)
    files.push_back(scratch.path() / file.compiled_file);
  Pipeline pipeline(pipeline_layout(files, std::vector<std::uint32_t>(3, 1)),
                    testing::stand_in_devices(), {});
  expect_as_whole(pipeline, model, 20);
  EXPECT_TRUE(pipeline.statistics().losses.empty());
}

TEST(CompiledSegments, LossRecompilesForFewerEdgeTpus) {
  const ScratchFolder scratch;
  StandIn library;
  const Model model = open_model("zoo:squeezenet@64");
  const Graph graph(model);
  const auto layout_for = [&](std::uint32_t count) -> std::optional<PipelineLayout> {
    Plan plan = balanced_plan(graph, count);
    identify_model(plan, model);
    return compiled_layout(model, plan, scratch.path(), with_stand_in());
  };
  library.fail(1, kStandInVanish, 7);
  Pipeline pipeline(*layout_for(3), testing::stand_in_devices(), {.replan = layout_for});
  expect_as_whole(pipeline, model, 30);
  ASSERT_EQ(pipeline.statistics().losses.size(), 1U);
  EXPECT_EQ(pipeline.statistics().losses[0].remedy, "a new plan for 2 devices");
  EXPECT_EQ(pipeline.statistics().stages.size(), 2U);
  EXPECT_TRUE(fs::is_empty(scratch.path()));
}

TEST(CompiledSegments, CompilerFailureMakesNoLayout) {
  const ScratchFolder scratch;
  const Model model = open_model("zoo:squeezenet@64");
  const Graph graph(model);
  Plan plan = balanced_plan(graph, 2);
  identify_model(plan, model);
  expect_error(ErrorCode::kCompiler,
               [&] {
                 (void)compiled_layout(model, plan, scratch.path(),
                                       with_stand_in({"fault=large:SOFTMAX"}));
               },
               {"segment 1 of 2", "large activation tensors"});
}

}  // namespace
}  // namespace segue
