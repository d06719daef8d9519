// docs/results.md: every strategy on the CNNs of the paper, what must hold of them, and where the
// gains come from.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <map>

#include "environment.h"
#include "paper_networks.h"
#include "segue/file.h"
#include "segue/optimal.h"
#include "segue/plan.h"
#include "segue/profile.h"
#include "segue/timeline.h"
#include "segue/units.h"
#include "segue/zoo.h"

namespace segue {
namespace {

constexpr std::uint32_t kMostTpus = 8;

using testing::kPaperNetworks;
using testing::PaperNetwork;

// The plans of one network on one number of TPUs.
struct Plans {
  Plan compiler;
  Plan balanced;
  Plan profile;
  Plan pure;  // optimal without replicas
  Plan full;  // optimal
};
using PlansByTpus = std::map<std::uint32_t, Plans>;

Plan even_plan(const Graph& graph, const Segmentation& segmentation, const DeviceSpec& device,
               const char* strategy) {
  const DevicePool pool{device, static_cast<std::uint32_t>(segmentation.segments.size()), false};
  const std::vector<PoolCounts> devices(pool.count, PoolCounts{1});
  return make_plan(graph, segmentation, std::span(&pool, 1), strategy, devices);
}

Plan optimal_plan(const Graph& graph, const DeviceSpec& device, std::uint32_t tpus,
                  std::uint32_t max_replicas) {
  const DevicePool pool{device, tpus, false};
  const auto best = segment_optimal(graph, std::span(&pool, 1), {max_replicas});
  Plan plan = make_plan(graph, best.segmentation, std::span(&pool, 1), "optimal", best.devices);
  EXPECT_EQ(plan.predicted.bottleneck, best.bottleneck);
  EXPECT_EQ(plan.predicted.latency, best.latency);
  plan.bound = best.bound;
  return plan;
}

PlansByTpus plan_all(const Graph& graph, const DeviceSpec& device) {
  const auto compiler = make_simulated_compiler(device);
  Profile profile = Profile::simulated(graph, device);
  PlansByTpus plans;
  for (std::uint32_t tpus = 1; tpus <= kMostTpus; ++tpus) {
    plans[tpus] = {
        even_plan(graph, segment_as_vendor(graph, tpus), device, "compiler"),
        even_plan(graph, segment_balanced(graph, tpus, *compiler).segmentation, device, "balanced"),
        even_plan(graph, segment_profiled(profile, tpus).segmentation, device, "profile"),
        optimal_plan(graph, device, tpus, 1), optimal_plan(graph, device, tpus, 0)};
  }
  return plans;
}

const PlansByTpus& plans_of(const std::string& network, const std::string& device) {
  static std::map<std::pair<std::string, std::string>, PlansByTpus> known;
  const auto [entry, is_new] = known.try_emplace({network, device});
  if (is_new) {
    const Model model = open_model("zoo:" + network);
    entry->second = plan_all(Graph(model), find_device(device));
  }
  return entry->second;
}

Nanoseconds pace(const Plan& plan) { return plan.predicted.bottleneck; }

double ratio(const Plan& slower, const Plan& faster) {
  return to_s(pace(slower)) / to_s(pace(faster));
}

class EveryNetwork : public ::testing::TestWithParam<PaperNetwork> {};

TEST_P(EveryNetwork, IsPlannedOptimallyOnOneToEightDevicesAndNeverWorseThanByOtherStrategies) {
  for (const char* device : {"edgetpu-pcie", "edgetpu-usb3"}) {
    Nanoseconds before = Nanoseconds::max();
    for (const auto& [tpus, plans] : plans_of(GetParam().name, device)) {
      const std::string where = fmt::format("{} on {} {}", GetParam().name, tpus, device);
      EXPECT_TRUE(plans.full.bound->is_proven) << where;
      EXPECT_TRUE(plans.pure.bound->is_proven) << where;
      EXPECT_LE(pace(plans.pure), pace(plans.compiler)) << where;
      EXPECT_LE(pace(plans.pure), pace(plans.balanced)) << where;
      EXPECT_LE(pace(plans.pure), pace(plans.profile)) << where;
      EXPECT_LE(pace(plans.full), pace(plans.pure)) << where;
      EXPECT_LE(pace(plans.full), before) << where << ": more devices must not hurt";
      before = pace(plans.full);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, EveryNetwork, ::testing::ValuesIn(kPaperNetworks),
                         [](const auto& row) { return std::string(row.param.name); });

// --- the page

std::string layout(const Plan& plan) {
  std::vector<std::uint32_t> replicas;
  for (const Stage& stage : plan.stages) replicas.push_back(stage.replicas);
  return fmt::format("{}", fmt::join(replicas, "+"));
}

// Geometric mean over all networks.
double planner_over_balanced(std::uint32_t tpus, const std::string& device) {
  double log_sum = 0;
  for (const PaperNetwork& network : kPaperNetworks) {
    const Plans& plans = plans_of(network.name, device).at(tpus);
    log_sum += std::log(ratio(plans.balanced, plans.full));
  }
  return std::exp(log_sum / kPaperNetworks.size());
}

std::string throughput_table(std::uint32_t tpus, const std::string& device) {
  std::string text = fmt::format(
      "| {} TPUs | Segm_Comp | Segm_Balanced | Segm_Prof | optimal, no replicas | stages | planner "
      "| TPUs per stage |\n|---|--:|--:|--:|--:|--:|--:|---|\n",
      tpus);
  for (const PaperNetwork& network : kPaperNetworks) {
    const Plans& plans = plans_of(network.name, device).at(tpus);
    const auto per_s = [](const Plan& plan) { return plan.predicted.throughput_per_s; };
    text += fmt::format("| {} | {:.1f} | {:.1f} | {:.1f} | {:.1f} | {} | {:.1f} | {} |\n",
                        network.name, per_s(plans.compiler), per_s(plans.balanced),
                        per_s(plans.profile), per_s(plans.pure), plans.pure.stages.size(),
                        per_s(plans.full), layout(plans.full));
  }
  return text + fmt::format("\nPlanner over Segm_Balanced, geometric mean: {:.2f}.\n\n",
                            planner_over_balanced(tpus, device));
}

// The plan's pace if nothing had to be streamed.
Nanoseconds pace_without_streaming(const Plan& plan, const DeviceSpec& device) {
  Nanoseconds slowest = plan.stages.size() > 1
                            ? runner_hop(device.timing) * static_cast<int>(plan.stages.size())
                            : Nanoseconds(0);
  for (const Stage& stage : plan.stages)
    slowest = std::max(slowest, stage.time.total() - stage.time.streaming);
  return slowest;
}

std::string gain_table(const std::string& device) {
  std::string text =
      "| 8 TPUs | planner / Segm_Balanced | bytes | cuts | replicas |\n|---|--:|--:|--:|--:|\n";
  std::array<double, 4> log_sums{};
  for (const PaperNetwork& network : kPaperNetworks) {
    const Plans& plans = plans_of(network.name, device).at(kMostTpus);
    const Nanoseconds resident = pace_without_streaming(plans.balanced, find_device(device));
    const std::array<double, 4> gains{
        ratio(plans.balanced, plans.full), to_s(pace(plans.balanced)) / to_s(resident),
        to_s(resident) / to_s(pace(plans.pure)), ratio(plans.pure, plans.full)};
    text += fmt::format("| {} | {:.2f} | {:.2f} | {:.2f} | {:.2f} |\n", network.name, gains[0],
                        gains[1], gains[2], gains[3]);
    for (std::size_t i = 0; i < gains.size(); ++i) log_sums[i] += std::log(gains[i]);
  }
  const auto mean = [&](std::size_t i) { return std::exp(log_sums[i] / kPaperNetworks.size()); };
  return text + fmt::format("| geometric mean | {:.2f} | {:.2f} | {:.2f} | {:.2f} |\n", mean(0),
                            mean(1), mean(2), mean(3));
}

// As the paper counts: fifteen inputs, from the first to the last result.
double batch_ratio(const Plan& slower, const Plan& faster, const DeviceSpec& device) {
  const auto makespan = [&](const Plan& plan) {
    const auto loads = stage_loads(plan);
    return to_s(simulate_timeline(loads, timeline_options(loads, device)).makespan);
  };
  return makespan(slower) / makespan(faster);
}

std::string paper_table(const std::string& device_name) {
  const DeviceSpec& device = find_device(device_name);
  std::string text =
      "| model | TPUs | Segm_Balanced / Segm_Comp | in batches of 15 | no cuts can give more than "
      "| "
      "Segm_Comp's slowest stage: ms | of it streaming | of it transfers |\n"
      "|---|--:|--:|--:|--:|--:|--:|--:|\n";
  for (const PaperNetwork& network : kPaperNetworks) {
    const PlansByTpus& all = plans_of(network.name, device_name);
    std::uint32_t best = std::max(network.tpus, 2U);
    for (std::uint32_t tpus = 2; tpus <= kMostTpus; ++tpus) {
      if (ratio(all.at(tpus).compiler, all.at(tpus).balanced) >
          ratio(all.at(best).compiler, all.at(best).balanced) + 1e-9)
        best = tpus;
    }
    std::vector<std::uint32_t> rows{best};
    if (network.tpus > 1 && network.tpus != best) rows.insert(rows.begin(), network.tpus);
    for (const std::uint32_t tpus : rows) {
      const Plans& plans = all.at(tpus);
      const auto slowest = std::ranges::max_element(
          plans.compiler.stages, {}, [](const Stage& stage) { return stage.time.total(); });
      text += fmt::format("| {} | {} | {:.2f} | {:.2f} | {:.2f} | {} | {} | {} |\n", network.name,
                          tpus, ratio(plans.compiler, plans.balanced),
                          batch_ratio(plans.compiler, plans.balanced, device),
                          ratio(plans.compiler, plans.pure), format_ms(slowest->time.total()),
                          format_ms(slowest->time.streaming),
                          format_ms(slowest->time.input + slowest->time.output));
    }
  }
  return text;
}

// Throughput in ms per inference on 2 to 8 PCIe TPUs, and segments, that CodeProject.AI publishes
// (github.com/codeproject/CodeProject.AI-ObjectDetectionCoral, options.py); the network of the zoo
// that is nearest to it in parameters, input and multiplications.
struct Detector {
  const char* measured;
  std::array<const char*, 7> ms_and_segments;
  const char* stand_in;
};
constexpr std::array<Detector, 6> kDetectors{{
    {"ssd_mobilenet_v1_fpn_640",
     {"104.2 (2)", "67.5 (3)", "49.1 (2)", "43.5 (3)", "37.0 (3)", "31.1 (2)", "27.1 (3)"},
     "mobilenet@640"},
    {"efficientdet_lite2_448",
     {"32.1 (2)", "19.5 (2)", "16.5 (3)", "13.6 (2)", "-", "11.5 (2)", "11.3 (3)"},
     "efficientnetliteb2@448"},
    {"efficientdet_lite3x_640",
     {"95.0 (2)", "70.6 (3)", "47.9 (3)", "38.7 (2)", "35.1 (2)", "30.6 (2)", "27.3 (2)"},
     "efficientnetliteb3@640"},
    {"yolov5m",
     {"56.3 (2)", "32.2 (2)", "25.9 (4)", "21.2 (2)", "18.8 (3)", "14.7 (4)", "14.6 (3)"},
     "resnet50@640"},
    {"yolov5l",
     {"-", "61.1 (3)", "48.0 (4)", "39.0 (5)", "31.5 (3)", "26.7 (6)", "24.4 (4)"},
     "resnet101@640"},
    {"yolov8m_416_640",
     {"114.4 (2)", "71.9 (3)", "53.0 (3)", "43.5 (4)", "31.8 (5)", "29.5 (4)", "26.0 (3)"},
     "inceptionv3@640"},
}};

std::string detector_table() {
  std::string text = "| network | 2 | 3 | 4 | 5 | 6 | 7 | 8 |\n|---|---|---|---|---|---|---|---|\n";
  int fewer = 0;
  int rows = 0;
  int replicated = 0;
  for (const Detector& detector : kDetectors) {
    const Model model = open_model(std::string("zoo:") + detector.stand_in);
    const Graph graph(model);
    text += fmt::format("| {}, measured | {} |\n", detector.measured,
                        fmt::join(detector.ms_and_segments, " | "));
    std::string cells;
    for (std::uint32_t tpus = 2; tpus <= kMostTpus; ++tpus) {
      const Plan plan = optimal_plan(graph, find_device("edgetpu-pcie"), tpus, 0);
      cells += fmt::format(" {:.1f} ({}) |", to_ms(pace(plan)), layout(plan));
      ++rows;
      fewer += plan.stages.size() < tpus ? 1 : 0;
      replicated +=
          std::ranges::any_of(plan.stages, [](const Stage& s) { return s.replicas > 1; }) ? 1 : 0;
    }
    text += fmt::format("| {}, planner, simulated |{}\n", detector.stand_in, cells);
  }
  EXPECT_GT(2 * fewer, rows) << "fewer segments than TPUs in most rows";
  return text + fmt::format(
                    "\nThe planner uses fewer segments than TPUs in {} of {} rows, replicas "
                    "in {}.\n",
                    fewer, rows, replicated);
}

std::string replaced(std::string text, const std::string& name, const std::string& content) {
  const std::string begin = fmt::format("<!-- {} -->\n", name);
  const std::string end = fmt::format("<!-- end of {} -->", name);
  const std::size_t from = text.find(begin);
  const std::size_t to = text.find(end);
  EXPECT_NE(to, std::string::npos) << name;
  if (to == std::string::npos) return text;
  return text.substr(0, from + begin.size()) + content + text.substr(to);
}

// SEGUE_UPDATE_DOCS=1 writes the tables instead of comparing them.
TEST(ResultsPage, IsCurrent) {
  const std::filesystem::path path = SEGUE_TEST_SOURCE "/docs/results.md";
  const std::string text = read_text_file(path, 1 << 20);
  std::string throughput;
  for (const std::uint32_t tpus : {2U, 4U, 6U, 8U})
    throughput += throughput_table(tpus, "edgetpu-pcie");
  std::string now = replaced(text, "throughput", throughput);
  now = replaced(now, "gains", gain_table("edgetpu-pcie"));
  now = replaced(now, "usb3", throughput_table(kMostTpus, "edgetpu-usb3"));
  now = replaced(now, "paper", paper_table("edgetpu-pcie"));
  now = replaced(now, "detectors", detector_table());
  if (std::getenv("SEGUE_UPDATE_DOCS") != nullptr) return write_file(path, now);
  EXPECT_EQ(text, now);
  EXPECT_GE(planner_over_balanced(kMostTpus, "edgetpu-pcie"), 4.0) << "on eight PCIe TPUs";
}

}  // namespace
}  // namespace segue
