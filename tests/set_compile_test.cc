// Sets compiled for Edge TPUs: which files are compiled together, and what they compute.
#include <flatbuffers/flexbuffers.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "environment.h"
#include "expect.h"
#include "fake_set.h"
#include "model_builder.h"
#include "segue/file.h"
#include "segue/planner.h"
#include "segue/set_run.h"
#include "segue/toolchain.h"
#include "stand_in.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include "segue_schema/darwinn_generated.h"
#pragma GCC diagnostic pop

namespace segue {
namespace {

using testing::conv_chain;
using ::testing::ElementsAre;
using testing::expect_error;
using testing::expect_whole_results;
using ::testing::HasSubstr;
using testing::ScratchFolder;
using testing::stand_in_compiler;

// "a" in two stages on TPUs 0 and 1, "b" whole on both, cached first.
class SetCompile : public ::testing::Test {
 protected:
  SetCompile() {
    plan_.device = {"edgetpu-pcie", 2};
    plan_.tpus.resize(2);
    const std::vector<std::vector<std::vector<std::uint32_t>>> tpus{{{0}, {1}}, {{0, 1}}};
    for (std::size_t m = 0; m < 2; ++m) {
      const Graph graph(*models_[m]);
      const auto stages = static_cast<std::uint32_t>(tpus[m].size());
      const DevicePool pool{find_device("edgetpu-pcie"), stages, false};
      SetModel& model = plan_.models.emplace_back();
      model.demand.name = model.demand.source = models_[m]->name();
      model.rate_per_s = 10;
      model.plan = plan_by_strategy(graph, std::span(&pool, 1), Strategy::kBalanced).plan;
      for (std::uint32_t s = 0; s < stages; ++s)
        model.plan.stages[s].replicas = static_cast<std::uint32_t>(tpus[m][s].size());
      model.tpus = tpus[m];
    }
    for (std::uint32_t t = 0; t < 2; ++t) {
      const auto resident = [&](std::uint32_t model, std::uint32_t stage) {
        const Stage& of = plan_.models[model].plan.stages[stage];
        return Resident{model, stage, of.on_chip_bytes, of.host_bytes, of.time.total()};
      };
      plan_.tpus[t] = {Sharing::kCached, {resident(1, 0), resident(0, t)}, 0.1};
    }
  }

  SetCompilation compile(std::vector<std::string> arguments = {}) const {
    CompileOptions options;
    options.compiler = stand_in_compiler(std::move(arguments));
    options.compiler.attempts = 1;
    return compile_set(plan_, models_, scratch_.path(), options);
  }
  [[nodiscard]] std::string log_of(const std::string& file) const {
    return read_text_file(scratch_.path() / file, 1 << 20U);
  }

