// Tests sweeps in shards that stop and resume, on several machines, and are merged at the end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "command.h"
#include "environment.h"
#include "segue/file.h"

namespace segue {
namespace {

using testing::CommandResult;
using testing::HasWords;
using testing::run_segue;
using testing::ScratchFolder;
using ::testing::StartsWith;
using testing::write_lane;

constexpr std::size_t kLargest = 1 << 22;

std::vector<std::string> sweep(std::vector<std::string> more) {
  std::vector<std::string> arguments{"sweep", "zoo:conv5-f64", "zoo:dense4-n64", "--tpus", "1..3"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(CliSweep, LimitOfReplicasNeedsOptimal) {
  testing::expect_failure(
      run_segue({"sweep", "zoo:conv5-f8", "--strategies", "compiler", "--max-replicas", "1"}),
      testing::kUsage, "--max-replicas applies to strategy optimal");
}

TEST(CliSweep, MergedShardsEqualSingleProcess) {
  const ScratchFolder scratch;
  const CommandResult whole = run_segue(sweep({}));
  EXPECT_EQ(whole.status, 0) << whole.err;
  EXPECT_EQ(std::ranges::count(whole.out, '\n'), 24);
  for (const char* shard : {"1/3", "2/3", "3/3"}) {
    const std::string file = std::string("part") + shard[0] + ".ndjson";
    EXPECT_EQ(run_segue(sweep({"--shard", shard, "-o", file}), scratch.path()).status, 0);
  }
  const CommandResult merged = run_segue(
      {"merge", "part3.ndjson", "part1.ndjson", "part2.ndjson", "--ndjson", "-o", "all.ndjson"},
      scratch.path());
  EXPECT_EQ(merged.out, whole.out);
  EXPECT_EQ(read_text_file(scratch.path() / "all.ndjson", kLargest), whole.out);
  const std::string table = run_segue({"merge", "all.ndjson"}, scratch.path()).out;
  EXPECT_THAT(table, HasWords("24 of 24 jobs; all numbers simulated"));
  const std::string csv = run_segue({"merge", "all.ndjson", "--csv"}, scratch.path()).out;
  EXPECT_THAT(csv, StartsWith("model,device,tpus,strategy,"));
  EXPECT_EQ(std::ranges::count(csv, '\n'), 25);
}

TEST(CliSweep, InterruptedShardResumesToSameFile) {
  const ScratchFolder scratch;
  ASSERT_EQ(run_segue(sweep({"-o", "a.ndjson"}), scratch.path()).status, 0);
  const std::string whole = read_text_file(scratch.path() / "a.ndjson", kLargest);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, whole.size() / 2, whole.size() - 1}) {
    write_file(scratch.path() / "a.ndjson", whole.substr(0, size));
    const CommandResult again = run_segue(sweep({"-o", "a.ndjson"}), scratch.path());
    EXPECT_EQ(again.status, 0) << again.err;
    EXPECT_EQ(read_text_file(scratch.path() / "a.ndjson", kLargest), whole) << size;
  }
  EXPECT_THAT(run_segue(sweep({"-o", "a.ndjson"}), scratch.path()).err,
              HasWords("24 already in the file"));
}

TEST(CliSweep, OutputOfAnotherSweepIsUnchanged) {
  const ScratchFolder scratch;
  ASSERT_EQ(run_segue(sweep({"-o", "a.ndjson"}), scratch.path()).status, 0);
  const std::string before = read_text_file(scratch.path() / "a.ndjson", kLargest);
  const CommandResult other =
      run_segue({"sweep", "zoo:conv5-f64", "--tpus", "4", "-o", "a.ndjson"}, scratch.path());
  EXPECT_EQ(other.status, 2);
  EXPECT_THAT(other.err, HasWords("holds results of another sweep"));
  EXPECT_EQ(read_text_file(scratch.path() / "a.ndjson", kLargest), before);
}

TEST(CliSweep, ForeignFileIsRefusedAndUnchanged) {
  const ScratchFolder scratch;
  for (const char* text : {R"({"a":1})", "notes"}) {
    write_file(scratch.path() / "a.ndjson", text);
    const CommandResult refused = run_segue(sweep({"-o", "a.ndjson"}), scratch.path());
    EXPECT_EQ(refused.status, 2);
    EXPECT_THAT(refused.err, HasWords("a.ndjson, line 1: not a result"));
    EXPECT_EQ(read_text_file(scratch.path() / "a.ndjson", kLargest), text);
  }
}

TEST(CliSweep, RevertedDeviceKeepsRowsOfOneVersion) {
  const ScratchFolder scratch;
  const auto file = scratch.path() / "a.ndjson";
  const auto run_into_file = [&] {
    ASSERT_EQ(run_segue(sweep({"--devices", "lane.json", "-o", "a.ndjson"}), scratch.path()).status,
              0);
  };
  const auto lines_of = [&](int speed) {
    write_lane(scratch.path(), speed);
    return run_segue(sweep({"--devices", "lane.json"}), scratch.path()).out;
  };
  const std::string before = lines_of(100);
  const std::string after = lines_of(50);
  // This is the file of a run that stopped before it dropped the old rows.
  write_file(file, before.substr(0, before.find('\n') + 1) + after);
  write_lane(scratch.path(), 100);
  run_into_file();
  EXPECT_EQ(read_text_file(file, kLargest), before);
  write_file(file, before + after);
  write_lane(scratch.path(), 50);
  run_into_file();
  EXPECT_EQ(read_text_file(file, kLargest), after);
}

TEST(CliSweep, ShardsOfChangedModelAreNotMerged) {
  const ScratchFolder scratch;
  for (const char* size : {"32", "64"}) {
    ASSERT_EQ(
        run_segue({"zoo", std::string("conv5-f") + size, "-o", "m.tflite"}, scratch.path()).status,
        0);
    const std::string shard = size[0] == '3' ? "1/2" : "2/2";
    ASSERT_EQ(run_segue({"sweep", "m.tflite", "--tpus", "1..2", "--shard", shard, "-o",
                         std::string(size) + ".ndjson"},
                        scratch.path())
                  .status,
              0);
  }
  const CommandResult merged = run_segue({"merge", "32.ndjson", "64.ndjson"}, scratch.path());
  EXPECT_EQ(merged.status, 7);
  EXPECT_THAT(merged.err, HasWords("run all shards on the same file"));
}

TEST(CliSweep, ChangedDeviceReplacesOldRows) {
  const ScratchFolder scratch;
  write_lane(scratch.path(), 100);
  ASSERT_EQ(run_segue(sweep({"--devices", "lane.json", "-o", "a.ndjson"}), scratch.path()).status,
            0);
  write_lane(scratch.path(), 50);
  ASSERT_EQ(run_segue(sweep({"--devices", "lane.json", "-o", "a.ndjson"}), scratch.path()).status,
            0);
  EXPECT_EQ(run_segue(sweep({"--devices", "lane.json"}), scratch.path()).out,
            read_text_file(scratch.path() / "a.ndjson", kLargest));
}

TEST(CliSweep, ShardsInOneFileKeepEachOthersRows) {
  const ScratchFolder scratch;
  const auto run_both = [&] {
    for (const char* shard : {"1/2", "2/2"}) {
      const auto arguments = sweep({"--devices", "lane.json", "--shard", shard, "-o", "a.ndjson"});
      ASSERT_EQ(run_segue(arguments, scratch.path()).status, 0);
    }
  };
  write_lane(scratch.path(), 100);
  run_both();
  write_lane(scratch.path(), 50);
  run_both();
  EXPECT_EQ(run_segue({"merge", "a.ndjson", "--ndjson"}, scratch.path()).out,
            run_segue(sweep({"--devices", "lane.json"}), scratch.path()).out);
}

TEST(CliSweep, MissingShardsAreNamedUnlessPartial) {
  const ScratchFolder scratch;
  ASSERT_EQ(run_segue(sweep({"--shard", "1/2", "-o", "a.ndjson"}), scratch.path()).status, 0);
  const CommandResult missing = run_segue({"merge", "a.ndjson"}, scratch.path());
  EXPECT_EQ(missing.status, 4);
  EXPECT_THAT(missing.err, HasWords("12 of 24 jobs are missing (1, 3, 5"));
  const CommandResult partial = run_segue({"merge", "a.ndjson", "--partial"}, scratch.path());
  EXPECT_EQ(partial.status, 0);
  EXPECT_THAT(partial.out, HasWords("12 of 24 jobs"));
}

TEST(CliSweep, InvalidOptionsAreRefused) {
  EXPECT_EQ(run_segue({"sweep"}).status, 2);
  EXPECT_EQ(run_segue(sweep({"--shard", "4/3"})).status, 2);
  EXPECT_EQ(run_segue({"sweep", "zoo:conv5-f8", "--tpus", "3..1"}).status, 2);
  EXPECT_EQ(run_segue({"sweep", "zoo:conv5-f8", "--tpus", "1,,2"}).status, 2);
  EXPECT_EQ(run_segue({"sweep", "zoo:conv5-f8", "--tpus", "1,1"}).status, 2);
  EXPECT_EQ(run_segue({"sweep", "zoo:conv5-f8", "--strategies", "fast"}).status, 2);
  EXPECT_EQ(run_segue({"sweep", "nothing.tflite"}).status, 1);
}

// As in docs/sweeps.md, GNU parallel starts one shard for each of four jobs.
TEST(CliSweep, GnuParallelShardsEqualSingleRun) {
  if (std::system("command -v parallel >/dev/null") != 0)
    GTEST_SKIP() << "GNU parallel is not installed";
  const ScratchFolder scratch;
  const std::string command = "cd '" + scratch.path().string() +
                              "' && parallel --will-cite -j2 '" SEGUE_TEST_CLI
                              " sweep zoo:conv5-f64 zoo:dense4-n64 --tpus 1..3 --shard {}/4 -o "
                              "shard-{}.ndjson' ::: 1 2 3 4 2>log";
  ASSERT_EQ(std::system(command.c_str()), 0) << read_text_file(scratch.path() / "log", kLargest);
  const std::string merged = run_segue({"merge", "shard-1.ndjson", "shard-2.ndjson",
                                        "shard-3.ndjson", "shard-4.ndjson", "--ndjson"},
                                       scratch.path())
                                 .out;
  EXPECT_EQ(merged, run_segue(sweep({})).out);
}

}  // namespace
}  // namespace segue
