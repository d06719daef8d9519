// Tests the files that commands write, and what they leave if they cannot write.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "command.h"
#include "environment.h"
#include "segue/file.h"

namespace segue {
namespace {

namespace fs = std::filesystem;
using testing::expect_failure;
using testing::HasWords;
using testing::kFile;
using testing::kUsage;
using testing::run_segue;
using testing::ScratchFolder;

TEST(CliOutput, TextInAPipeHasTheWidthOfColumns) {
  const auto longest = [](const std::string& text) {
    std::istringstream lines(text);
    std::size_t most = 0;
    for (std::string line; std::getline(lines, line);) most = std::max(most, line.size());
    return most;
  };
  const testing::ScratchFolder scratch;
  const std::vector<std::string> plan{"plan", "zoo:conv5-f8", "--tpus", "2"};
  const auto usual = testing::run_segue(plan, scratch.path());
  const auto wide = testing::run_segue(plan, scratch.path(), "export COLUMNS=120");
  EXPECT_LE(longest(usual.out), 80U);
  EXPECT_GT(longest(wide.out), 80U);
  EXPECT_LE(longest(wide.out), 120U);
  EXPECT_EQ(testing::run_segue(plan, scratch.path(), "export COLUMNS=wide").out, usual.out);
}

TEST(CliOutput, InputModelIsNeverOverwritten) {
  const ScratchFolder scratch;
  EXPECT_EQ(run_segue({"zoo", "conv5-f8", "-o", "m.tflite"}, scratch.path()).status, 0);
  const auto before = testing::read_bytes(scratch.path() / "m.tflite");
  expect_failure(
      run_segue({"plan", "m.tflite", "--tpus", "2", "--strategy", "balanced", "-o", "m.tflite"},
                scratch.path()),
      kUsage, "also the input MODEL");
  fs::create_symlink("m.tflite", scratch.path() / "m_segment_0_of_2.tflite");
  expect_failure(
      run_segue({"split", "m.tflite", "--tpus", "2", "--strategy", "balanced", "-o", "."},
                scratch.path()),
      kUsage, "this is the model file itself");
  expect_failure(run_segue({"split", "m.tflite", "--tpus", "2", "--strategy", "balanced", "-o", ""},
                           scratch.path()),
                 kUsage, "--output: the value is empty");
  EXPECT_EQ(testing::read_bytes(scratch.path() / "m.tflite"), before);
}

TEST(CliOutput, MessagesTellWhatIsCreatedAndOverwritten) {
  const ScratchFolder scratch;
  const auto said = [&](const std::vector<std::string>& arguments) {
    const auto done = run_segue(arguments, scratch.path());
    EXPECT_EQ(done.status, 0) << done.err;
    return done.out + done.err;
  };
  const std::vector<std::string> zoo{"zoo", "conv5-f8", "-o", "a/b/m.tflite"};
  EXPECT_THAT(said(zoo), HasWords("a/b/m.tflite: created; new folders a, a/b ("));
  EXPECT_THAT(said(zoo), HasWords("a/b/m.tflite: overwritten ("));
  const std::vector<std::string> plan{"plan",   "zoo:conv5-f8", "--tpus", "2",
                                      "--json", "-o",           "p.json"};
  EXPECT_THAT(said(plan), HasWords("note: p.json: created"));
  EXPECT_THAT(said(plan), HasWords("note: p.json: overwritten"));
  const std::vector<std::string> trace{"simulate", "p.json", "--trace", "traces/t.json"};
  EXPECT_THAT(said(trace), HasWords("note: traces/t.json: created; new folder traces"));
  EXPECT_THAT(said(trace), HasWords("note: traces/t.json: overwritten"));
  const std::vector<std::string> report{"report", "p.json",  "-o",
                                        "r.html", "--model", "zoo:conv5-f8"};
  EXPECT_THAT(said(report), HasWords("KB): created; open"));
  EXPECT_THAT(said(report), HasWords("KB): overwritten; open"));
}

TEST(CliOutput, SplitCountsWhatItOverwrites) {
  const ScratchFolder scratch;
  const auto split = [&](const std::string& tpus) {
    return run_segue({"split", "zoo:conv5-f8", "--tpus", tpus, "--strategy", "balanced", "-o", "d"},
                     scratch.path())
        .out;
  };
  EXPECT_THAT(split("2"), HasWords("plan.json written to d (created; new folder d)"));
  EXPECT_THAT(split("2"), HasWords("plan.json written to d (overwritten)"));
  EXPECT_THAT(split("3"), HasWords("plan.json written to d (3 created, 1 overwritten)"));
}

// Commands never overwrite what they read: model, plan, device file, segments of a folder, shards.
TEST(CliOutput, InputFilesAreNeverOverwritten) {
  const ScratchFolder scratch;
  const auto run = [&](std::vector<std::string> arguments) {
    return run_segue(arguments, scratch.path());
  };
  EXPECT_EQ(run({"zoo", "conv5-f8", "-o", "m.tflite"}).status, 0);
  EXPECT_EQ(run({"split", "m.tflite", "--tpus", "2", "--strategy", "balanced", "-o", "d"}).status,
            0);
  testing::write_lane(scratch.path(), 9);
  fs::create_symlink("m.tflite", scratch.path() / "link");
  expect_failure(
      run({"simulate", "m.tflite", "--tpus", "2", "--strategy", "balanced", "--trace", "link"}),
      kUsage, "link: also the input MODEL; name another output");
  expect_failure(run({"simulate", "d/plan.json", "--trace", "d/plan.json"}), kUsage,
                 "also the input");
  expect_failure(run({"run", "d", "--inputs", "1", "--trace", "d/plan.json"}), kUsage,
                 "also the input DIR");
  expect_failure(run({"report", "d/plan.json", "--model", "m.tflite", "-o", "m.tflite"}), kUsage,
                 "also the input --model");
  expect_failure(run({"plan", "m.tflite", "--device", "2xlane.json:shared,1xedgetpu-pcie",
                      "--strategy", "optimal", "-o", "lane.json"}),
                 kUsage, "also the input --device");
  expect_failure(run({"plan", "m.tflite", "--topology", "lane.json", "-o", "lane.json"}), kUsage,
                 "also the input --topology");
  std::ofstream(scratch.path() / "hosts.json")
      << R"({"schema": "segue.topology/1", "nodes": [{"name": "a", "devices": "2xlane.json", "cores": 4}],)"
      << R"( "links": []})";
  expect_failure(run({"plan", "m.tflite", "--topology", "hosts.json", "-o", "lane.json"}), kUsage,
                 "also the input --topology");
  EXPECT_EQ(run({"sweep", "m.tflite", "--tpus", "1", "-o", "a"}).status, 0);
  expect_failure(run({"merge", "a", "-o", "a"}), kUsage, "a: also the input");
  EXPECT_EQ(run({"run", "d", "--inputs", "1", "--trace", "d/trace.json"}).status, 0);
  EXPECT_EQ(run({"verify", "m.tflite", "d", "--inputs", "1"}).status, 0);
}

TEST(CliOutput, UnwritablePathIsAFileError) {
  const ScratchFolder scratch;
  write_file(scratch.path() / "file", "x");
  expect_failure(run_segue({"split", "zoo:conv5-f8", "--tpus", "2", "--strategy", "balanced", "-o",
                            scratch.path() / "file" / "parts"}),
                 kFile, "name another place");
  expect_failure(run_segue({"zoo", "conv5-f8", "-o", scratch.path() / "file" / "m.tflite"}), kFile,
                 "file");
}

TEST(CliOutput, InterruptedSplitLeavesNoFiles) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const ScratchFolder scratch;
    const fs::path folder = scratch.path() / "parts";
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      std::signal(signal, SIG_DFL);  // background jobs ignore some signals, which a child inherits
      ::execl(SEGUE_TEST_CLI, "segue", "split", "zoo:vgg16", "--tpus", "4", "-o", folder.c_str(),
              static_cast<char*>(nullptr));
      ::_exit(127);
    }
    const auto has_begun = [&] {
      std::error_code absent;
      const fs::directory_iterator entry(folder, absent);
      return !absent && entry != fs::directory_iterator();
    };
    int status = 0;
    // Files appear under temporary names. They have tens of MiB each, so there is time to interrupt
    // the program while it writes one.
    while (!has_begun() && ::waitpid(child, &status, WNOHANG) == 0) {
    }
    ::kill(child, signal);
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "signal " << signal << ", status " << status;
    EXPECT_EQ(WTERMSIG(status), signal);
    EXPECT_TRUE(fs::is_empty(scratch.path())) << "signal " << signal;
  }
}