  ScratchFolder scratch_;
  std::vector<std::shared_ptr<const Model>> models_{conv_chain("a", 6, 32), conv_chain("b", 3, 32)};
  SetPlan plan_;
};

std::vector<std::string> names_of(const SetCompilation& result) {
  std::vector<std::string> names;
  for (const FileCompilation& file : result.files.files) names.push_back(file.compiled_file);
  return names;
}

TEST_F(SetCompile, CachedResidentsAreCompiledInOneCall) {
  const SetCompilation result = compile();
  ASSERT_TRUE(result.files.succeeded());
  EXPECT_THAT(
      names_of(result),
      ElementsAre("tpu0/b_segment_0_of_1_edgetpu.tflite", "tpu0/a_segment_0_of_2_edgetpu.tflite",
                  "tpu1/b_segment_0_of_1_edgetpu.tflite", "tpu1/a_segment_1_of_2_edgetpu.tflite"));
  for (const std::string& name : names_of(result))
    EXPECT_TRUE(std::filesystem::exists(scratch_.path() / name)) << name;
  const std::string log = log_of("tpu1/a_segment_1_of_2_edgetpu.log");
  EXPECT_LT(log.find("m0_b_segment_0_of_1.tflite"), log.find("m1_a_segment_1_of_2.tflite"));
}

// The device has room for "b" and one layer of "a": each log is that of its own file.
TEST_F(SetCompile, LaterResidentsGetTheRest) {
  const std::uint64_t layer = 32U * (32 * 9 + 12);
  const SetCompilation result = compile({"capacity=" + std::to_string(4 * layer)});
  ASSERT_TRUE(result.files.succeeded());
  const auto& tpu = result.plan.tpus[0];
  EXPECT_EQ(tpu.residents[0].host_bytes, 0U);
  EXPECT_NEAR(static_cast<double>(tpu.residents[0].on_chip_bytes), 3.0 * static_cast<double>(layer),
              512);
  EXPECT_GT(tpu.residents[1].host_bytes, 0U);
  EXPECT_LE(tpu.residents[1].on_chip_bytes, layer + 512);
  EXPECT_GT(tpu.residents[1].time, plan_.tpus[0].residents[1].time);
  EXPECT_EQ(to_json(read_set(scratch_.path() / "set.json")), to_json(result.plan));
}

TEST_F(SetCompile, SwappedResidentsAreCompiledAlone) {
  for (SetTpu& tpu : plan_.tpus) tpu.sharing = Sharing::kSwapped;
  const SetCompilation result = compile();
  ASSERT_TRUE(result.files.succeeded());
  EXPECT_EQ(log_of("tpu0/a_segment_0_of_2_edgetpu.log").find("b_segment"), std::string::npos);
  EXPECT_GT(result.plan.tpus[0].residents[0].reload, Nanoseconds(0));
}

TEST_F(SetCompile, AlikeTpusShareFiles) {
  plan_.models.pop_back();
  plan_.models[0].tpus = {{0, 1}, {2}};
  plan_.models[0].plan.stages[0].replicas = 2;
  plan_.tpus = {{Sharing::kOwn, {{0, 0}}}, {Sharing::kOwn, {{0, 0}}}, {Sharing::kOwn, {{0, 1}}}};
  models_.pop_back();
  const SetCompilation result = compile();
  EXPECT_THAT(names_of(result), ElementsAre("tpu0/a_segment_0_of_2_edgetpu.tflite",
                                            "tpu2/a_segment_1_of_2_edgetpu.tflite"));
  const auto read = read_compiled_set(plan_, models_, scratch_.path());
  EXPECT_EQ(read[0].layout.segments.size(), 2U);
  EXPECT_EQ(read[0].layout.segments[0].replicas, 2U);
  EXPECT_EQ(read[0].files.size(), 3U);
}

TEST_F(SetCompile, FailureIsThatOfAllFilesOfTheCall) {
  const SetCompilation result = compile({"fault=internal"});
  EXPECT_FALSE(result.files.succeeded());
  for (const FileCompilation& file : result.files.files) {
    ASSERT_TRUE(file.compilation.failure.has_value());
    EXPECT_EQ(file.compilation.failure->kind, CompilerFailure::Kind::kInternal);
  }
  EXPECT_FALSE(std::filesystem::exists(scratch_.path() / "set.json"));
  expect_error(ErrorCode::kIo, [&] { (void)read_compiled_set(plan_, models_, scratch_.path()); },
               {"tpu0", "a_segment_0_of_2_edgetpu.tflite"});
}

TEST_F(SetCompile, OtherModelsAreRefused) {
  std::swap(models_[0], models_[1]);
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)compile(); }, {"a"});
  models_.pop_back();
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)compile(); },
               {"1 models given, but the set has 2"});
}

// A file as the Edge TPU compiler writes it, with one program of this caching token.
std::string compiled_with_token(std::uint64_t token) {
  const auto text = [](const flatbuffers::FlatBufferBuilder& builder) {
    return std::string(reinterpret_cast<const char*>(builder.GetBufferPointer()),
                       builder.GetSize());
  };
  flatbuffers::FlatBufferBuilder program;
  darwinn::ExecutableBuilder executable(program);
  executable.add_type(darwinn::ExecutableType::PARAMETER_CACHING);
  executable.add_parameter_caching_token(token);
  program.Finish(executable.Finish());
  flatbuffers::FlatBufferBuilder list;
  const std::vector<flatbuffers::Offset<flatbuffers::String>> programs{
      list.CreateString(text(program))};
  list.Finish(darwinn::CreateMultiExecutable(list, list.CreateVector(programs)));
  const std::string listed = text(list);
  flatbuffers::FlatBufferBuilder package;
  const auto contents =
      package.CreateVector(reinterpret_cast<const std::uint8_t*>(listed.data()), listed.size());
  package.Finish(darwinn::CreatePackage(package, 14, contents), darwinn::PackageIdentifier());
  const std::string bytes = text(package);
  flexbuffers::Builder options;
  options.Map([&] { options.Blob("4", bytes.data(), bytes.size()); });
  options.Finish();
  testing::ModelBuilder b;
  const auto x = b.input("x", {1, 8});
  const auto y = b.tensor("y", {1, 8});
  b.op(tflite::BuiltinOperator::CUSTOM, {x}, {y});
  b.raw().operator_codes[0]->custom_code = "edgetpu-custom-op";
  b.raw().subgraphs[0]->operators[0]->custom_options = options.GetBuffer();
  b.output(y);
  const std::vector<std::byte> file = b.bytes();
  return {reinterpret_cast<const char*>(file.data()), file.size()};
}

