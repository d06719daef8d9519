#include "segue/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "environment.h"
#include "expect.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using testing::expect_error;
using ::testing::HasSubstr;

SweepSpec small_sweep() {
  SweepSpec spec;
  spec.models = {"zoo:conv5-f32", "zoo:conv5-f512", "zoo:dense4-n64"};
  spec.devices = {"edgetpu-pcie", "edgetpu-usb3"};
  spec.tpus = {1, 2, 6};
  return spec;
}

SweepModels models() {
  return {[](const std::string& name) { return open_model(name); }, check_model_name};
}

std::vector<SweepRow> run(const SweepSpec& spec, const Shard& shard = {},
                          std::span<const SweepRow> known = {}, std::size_t* kept = nullptr) {
  std::vector<SweepRow> rows;
  run_sweep(spec, models(), shard, known, [&](const SweepRow& row, bool is_known) {
    rows.push_back(row);
    if (is_known && kept != nullptr) ++*kept;
  });
  return rows;
}

std::string lines(std::span<const SweepRow> rows) {
  std::string text;
  for (const SweepRow& row : rows) text += to_json(row) + "\n";
  return text;
}

TEST(Sweep, MergedShardsEqualWholeSweep) {
  const auto whole = run(small_sweep());
  ASSERT_EQ(whole.size(), 3U * 2 * 3 * 4);
  for (const std::uint64_t count : {1U, 2U, 5U, 7U, 100U}) {
    std::vector<SweepRow> parts;
    for (std::uint64_t index = count; index >= 1; --index) {
      const auto part = run(small_sweep(), {index, count});
      parts.insert(parts.end(), part.begin(), part.end());
    }
    EXPECT_EQ(lines(merge_sweep(parts, Completeness::kRequired)), lines(whole)) << count;
  }
}

TEST(Sweep, RowsMatchStrategyAlone) {
  const Model model = open_model("zoo:conv5-f512");
  const Graph graph(model);
  for (const SweepRow& row : run(small_sweep())) {
    if (row.model != "conv5-f512" || !row.is_feasible()) continue;
    Plan plan =
        plan_by_strategy(graph, open_devices(row.device, row.tpus), find_strategy(row.strategy))
            .plan;
    identify_model(plan, model);
    const std::string text = to_json(plan);
    EXPECT_EQ(row.plan_sha256, sha256(std::as_bytes(std::span(text))));
    EXPECT_EQ(row.bottleneck, plan.predicted.bottleneck);
    EXPECT_EQ(row.host_bytes, plan.host_bytes());
  }
}

TEST(Sweep, RowJsonRoundTripIsExact) {
  for (const SweepRow& row : run(small_sweep()))
    EXPECT_EQ(to_json(parse_sweep_row(to_json(row), "row")), to_json(row));
}

TEST(Sweep, TooManyDevicesGiveInfeasibleRow) {
  const auto rows = run(small_sweep());
  const auto none = std::ranges::find_if(
      rows, [](const SweepRow& row) { return row.tpus == 6 && row.strategy == "balanced"; });
  ASSERT_NE(none, rows.end());
  EXPECT_FALSE(none->is_feasible());
  EXPECT_THAT(none->reason, HasSubstr("5"));
}

TEST(Sweep, ResumeKeepsFinishedRows) {
  const auto whole = run(small_sweep());
  std::size_t kept = 0;
  const std::span<const SweepRow> first(whole.data(), 30);
  EXPECT_EQ(lines(run(small_sweep(), {}, first, &kept)), lines(whole));
  EXPECT_EQ(kept, 30U);
}

TEST(Sweep, ChangedDeviceIsRecomputed) {
  const testing::ScratchFolder scratch;
  const auto path = scratch.path() / "lane.json";
  const auto write = [&](int speed) {
    write_file(path, R"({"schema": "segue.device/1", "name": "lane", "base": "edgetpu-pcie",
                         "constants": {"link": {"value": )" +
                         std::to_string(speed) + R"(, "unit": "MB/s"}}})");
  };
  SweepSpec spec = small_sweep();
  spec.devices = {path.string()};
  write(100);
  const auto before = run(spec);
  write(200);
  std::size_t kept = 0;
  const auto after = run(spec, {}, before, &kept);
  EXPECT_EQ(kept, 0U);
  EXPECT_NE(after[0].key, before[0].key);
  EXPECT_EQ(after[0].sweep, before[0].sweep);
}

TEST(Sweep, MergeNamesMissingJobs) {
  const auto part = run(small_sweep(), {2, 3});
  expect_error(ErrorCode::kInfeasible, [&] { (void)merge_sweep(part, Completeness::kRequired); },
               {"48 of 72 jobs are missing (0, 2, 3, 5"});
  EXPECT_EQ(merge_sweep(part, Completeness::kAny).size(), part.size());
}

TEST(Sweep, MergeDropsDuplicatesAndRefusesConflicts) {
  auto rows = run(small_sweep());
  const auto whole = rows;
  rows.insert(rows.end(), whole.begin(), whole.end());
  EXPECT_EQ(lines(merge_sweep(rows, Completeness::kRequired)), lines(whole));
  rows[3].bottleneck += Nanoseconds(1);
  expect_error(ErrorCode::kMismatch, [&] { (void)merge_sweep(rows, Completeness::kAny); },
               {"the machines computed different values"});
  rows[3].key[0] = rows[3].key[0] == '0' ? '1' : '0';
  expect_error(ErrorCode::kMismatch, [&] { (void)merge_sweep(rows, Completeness::kAny); },
               {"was changed between them"});
}

TEST(Sweep, MergeRefusesMixedOrEmptySweeps) {
  SweepSpec other = small_sweep();
  other.tpus = {1};
  auto rows = run(small_sweep());
  const auto more = run(other);
  rows.insert(rows.end(), more.begin(), more.end());
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)merge_sweep(rows, Completeness::kAny); });
  expect_error(ErrorCode::kInvalidArgument, [] { (void)merge_sweep({}, Completeness::kAny); });
}

