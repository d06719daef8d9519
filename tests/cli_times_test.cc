// Tests the commands that show times: simulate, compare, plan with device files, and paper.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "command.h"
#include "environment.h"
#include "segue/file.h"
#include "segue/units.h"

namespace segue {
namespace {

using testing::expect_failure;
using testing::HasWords;
using testing::kInfeasible;
using testing::kUsage;
using testing::run_segue;
using testing::ScratchFolder;

TEST(Readme, FirstExampleMatchesPlanOutput) {
  const std::string readme = read_text_file(SEGUE_TEST_SOURCE "/README.md", 1 << 20);
  EXPECT_THAT(readme,
              ::testing::HasSubstr("$ segue plan zoo:resnet101 --tpus 6\n" +
                                   run_segue({"plan", "zoo:resnet101", "--tpus", "6"}).out));
}

TEST(CliPlan, OptimalOptionsNeedStrategyOptimal) {
  expect_failure(run_segue({"plan", "zoo:conv5-f8", "--tpus", "2", "--strategy", "balanced",
                            "--objective", "latency"}),
                 kUsage, "require strategy optimal");
  expect_failure(run_segue({"plan", "zoo:conv5-f8", "--tpus", "2", "--strategy", "balanced",
                            "--max-replicas", "1"}),
                 kUsage, "require strategy optimal");
}

TEST(CliPlan, EditedPlanLosesItsBound) {
  const ScratchFolder scratch;
  auto document = nlohmann::ordered_json::parse(
      run_segue({"plan", "zoo:mobilenet", "--tpus", "3", "--strategy", "optimal", "--json"}).out);
  auto& replicas = document["stages"][0]["replicas"];
  replicas = replicas.get<int>() + 1;
  write_file(scratch.path() / "plan.json", document.dump());
  EXPECT_EQ(run_segue({"split", "zoo:mobilenet", "--plan", "plan.json", "-o", "p"}, scratch.path())
                .status,
            0);
  const auto written =
      nlohmann::json::parse(read_text_file(scratch.path() / "p" / "plan.json", 1 << 20));
  EXPECT_EQ(written["strategy"], "manual");
  EXPECT_FALSE(written.contains("bound"));
}

TEST(CliSimulate, TextJsonAndCsvAgree) {
  const auto with = [](const std::string& flag) {
    return run_segue({"simulate", "zoo:conv5-f442", "--tpus", "3", "--strategy", "balanced", flag})
        .out;
  };
  const auto json = nlohmann::json::parse(with("--json"));
  EXPECT_EQ(json["schema"], "segue.simulate/2");
  EXPECT_EQ(json["kind"], "simulated");
  EXPECT_EQ(json["inputs"], 15);
  ASSERT_EQ(json["stages"].size(), 3U);
  const std::string csv = with("--csv");
  EXPECT_EQ(std::ranges::count(csv, '\n'), 4);
  const auto text =
      run_segue({"simulate", "zoo:conv5-f442", "--tpus", "3", "--strategy", "balanced"}).out;
  EXPECT_THAT(text, HasWords("all times simulated"));
  const std::string each =
      format_time(Nanoseconds(json["time_per_input_ns"].get<std::int64_t>())) + " (";
  EXPECT_THAT(text, HasWords(each));
}

TEST(CliSimulate, PlanFileAndModelGiveSameOutput) {
  const ScratchFolder scratch;
  const std::string plan = (scratch.path() / "plan.json").string();
  EXPECT_EQ(
      run_segue({"plan", "zoo:squeezenet", "--tpus", "2", "--strategy", "balanced", "-o", plan})
          .status,
      0);
  EXPECT_EQ(
      run_segue({"simulate", plan, "--json"}).out,
      run_segue({"simulate", "zoo:squeezenet", "--tpus", "2", "--strategy", "balanced", "--json"})
          .out);
  expect_failure(run_segue({"simulate", plan, "--tpus", "3", "--strategy", "balanced"}), kUsage,
                 "--tpus: cannot be combined with a plan.json");
  expect_failure(run_segue({"simulate", plan, "--target", "9/s"}), kUsage,
                 "--target: cannot be combined");
  expect_failure(run_segue({"simulate", plan, "--device", "edgetpu-usb3"}), kUsage,
                 "are for the device 'edgetpu-pcie'");
}

TEST(CliSimulate, EditedPlanNeedsItsModel) {
  const ScratchFolder scratch;
  auto document = nlohmann::ordered_json::parse(
      run_segue({"plan", "zoo:conv5-f102", "--tpus", "2", "--strategy", "balanced", "--json"}).out);
  document["stages"][1]["replicas"] = 3;
  const std::string plan = (scratch.path() / "plan.json").string();
  write_file(plan, document.dump());
  expect_failure(run_segue({"simulate", plan}), kUsage, "needs its model (--model)");
  const auto again = run_segue({"simulate", plan, "--model", "zoo:conv5-f102", "--json"});
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(nlohmann::json::parse(again.out)["stages"][1]["replicas"], 3);
  document["stages"][1]["operators"][0] = 0;
  write_file(plan, document.dump());
  expect_failure(run_segue({"simulate", plan}), kUsage, "operator 0 is in two stages");
}

TEST(CliPlan, SharedLinkContentionLimitsTarget) {
  const std::vector<std::string> plan{"plan",     "zoo:densenet169",    "--tpus",
                                      "3",        "--strategy",         "optimal",
                                      "--device", "edgetpu-pcie:shared"};
  EXPECT_THAT(run_segue(plan).out, HasWords("first-come, first-served"));
  auto with_target = plan;
  with_target.insert(with_target.end(), {"--target", "250/s"});
  expect_failure(run_segue(with_target), kInfeasible, "goal not reached: 250");
  EXPECT_THAT(run_segue({"simulate", "zoo:densenet169", "--tpus", "3", "--strategy", "optimal",
                         "--device", "edgetpu-pcie:shared", "--inputs", "500"})
                  .out,
              HasWords("Devices wait for shared resources"));
}

TEST(CliSimulate, SharedLinkIncreasesPeriod) {
  const auto period = [](std::vector<std::string> more) {
    std::vector<std::string> arguments{
        "simulate", "zoo:conv5-f312",        "--tpus", "2", "--strategy", "balanced",
        "--device", "edgetpu-usb2:separate", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return nlohmann::json::parse(run_segue(arguments).out)["steady_period_ns"].get<std::int64_t>();
  };
  EXPECT_GT(period({"--share", "0,1"}), period({}));
  EXPECT_EQ(period({"--share", "0,1", "--inputs", "1"}),
            period({"--share", "0,1", "--inputs", "1000"}));
  expect_failure(run_segue({"simulate", "zoo:conv5-f8", "--share", "0,x"}), kUsage,
                 "--share '0,x'");
  expect_failure(run_segue({"simulate", "zoo:conv5-f8", "--share", "0,7"}), kUsage, "device 7");
  expect_failure(run_segue({"simulate", "zoo:conv5-f8", "--share", "0"}), kUsage,
                 "shared by at least two devices");
  expect_failure(run_segue({"simulate", "zoo:conv5-f8", "--tpus", "2", "--device", "edgetpu-usb2",
                            "--share", "0,1"}),
                 kUsage, "--share: the devices of edgetpu-usb2:shared already share a link");
}

TEST(CliPlan, AutoStopsBelowMinimumGain) {
  const auto result =
      run_segue({"plan", "zoo:resnet50", "--tpus", "auto", "--strategy", "balanced"});
  EXPECT_THAT(result.out, HasWords("resnet50 on 4 Edge TPUs"));
  EXPECT_THAT(result.out,
              HasWords("4 TPUs: one more TPU would increase throughput by 5.6 %, less than 10 %"));
  EXPECT_THAT(run_segue({"plan", "zoo:resnet50", "--tpus", "auto", "--strategy", "balanced",
                         "--min-gain", "5"})
                  .out,
              HasWords("resnet50 on 6 Edge TPUs"));
  EXPECT_THAT(run_segue({"plan", "zoo:resnet50", "--tpus", "auto", "--strategy", "balanced",
                         "--max-tpus", "3"})
                  .out,
              HasWords("3 TPUs, the largest number allowed"));
}

TEST(CliPlan, AutoSuggestsReplicasWhenPipelineStops) {
  const auto result =
      run_segue({"plan", "zoo:mobilenet", "--tpus", "auto", "--strategy", "balanced"});
  EXPECT_THAT(result.out, HasWords("1 TPU: one more TPU would increase throughput by 7.8 %"));
  EXPECT_THAT(result.out,
              HasWords("Strategy optimal, which can replicate stages, reaches 562.5/s on 2 TPUs"));
}

TEST(CliPlan, AutoFindsFewestTpusForGoals) {
  const auto plan = [](std::vector<std::string> more) {
    std::vector<std::string> arguments{"plan", "zoo:resnet50", "--tpus",
                                       "auto", "--strategy",   "optimal"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_segue(arguments);
  };
  EXPECT_THAT(plan({"--target", "500/s"}).out,
              HasWords("7 TPUs are the fewest that reach 500 results"));
  EXPECT_THAT(plan({"--max-latency", "11ms"}).out, HasWords("4 TPUs are the fewest"));
  EXPECT_THAT(plan({"--target", "400", "--max-latency", "0.03s"}).out, HasWords("6 TPUs are"));
  expect_failure(
      plan({"--target", "5000/s"}), kInfeasible,
      "reaches 5000 results per second; nearest: 1482.0/s with a latency of 10.15 ms on 16");
  expect_failure(plan({"--max-latency", "1ms"}), kInfeasible,
                 "a latency of at most 1.00 ms; nearest: 165.4/s");
}

TEST(CliPlan, MissedTargetExitsWith4) {
  expect_failure(run_segue({"plan", "zoo:resnet50", "--tpus", "2", "--strategy", "balanced",
                            "--target", "500/s"}),
                 kInfeasible, "goal not reached: 500 results per second requested, 50.9/s");
}

TEST(CliPlan, InvalidGoalsAndCountsAreRefused) {
  const auto plan = [](const std::string& option, const std::string& value) {
    return run_segue(
        {"plan", "zoo:conv5-f8", "--tpus", "2", "--strategy", "balanced", option, value});
  };
  expect_failure(plan("--target", "fast"), kUsage, "--target 'fast'");
  expect_failure(plan("--target", "-3"), kUsage, "--target '-3'");
  expect_failure(plan("--max-latency", "30"), kUsage, "with its unit");
  expect_failure(plan("--device", "2xedgetpu-usb3,edgetpu-pcie"), kUsage,
                 "the number of 'edgetpu-pcie' is missing");
  expect_failure(plan("--device", "2xedgetpu-usb3,2xedgetpu-pcie"), kUsage, "remove --tpus");
  expect_failure(plan("--search", "exact"), kUsage, "--strategy profile");
  expect_failure(run_segue({"plan", "zoo:conv5-f8"}), kUsage, "pass --tpus N or --tpus auto");
  expect_failure(run_segue({"plan", "zoo:conv5-f8", "--strategy", "balanced", "--device",
                            "1xedgetpu-usb3,1xedgetpu-pcie"}),
                 kUsage, "use strategy optimal for unequal ones");
}

TEST(CliPlan, ContradictoryOptionsAreRefused) {
  const auto plan = [](std::vector<std::string> more) {
    std::vector<std::string> arguments{"plan", "zoo:conv5-f8", "--strategy", "optimal"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_segue(arguments);
  };
  expect_failure(plan({"--tpus", "2", "--target", ""}), kUsage, "--target: the value is empty");
  expect_failure(plan({"--tpus", "2", "--device", ""}), kUsage, "--device: the value is empty");
  expect_failure(plan({"--tpus", "2", "--objective", "latency", "--target", "5/s"}), kUsage,
                 "the target is a throughput");
  expect_failure(plan({"--tpus", "auto", "--objective", "latency"}), kUsage,
                 "optimizes throughput");
  expect_failure(plan({"--tpus", "2", "--max-tpus", "4"}), kUsage, "require --tpus auto");
  expect_failure(plan({"--tpus", "auto", "--min-gain", "nan"}), kUsage, "--min-gain");
  expect_failure(plan({"--tpus", "auto", "--min-gain", "9", "--target", "5"}), kUsage,
                 "--min-gain");
  expect_failure(plan({"--tpus", "auto", "--device", "1xedgetpu-pcie"}), kUsage, "without a count");
  expect_failure(plan({"--tpus", "2", "--target", "1e8"}), kInfeasible, "proven infeasible");
  expect_failure(plan({"--device", "99xedgetpu-usb3,99xedgetpu-pcie"}), kUsage, "ways to choose");
  EXPECT_THAT(run_segue({"compare", "zoo:conv5-f8", "--device", "edgetpu-pcie:shared"}).out,
              HasWords("on edgetpu-pcie:shared"));
  expect_failure(plan({"--tpus", "2", "--device", "edgetpu-usb3:seperate"}), kUsage,
                 "a device name may end in ':shared' or ':separate'");
  expect_failure(run_segue({"compare", "zoo:conv5-f8", "--device", "2xedgetpu-pcie"}), kUsage,
                 "--tpus sets the number");
}

TEST(CliVerify, PlanProofAndNumbersAreChecked) {
  const ScratchFolder scratch;
  const std::string path = scratch.path() / "plan.json";
  const auto plan = [&](const char* strategy) {
    return run_segue(
        {"plan", "zoo:squeezenet@64", "--tpus", "3", "--strategy", strategy, "-o", path});
  };
  EXPECT_EQ(plan("balanced").status, 0);
  expect_failure(run_segue({"verify", "zoo:squeezenet@64", path}), kUsage, "carry a proof");
  EXPECT_EQ(plan("optimal").status, 0);
  EXPECT_THAT(run_segue({"verify", "zoo:squeezenet@64", path}).out,
              HasWords("Accepted: no pipeline takes less than the bound"));
  expect_failure(run_segue({"verify", "zoo:squeezenet@64", path, "--csv"}), kUsage, "--json");
  expect_failure(run_segue({"verify", "zoo:squeezenet@64", path, "--inputs", "9"}), kUsage,
                 "--inputs: requires a folder of segments");
  const auto edited = [&](const std::function<void(nlohmann::ordered_json&)>& edit) {
    auto json = nlohmann::ordered_json::parse(read_text_file(path, 1 << 20));
    edit(json);
    write_file(scratch.path() / "edited.json", json.dump());
    return run_segue({"verify", "zoo:squeezenet@64", scratch.path() / "edited.json"});
  };
  EXPECT_THAT(edited([](auto& json) { json["predicted"]["speedup"] = 500; }).out,
              HasWords("Rejected: a number or a name in the plan"));
  EXPECT_THAT(edited([](auto& json) { json["stages"][0]["on_chip_bytes"] = 1; }).out,
              HasWords("Rejected: a number or a name in the plan"));
  expect_failure(edited([](auto& json) { json["bound"]["tpus"] = 4'000'000'000; }), kUsage,
                 "bound.tpus: must be from 1 to 8192");
  expect_failure(edited([](auto& json) {
                   json["stages"][0]["devices"] = {{{"pool", 5},
                                                    {"replicas", json["stages"][0]["replicas"]},
                                                    {"time_ns", json["stages"][0]["time_ns"]}}};
                 }),
                 kUsage, "stage 0");
}

TEST(CliVerify, ProofOfMoreDevicesThanNamedIsRefused) {
  const ScratchFolder scratch;
  EXPECT_EQ(
      run_segue({"plan", "zoo:conv5-f552", "--tpus", "3", "-o", "p.json"}, scratch.path()).status,
      0);
  const auto verify = [&](const std::string& device) {
    return run_segue({"verify", "zoo:conv5-f552", "p.json", "--device", device}, scratch.path());
  };
  expect_failure(verify("2xedgetpu-pcie"), kUsage,
                 "--device '2xedgetpu-pcie': 2 devices, but p.json uses 3");
  EXPECT_THAT(verify("3xedgetpu-pcie").out, HasWords("Accepted"));
  EXPECT_THAT(verify("edgetpu-pcie").out, HasWords("Accepted"));
}

TEST(CliPlan, UnequalDevicesArePlannedAndVerified) {
  const ScratchFolder scratch;
  const std::string plan = scratch.path() / "plan.json";
  const auto planned = run_segue({"plan", "zoo:squeezenet@64", "--strategy", "optimal", "--device",
                                  "2xedgetpu-usb3,2xedgetpu-pcie", "-o", plan});
  EXPECT_THAT(planned.out, HasWords("(2xedgetpu-usb3:shared,2xedgetpu-pcie)"));
  const auto csv = run_segue({"plan", "zoo:squeezenet@64", "--strategy", "optimal", "--device",
                              "1xedgetpu-usb3,2xedgetpu-pcie", "--csv"});
  EXPECT_THAT(csv.out, HasWords(",total_ns,devices\n"));
  const std::string folder = scratch.path() / "parts";
  EXPECT_EQ(run_segue({"split", "zoo:squeezenet@64", "--plan", plan, "-o", folder}).status, 0);
  EXPECT_EQ(run_segue({"verify", "zoo:squeezenet@64", folder}).status, 0);
  EXPECT_THAT(run_segue({"simulate", plan, "--model", "zoo:squeezenet@64"}).out,
              HasWords("inputs in"));
  EXPECT_THAT(run_segue({"simulate", plan}).out, HasWords("inputs in"));
}

// A plan.json gives the same result with and without its model.
TEST(CliSimulate, PlanFileKeepsLinkAndBusyHost) {
  const ScratchFolder scratch;
  const std::string plan = scratch.path() / "plan.json";
  for (const char* device : {"edgetpu-usb3", "edgetpu-pcie-busy", "edgetpu-pcie:shared"}) {
    (void)run_segue({"plan", "zoo:conv5-f442", "--tpus", "2", "--device", device, "-o", plan});
    const auto alone = run_segue({"simulate", plan, "--inputs", "50"}).out;
    EXPECT_THAT(alone, HasWords("50 inputs in")) << device;
    EXPECT_EQ(alone,
              run_segue({"simulate", plan, "--model", "zoo:conv5-f442", "--inputs", "50"}).out)
        << device;
  }
}

TEST(CliSimulate, PlanWithOneUsbDeviceIsRead) {
  const ScratchFolder scratch;
  const std::string plan = scratch.path() / "plan.json";
  for (const char* device : {"edgetpu-usb3", "edgetpu-usb3:separate", "edgetpu-pcie:shared"}) {
    (void)run_segue({"plan", "zoo:conv5-f32", "--tpus", "2", "--objective", "latency", "--device",
                     device, "-o", plan});
    EXPECT_THAT(run_segue({"simulate", plan}).out, HasWords("15 inputs in")) << device;
  }
}

TEST(CliPlan, ExhaustiveSearchAnnouncesItsSize) {
  EXPECT_THAT(run_segue({"plan", "zoo:conv5-f8", "--tpus", "3", "--strategy", "profile", "--search",
                         "exhaustive"})
                  .err,
              HasWords("exhaustive search over 6 choices of cuts"));
}

TEST(CliPlan, ProfileReportsMeasurementCounts) {
  const auto profile = [](const std::string& search) {
    return run_segue(
        {"plan", "zoo:resnet50", "--tpus", "4", "--strategy", "profile", "--search", search});
  };
  EXPECT_THAT(profile("exact").out, HasWords("(2556 segments between depths, 54740 choices"));
  EXPECT_THAT(profile("exact").out, ::testing::ContainsRegex("profile +[1+]+ +[01].[0-9]+ +4.74 "));
  EXPECT_THAT(profile("exhaustive").out,
              ::testing::ContainsRegex("profile +[1+]+ +[01].[0-9]+ +4.74 "));
  EXPECT_THAT(profile("bisection").out, HasWords("latencies simulated"));
}

TEST(CliCompare, FormatsAgreeAndParetoRowsAreMarked) {
  const auto with = [](const std::string& flag) {
    return run_segue({"compare", "zoo:conv5-f442", "--tpus", "1..6", flag}).out;
  };
  const auto json = nlohmann::json::parse(with("--json"));
  EXPECT_EQ(json["schema"], "segue.compare/2");
  // The model has five operators. On six TPUs, optimal uses fewer stages, and the others have no
  // plan.
  EXPECT_EQ(json["rows"].size(), 5U * 4 + 1);
  EXPECT_EQ(std::ranges::count(with("--csv"), '\n'), 5 * 4 + 1 + 1);
  for (const auto& row : json["rows"]) {
    for (const auto& other : json["rows"]) {
      if (!row["pareto"]) continue;
      EXPECT_FALSE(other["bottleneck_ns"] < row["bottleneck_ns"] &&
                   other["latency_ns"] < row["latency_ns"] && other["tpus"] < row["tpus"]);
    }
  }
  for (const char* counts : {"0", "3..1", "x", "1..99", "1.."})
    expect_failure(run_segue({"compare", "zoo:conv5-f8", "--tpus", counts}), kUsage, counts);
}

TEST(CliPlan, OptimalStatesBoundAndVerifies) {
  const ScratchFolder scratch;
  const std::string plan = (scratch.path() / "plan.json").string();
  const auto written = run_segue(
      {"plan", "zoo:squeezenet", "--tpus", "4", "--strategy", "optimal", "-o", plan, "--json"});
  const auto json = nlohmann::json::parse(written.out);
  EXPECT_EQ(json["strategy"], "optimal");
  EXPECT_EQ(json["bound"]["proven"], true);
  EXPECT_EQ(json["bound"]["bottleneck_ns"], json["predicted"]["bottleneck_ns"]);
  EXPECT_EQ(
      run_segue({"split", "zoo:squeezenet", "--plan", plan, "-o", "p"}, scratch.path()).status, 0);
  EXPECT_EQ(run_segue({"verify", "zoo:squeezenet", "p", "--inputs", "1"}, scratch.path()).status,
            0);
  const auto quick = run_segue({"plan", "zoo:squeezenet", "--tpus", "4", "--strategy", "optimal",
                                "--objective", "latency", "--json"});
  EXPECT_LE(nlohmann::json::parse(quick.out)["predicted"]["latency_ns"],
            json["predicted"]["latency_ns"]);
}

TEST(CliDevice, DeviceFileIsAcceptedByCommands) {
  const ScratchFolder scratch;
  const std::string device = (scratch.path() / "card.json").string();
  const std::string plan = (scratch.path() / "plan.json").string();
  write_file(device, R"({"schema": "segue.device/1", "name": "card", "base": "edgetpu-pcie",
    "constants": {"link": {"value": 195, "unit": "MB/s"}}})");
  const auto written = run_segue({"plan", "zoo:conv5-f8", "--tpus", "2", "--strategy", "balanced",
                                  "--device", device, "-o", plan});
  EXPECT_EQ(written.status, 0) << written.err;
  EXPECT_EQ(run_segue({"simulate", plan, "--device", device}).status, 0);
  expect_failure(run_segue({"simulate", plan}), kUsage, "pass its device file with --device");
  write_file(device, "{}");
  expect_failure(run_segue({"simulate", "zoo:conv5-f8", "--device", device}), kUsage,
                 "card.json: the document: missing key \"schema\"");
}

TEST(CliPaper, FigureOneIsDrawnAndUnknownIsRefused) {
  EXPECT_THAT(run_segue({"paper", "figure", "1"}).out, HasWords("closed form"));
  expect_failure(run_segue({"paper", "figure", "9"}), kUsage, "NUMBER");
}

}  // namespace
}  // namespace segue