TEST(CliOutput, FullDiskIsReportedAndLeavesNoFiles) {
  const ScratchFolder scratch;
  // The system refuses files of more than 64 blocks of 512 bytes, as on a full disk.
  const auto result =
      run_segue({"split", "zoo:conv5-f102", "--tpus", "2", "--strategy", "balanced", "-o", "parts"},
                scratch.path(), "ulimit -f 64");
  EXPECT_EQ(result.status, kFile);
  EXPECT_THAT(result.err, HasWords("cannot write"));
  EXPECT_TRUE(fs::is_empty(scratch.path()));
}

TEST(CliOutput, FullStandardOutputIsAFileError) {
  for (const std::string arguments : {"--help", "zoo"}) {
    const std::string command = "'" SEGUE_TEST_CLI "' " + arguments + " >/dev/full 2>/dev/null";
    EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), kFile) << arguments;
  }
}

TEST(CliOutput, FullTmpfsIsReportedAndLeavesNoFiles) {
  const ScratchFolder scratch;
  const std::string mount = "mount -t tmpfs -o size=64k tmpfs " + scratch.path().string();
  if (std::system((mount + " 2>/dev/null").c_str()) != 0)
    GTEST_SKIP() << "cannot mount a tmpfs here";
  const auto result = run_segue({"split", "zoo:conv5-f102", "--tpus", "2", "--strategy", "balanced",
                                 "-o", (scratch.path() / "parts").string()});
  const bool is_empty = fs::is_empty(scratch.path());
  EXPECT_EQ(std::system(("umount " + scratch.path().string()).c_str()), 0);
  EXPECT_EQ(result.status, kFile);
  EXPECT_THAT(result.err, HasWords("No space left on device; free some space"));
  EXPECT_TRUE(is_empty);
}

TEST(CliOutput, SplitJsonAndCsvNameSameFiles) {
  const ScratchFolder scratch;
  const auto split = [&](const char* flag) {
    return run_segue({"split", "zoo:conv5-f8", "--tpus", "2", "--strategy", "balanced", "-o",
                      "parts", flag},
                     scratch.path())
        .out;
  };
  const auto json = nlohmann::json::parse(split("--json"));
  EXPECT_EQ(json["schema"], "segue.split/2");
  ASSERT_EQ(json["files"].size(), 2U);
  EXPECT_THAT(split("--csv"), HasWords(json["files"][1]["name"].get<std::string>()));
}

}  // namespace
}  // namespace segue