// A compiler that copies 0.tflite, 1.tflite, ... of the folder, for the models in their order.
EdgeTpuCompilerOptions copying_compiler(const std::filesystem::path& folder) {
  const std::filesystem::path script = folder / "compiler.sh";
  write_file(script,
             "#!/bin/sh\nn=0\nfor word; do\n  case $word in\n    *.tflite)\n"
             "      name=$(basename $word .tflite)\n"
             "      cp " +
                 folder.string() +
                 "/$n.tflite $out/${name}_edgetpu.tflite\n"
                 "      n=$((n + 1))\n"
                 "      echo Input model: $word\n"
                 "      echo On-chip memory used for caching model parameters: $n.00KiB\n"
                 "      echo Off-chip memory used for streaming uncached model parameters: 0B;;\n"
                 "  esac\n  [ \"$before\" = --out_dir ] && out=$word\n  before=$word\ndone\n");
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  EdgeTpuCompilerOptions options;
  options.command = {script.string()};
  options.attempts = 1;
  return options;
}

TEST(CoCompile, FilesOfOneCallMustShareCachingToken) {
  const ScratchFolder scratch;
  const auto compile = [&](std::vector<std::uint64_t> tokens) {
    std::vector<Model> models;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      write_file(scratch.path() / (std::to_string(i) + ".tflite"), compiled_with_token(tokens[i]));
      testing::ModelBuilder b;
      b.output(b.dense(b.input("x", {1, 8}), "y", 8));
      models.push_back(parse_model(b.bytes(), "alike"));
    }
    return co_compile_for_edgetpu(models, scratch.path(), copying_compiler(scratch.path()));
  };
  const auto alike = compile({7, 7, 0});
  for (std::size_t i = 0; i < alike.size(); ++i) {
    ASSERT_TRUE(alike[i].succeeded()) << alike[i].transcript << alike[i].failure->sentence();
    EXPECT_EQ(alike[i].log->on_chip_bytes, (i + 1) * kKiB);
  }
  for (const Compilation& of : compile({7, 8})) {
    ASSERT_FALSE(of.succeeded());
    EXPECT_THAT(of.failure->message, HasSubstr("different caching tokens"));
  }
  EXPECT_TRUE(compile({9})[0].succeeded());
}

// In processes of the devices, each of which has both models open.
TEST_F(SetCompile, EdgeTpusComputeWhatModelsCompute) {
  testing::StandIn stand_in;
  ASSERT_TRUE(compile().files.succeeded());
  SetRun set(plan_, read_compiled_set(plan_, models_, scratch_.path()), testing::stand_in_devices(),
             {});
  {
    std::jthread other([&] { expect_whole_results(*set.pipeline(1), *models_[1], 40); });
    expect_whole_results(*set.pipeline(0), *models_[0], 40);
  }
  EXPECT_THAT(set.devices()[0].models, ElementsAre("a", "b"));
  EXPECT_EQ(stand_in.process(2), 0);
}

// The third device takes the place of the lost one for both models, with their compiled files.
TEST_F(SetCompile, LostEdgeTpuIsReplacedForBothModels) {
  testing::StandIn stand_in;
  ASSERT_TRUE(compile().files.succeeded());
  stand_in.fail(1, kStandInVanish, 12);
  SetRun set(plan_, read_compiled_set(plan_, {}, scratch_.path()), testing::stand_in_devices(), {});
  {
    std::jthread other([&] { expect_whole_results(*set.pipeline(1), *models_[1], 40); });
    expect_whole_results(*set.pipeline(0), *models_[0], 40);
  }
  EXPECT_NE(set.devices()[1].lost, "");
  const auto losses = set.pipeline(0)->statistics().losses;
  ASSERT_EQ(losses.size(), 1U);
  EXPECT_THAT(losses[0].remedy, HasSubstr("borrowed device"));
}

}  // namespace
}  // namespace segue