TEST(Sweep, TornLastLineIsDropped) {
  const auto rows = run(small_sweep(), {1, 9});
  std::string text = lines(rows);
  text.resize(text.size() - 5);
  const SweepLines torn = parse_sweep(text, "f");
  EXPECT_TRUE(torn.is_torn);
  EXPECT_EQ(torn.rows.size(), rows.size() - 1);
  expect_error(ErrorCode::kInvalidArgument, [] { (void)parse_sweep("\n{}\n", "f"); },
               {"f, line 2"});
}

TEST(Sweep, EmptyOrDuplicateListsAreRefused) {
  for (const auto& spoil : std::vector<std::function<void(SweepSpec&)>>{
           [](SweepSpec& spec) { spec.models.clear(); },
           [](SweepSpec& spec) { spec.devices.push_back(spec.devices[0]); },
           [](SweepSpec& spec) { spec.tpus = {}; },
           [](SweepSpec& spec) { spec.strategies.push_back(spec.strategies[0]); }}) {
    SweepSpec spec = small_sweep();
    spoil(spec);
    expect_error(ErrorCode::kInvalidArgument, [&] { (void)sweep_jobs(spec); });
  }
}

TEST(Sweep, InvalidNamesFailBeforeFirstRow) {
  SweepSpec spec{{"zoo:conv5-f8", "zoo:nope"}, {"edgetpu-pcie"}, {1}};
  const auto refuses = [&](ErrorCode code) {
    expect_error(code, [&] {
      run_sweep(spec, models(), {}, {},
                [](const SweepRow&, bool) { FAIL() << "a row before the error"; });
    });
  };
  refuses(ErrorCode::kInvalidArgument);
  spec.models[1] = "/nowhere.tflite";
  refuses(ErrorCode::kIo);
  spec.models.pop_back();
  spec.devices.emplace_back("edgetpu-none");
  refuses(ErrorCode::kInvalidArgument);
}

TEST(Sweep, ShardNumbersStartAtOne) {
  EXPECT_EQ(parse_shard("3/8").index, 3U);
  EXPECT_EQ(parse_shard("8/8").count, 8U);
  for (const char* text : {"0/8", "9/8", "3", "3/", "/8", "a/8", "3/8x", "-1/8", "3/0", ""})
    expect_error(ErrorCode::kInvalidArgument, [&] { (void)parse_shard(text); });
}

// Makes a plan on this number of TPUs with these times.
ComparedPlan compared(std::uint32_t tpus, int bottleneck_us, int latency_us) {
  ComparedPlan result;
  result.tpus = tpus;
  result.plan.stages.resize(tpus);
  result.plan.predicted.bottleneck = std::chrono::microseconds(bottleneck_us);
  result.plan.predicted.latency = std::chrono::microseconds(latency_us);
  return result;
}

TEST(ParetoFront, DominatedPlansAreExcluded) {
  const std::vector<ComparedPlan> rows{compared(1, 900, 900),  compared(2, 500, 1000),
                                       compared(3, 500, 1000), compared(4, 500, 950),
                                       compared(4, 400, 950),  compared(4, 400, 950)};
  std::vector<bool> on_front;
  for (const ComparedPlan& row : rows) on_front.push_back(is_on_front(row, rows));
  // The third plan uses one TPU more than the second without any gain. The fourth has the latency
  // of the fifth, which has a higher throughput. Equal plans are both on the front.
  EXPECT_EQ(on_front, (std::vector<bool>{true, true, false, false, true, true}));
}

TEST(Strategy, NamesRoundTrip) {
  for (const StrategyRow& row : strategy_table()) {
    EXPECT_EQ(find_strategy(row.key).strategy, row.strategy);
    EXPECT_EQ(to_string(row.strategy), row.key);
  }
  expect_error(ErrorCode::kInvalidArgument, [] { (void)find_strategy("fast"); },
               {"compiler, balanced, profile, optimal"});
}

TEST(Strategy, UnequalDevicesNeedOptimal) {
  const Model model = open_model("zoo:conv5-f32");
  const Graph graph(model);
  const auto pools = open_devices("1xedgetpu-usb3,1xedgetpu-pcie", 0);
  EXPECT_GE(plan_by_strategy(graph, pools, Strategy::kOptimal).plan.stages.size(), 1U);
  expect_error(ErrorCode::kInvalidArgument,
               [&] { (void)plan_by_strategy(graph, pools, Strategy::kBalanced); });
}

}  // namespace
}  // namespace segue
