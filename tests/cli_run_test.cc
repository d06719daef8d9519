// Tests `segue run`, `devices` and `doctor`.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "command.h"
#include "environment.h"
#include "segue/file.h"

namespace segue {
namespace {

using testing::HasWords;
using testing::kDevice;
using testing::kUsage;
using testing::run_segue;
using testing::ScratchFolder;

// A folder of two segments of squeezenet.
class Split {
 public:
  Split() {
    EXPECT_EQ(run_segue({"split", "zoo:squeezenet@64", "--tpus", "2", "--strategy", "balanced",
                         "-o", folder()})
                  .status,
              0);
  }
  [[nodiscard]] std::string folder() const { return (scratch_.path() / "parts").string(); }
  [[nodiscard]] const std::filesystem::path& scratch() const { return scratch_.path(); }

 private:
  ScratchFolder scratch_;
};

TEST(CliRun, CustomDevicePlanNeedsItsDeviceFile) {
  const ScratchFolder scratch;
  testing::write_lane(scratch.path(), 9);
  const auto run = [&](std::vector<std::string> arguments) {
    return run_segue(arguments, scratch.path());
  };
  EXPECT_EQ(run({"split", "zoo:conv5-f8", "--tpus", "2", "--strategy", "balanced", "--device",
                 "lane.json", "-o", "d"})
                .status,
            0);
  const std::vector<std::string> command{"run", "d", "--backend", "simulated", "--inputs", "2"};
  EXPECT_THAT(run(command).err, HasWords("pass its device file with --device"));
  auto with_device = command;
  with_device.insert(with_device.end(), {"--device", "lane.json"});
  EXPECT_EQ(run(with_device).status, 0);
  testing::expect_failure(run({"run", "d", "--inputs", "2", "--device", "lane.json"}), kUsage,
                          "requires --backend simulated");
}

TEST(CliRun, ReportsLabelMeasuredAndSimulatedValues) {
  const Split split;
  const auto text = run_segue({"run", split.folder(), "--inputs", "9"});
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.out, HasWords("9 results in "));
  EXPECT_THAT(text.out, HasWords("measured."));
  EXPECT_THAT(text.out, HasWords("simulated."));
  const auto json =
      nlohmann::json::parse(run_segue({"run", split.folder(), "--inputs", "9", "--json"}).out);
  EXPECT_EQ(json["schema"], "segue.run/1");
  EXPECT_EQ(json["measured"]["results"], 9);
  EXPECT_EQ(json["stages"].size(), 2);
  EXPECT_EQ(json["stages"][1]["devices"][0]["inputs"], 9);
  EXPECT_GT(json["stages"][0]["simulated_ns"], 0);
  EXPECT_EQ(json["losses"].size(), 0);
  EXPECT_THAT(run_segue({"run", split.folder(), "--inputs", "9", "--csv"}).out,
              HasWords("stage,devices,on_chip_bytes,host_bytes,inputs,measured_ns,simulated_ns"));
}

TEST(CliRun, EditedReplicasHaveNoProvenPace) {
  const ScratchFolder scratch;
  const std::string folder = (scratch.path() / "parts").string();
  const auto split = run_segue({"split", "zoo:conv5-f102", "--tpus", "2", "--strategy", "optimal",
                                "--max-replicas", "1", "-o", folder});
  ASSERT_EQ(split.status, 0) << split.err;
  const std::vector<std::string> command{"run", folder, "--inputs", "2"};
  EXPECT_THAT(run_segue(command).out, HasWords("no plan within the given limits is faster"));
  const std::filesystem::path plan = std::filesystem::path(folder) / "plan.json";
  auto document = nlohmann::ordered_json::parse(read_text_file(plan, 1U << 20U));
  document["stages"][1]["replicas"] = 2;
  write_file(plan, document.dump());
  EXPECT_THAT(run_segue(command).out, HasWords("more TPUs make it faster"));
}

TEST(CliRun, PlanWithModelRunsOnCpuAndSimulated) {
  const ScratchFolder scratch;
  const std::string plan = scratch.path() / "plan.json";
  EXPECT_EQ(
      run_segue({"plan", "zoo:squeezenet@64", "--tpus", "3", "--strategy", "optimal", "-o", plan})
          .status,
      0);
  EXPECT_EQ(run_segue({"run", plan}).status, kUsage);
  for (const char* backend : {"cpu", "simulated"}) {
    const auto run = run_segue({"run", plan, "--model", "zoo:squeezenet@64", "--backend", backend,
                                "--inputs", "5", "--kernels", "xnnpack"});
    EXPECT_EQ(run.status, 0) << run.err;
    EXPECT_THAT(run.out, HasWords("5 results"));
  }
}

TEST(CliRun, OptionsWithoutEffectAreRefused) {
  const Split split;
  std::ofstream(split.scratch() / "raw") << std::string(64 * 64 * 3, 'a');
  const std::string raw = split.scratch() / "raw";
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"run", split.folder()});
    return run_segue(more);
  };
  expect_failure(run({"--input", raw, "--seed", "3"}), kUsage, "--seed: requires random inputs");
  expect_failure(run({"--backend", "edgetpu", "--threads", "2"}), kUsage,
                 "--threads: requires --backend cpu or simulated");
  expect_failure(run({"--backend", "edgetpu", "--kernels", "xnnpack"}), kUsage,
                 "--kernels: requires");
  expect_failure(run({"--backend", "simulated", "--device", "edgetpu-usb2"}), kUsage,
                 "the times of the plan are for the device 'edgetpu-pcie'");
  expect_failure(run({"--backend", "simulated", "--device", "9xedgetpu-pcie"}), kUsage,
                 "the times of the plan are for the device");
  expect_failure(run({"--watchdog", "nan"}), kUsage, "--watchdog nan: give a number");
  expect_failure(run({"--detect", "--input", raw, "--draw", "a.jpg"}), kUsage, "name it .png");
  EXPECT_THAT(run({"--input", raw, raw, "--inputs", "1"}).err,
              HasWords("only the first 1 of 2 inputs are used"));
}

TEST(CliRun, ImagesAndRawTensorsAreRead) {
  const Split split;
  std::ofstream(split.scratch() / "raw") << std::string(64 * 64 * 3, 'a');
  // A portable pixmap of 2 by 1.
  std::ofstream(split.scratch() / "image.ppm") << "P6 2 1 255\n"
                                               << std::string("\xff\0\0\0\0\xff", 6);
  std::ofstream(split.scratch() / "labels") << "first\nsecond\n";
  std::ofstream(split.scratch() / "other") << "neither";
  const auto run =
      run_segue({"run", split.folder(), "--input", split.scratch() / "raw",
                 split.scratch() / "image.ppm", "--labels", split.scratch() / "labels"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasWords("image.ppm\n  0."));
  EXPECT_THAT(run.out, HasWords("2 results"));
  EXPECT_THAT(run.err, HasWords("holds 2 labels, but the model has 1000 classes"));
  const auto json =
      nlohmann::json::parse(run_segue({"run", split.folder(), "--input", split.scratch() / "raw",
                                       "--labels", split.scratch() / "labels", "--json"})
                                .out);
  EXPECT_EQ(json["classified"][0]["file"], (split.scratch() / "raw").string());
  EXPECT_EQ(json["classified"][0]["classes"].size(), 5U);
  const auto refused = run_segue({"run", split.folder(), "--input", split.scratch() / "other"});
  EXPECT_EQ(refused.status, kUsage);
  EXPECT_THAT(refused.err, HasWords("other: input '"));
  // The bitmap's header claims 1000 bytes.
  std::ofstream(split.scratch() / "cut.bmp") << std::string("BM\xE8\x03\0\0", 6) << "and no more";
  EXPECT_THAT(run_segue({"run", split.folder(), "--input", split.scratch() / "cut.bmp"}).err,
              HasWords("cut.bmp: the image is truncated at 17 bytes"));
}

// Returns a minimal JPEG file: 8 by 8 pixels, grey, one scan of one block.
std::string tiny_jpeg() {
  using namespace std::string_literals;
  const std::string one_code = "\x01"s + std::string(15, '\0') + "\0"s;
  return "\xFF\xD8\xFF\xDB\0\x43\0"s + std::string(64, '\x01') +
         "\xFF\xC0\0\x0B\x08\0\x08\0\x08\x01\x01\x11\0"s + "\xFF\xC4\0\x14\0"s + one_code +
         "\xFF\xC4\0\x14\x10"s + one_code + "\xFF\xDA\0\x08\x01\x01\0\0\x3F\0\x3F\xFF\xD9"s;
}

TEST(CliRun, ImageFormatAndTruncationAreDetected) {
  const Split split;
  const auto run_on = [&](const std::string& name, const std::string& bytes) {
    std::ofstream(split.scratch() / name, std::ios::binary) << bytes;
    return run_segue({"run", split.folder(), "--input", split.scratch() / name});
  };
  // The raw tensor begins like a TGA of 40 by 40 pixels. It is as long as the input, so it is read
  // as a tensor.
  std::string raw(64 * 64 * 3, '\1');
  raw.replace(0, 18, std::string("\0\0\2\0\0\0\0\0\0\0\0\0\x28\0\x28\0\x18\0", 18));
  EXPECT_EQ(run_on("raw", raw).status, 0);
  EXPECT_THAT(run_on("tga", raw.substr(0, 18 + 40 * 40 * 3)).err,
              HasWords("needs a supported image"));
  EXPECT_THAT(run_on("short.ppm", "P6\n# a remark\n20 20 255\n" + std::string(100, 'x')).err,
              HasWords("truncated"));
  EXPECT_THAT(run_on("short.gif", "GIF89a" + std::string(30, '\1')).err, HasWords("truncated"));
}

TEST(CliRun, InterruptedRunReportsResultsSoFar) {
  const Split split;
  const std::string out = split.scratch() / "out";
  const std::string command = fmt::format(
      "{} run {} --runtime {} --inputs 100000000 --json >{} 2>/dev/null & sleep 2; kill -TERM $!; "
      "wait $!",
      SEGUE_TEST_CLI, split.folder(), SEGUE_TEST_RUNTIME, out);
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 130);
  EXPECT_GT(nlohmann::json::parse(read_text_file(out, 1 << 20U))["measured"]["results"], 0);
}

TEST(CliRun, TruncatedJpegWithPreviewIsRefused) {
  const Split split;
  const std::string jpeg = tiny_jpeg();
  const std::string preview =
      "\xFF\xE1" + std::string(1, '\0') + static_cast<char>(jpeg.size() + 2) + jpeg;
  const std::string path = split.scratch() / "picture.jpg";
  const auto run_on = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    return run_segue({"run", split.folder(), "--input", path});
  };
  for (const std::string& whole : {jpeg, jpeg.substr(0, 2) + preview + jpeg.substr(2)}) {
    EXPECT_EQ(run_on(whole).status, 0);
    EXPECT_THAT(run_on(whole.substr(0, whole.size() - 2)).err, HasWords("truncated"));
  }
}

TEST(CliRun, PlanEditedAfterSplitIsRefused) {
  const Split split;
  const std::string path = split.folder() + "/plan.json";
  auto plan = nlohmann::ordered_json::parse(read_text_file(path, 1 << 24U));
  auto& stages = plan["stages"];
  stages[1]["operators"].push_back(stages[0]["operators"].back());
  stages[0]["operators"].erase(stages[0]["operators"].size() - 1);
  write_file(path, plan.dump());
  const auto run = run_segue({"run", split.folder()});
  EXPECT_EQ(run.status, kUsage);
  EXPECT_THAT(run.err, HasWords("segue split MODEL --plan"));
}

TEST(CliRun, NonNumericWatchdogIsRefused) {
  const Split split;
  EXPECT_EQ(run_segue({"run", split.folder(), "--watchdog", "nan"}).status, kUsage);
}

TEST(CliRun, SegmentsOfAnotherModelAreRefused) {
  const Split split;
  const auto run = run_segue({"run", split.folder(), "--model", "zoo:squeezenet@96"});
  EXPECT_EQ(run.status, kUsage) << run.out;
}

TEST(CliRun, ProgressIsShownOnTerminalOnly) {
  const Split split;
  const std::string command =
      fmt::format("{} run {} --runtime {} --inputs 40 --backend simulated --time-scale 300",
                  SEGUE_TEST_CLI, split.folder(), SEGUE_TEST_RUNTIME);
  const std::string log = (split.scratch() / "log").string();
  ASSERT_EQ(std::system(("script -qec '" + command + "' " + log + " >/dev/null").c_str()), 0);
  EXPECT_THAT(read_text_file(log, 1 << 20U),
              ::testing::ContainsRegex("/40  [0-9.]+/s  [0-9]+ s left"));
  EXPECT_EQ(run_segue({"run", split.folder(), "--inputs", "5"}).err, "");
}

TEST(CliRun, UnavailableEdgeTpusAreDeviceErrors) {
  const Split split;
  std::filesystem::copy_file(
      std::filesystem::path(split.folder()) / "squeezenet@64_segment_0_of_2.tflite",
      std::filesystem::path(split.folder()) / "squeezenet@64_segment_0_of_2_edgetpu.tflite");
  const auto uncompiled = run_segue({"run", split.folder(), "--backend", "edgetpu"});
  EXPECT_THAT(uncompiled.err, HasWords("segment_1_of_2_edgetpu.tflite: file not found"));
  std::filesystem::copy_file(
      std::filesystem::path(split.folder()) / "squeezenet@64_segment_1_of_2.tflite",
      std::filesystem::path(split.folder()) / "squeezenet@64_segment_1_of_2_edgetpu.tflite");
  const auto missing = run_segue(
      {"run", split.folder(), "--backend", "edgetpu", "--edgetpu-library", "/nowhere/lib.so"});
  EXPECT_EQ(missing.status, kDevice);
  EXPECT_THAT(missing.err, HasWords("/nowhere/lib.so"));
  const auto run =
      run_segue({"run", split.folder(), "--backend", "edgetpu", "--edgetpu-library",
                 SEGUE_TEST_STAND_IN, "--use", "usb:2-1", "pci:apex_0", "--inputs", "6"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasWords("Edge TPU usb:2-1"));
  const auto unknown = run_segue({"run", split.folder(), "--backend", "edgetpu",
                                  "--edgetpu-library", SEGUE_TEST_STAND_IN, "--use", "usb:7"});
  EXPECT_EQ(unknown.status, kDevice);
  EXPECT_THAT(unknown.err, HasWords("found: pci:apex_0, pci:apex_1, usb:2-1"));
}

TEST(CliRun, TooFewEdgeTpusListFoundAndRemedies) {
  const Split split;
  for (const char* segment : {"0", "1"}) {
    const auto stem = std::filesystem::path(split.folder()) /
                      fmt::format("squeezenet@64_segment_{}_of_2", segment);
    std::filesystem::copy_file(stem.string() + ".tflite", stem.string() + "_edgetpu.tflite");
  }
  const std::vector<std::string> run{"run",     split.folder(),      "--backend",
                                     "edgetpu", "--edgetpu-library", SEGUE_TEST_STAND_IN};
  const auto none = run_segue(run, ".", "export STAND_IN_ATTACHED=0");
  EXPECT_EQ(none.status, kDevice);
  EXPECT_THAT(none.err, HasWords("2 Edge TPUs are needed, but none was found; "));
  EXPECT_THAT(none.err,
              HasWords("`segue doctor` shows what is missing, or run uncompiled segments with"));
  const auto one = run_segue(run, ".", "export STAND_IN_ATTACHED=1");
  EXPECT_EQ(one.status, kDevice);
  EXPECT_THAT(
      one.err,
      HasWords(
          "2 Edge TPUs are needed, but one was found: pci:apex_0; `segue doctor` shows what is "
          "missing; plan for 1 TPU, or run uncompiled segments with the backend cpu"));
  auto chosen = run;
  for (const char* word : {"--use", "usb:2-1"}) chosen.emplace_back(word);
  EXPECT_THAT(run_segue(chosen).err,
              HasWords("2 Edge TPUs are needed, but 1 is named; 3 were found: pci:apex_0, "
                       "pci:apex_1, usb:2-1; plan for 1 TPU"));
}

// The command starts the program in the PATH with all words, including the program's own options.
TEST(CliServe, PassesItsWordsToServer) {
  const ScratchFolder folder;
  const auto program = folder.path() / "segue-serve";
  write_file(program, "#!/bin/sh\necho \"server: $*\"\nexit 9\n");
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  const auto result = run_segue({"serve", "parts", "--port", "0", "--help"}, ".",
                                "export PATH=" + folder.path().string() + ":$PATH");
  EXPECT_EQ(result.status, 9);
  EXPECT_EQ(result.out, "server: parts --port 0 --help\n");
}

TEST(CliServe, MissingPythonIsExplained) {
  const auto result = run_segue({"serve", "parts"}, ".", "export PATH=/nowhere");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasWords("wheel, with its extra [serve]"));
}

TEST(CliDevices, ListHasTextJsonAndCsv) {
  const std::vector<std::string> library{"--edgetpu-library", SEGUE_TEST_STAND_IN};
  EXPECT_THAT(run_segue({"devices", library[0], library[1]}).out, HasWords("pci:apex_1"));
  const auto json =
      nlohmann::json::parse(run_segue({"devices", library[0], library[1], "--json"}).out);
  EXPECT_EQ(json["schema"], "segue.devices/2");
  EXPECT_EQ(json["devices"][2]["name"], "usb:2-1");
  EXPECT_EQ(json["devices"][2]["unlisted"], nullptr);
  EXPECT_THAT(run_segue({"devices", library[0], library[1], "--csv"}).out,
              HasWords("device,path,unique_id,link_mbps,temperature_c,controller,listed"));
  EXPECT_EQ(run_segue({"devices", library[0], "/nowhere.so"}).status, kDevice);
}

TEST(CliDoctor, FindingsAndNextStepsAreReported) {
  const auto doctor = run_segue({"doctor", "--edgetpu-library", "/nowhere.so"});
  EXPECT_THAT(doctor.out, HasWords("good     runtime         TensorFlow Lite"));
  EXPECT_THAT(doctor.out, HasWords("next: "));
  const auto json = nlohmann::json::parse(
      run_segue({"doctor", "--json", "--edgetpu-library", "/nowhere.so"}).out);
  EXPECT_EQ(json["schema"], "segue.doctor/2");
  EXPECT_EQ(json["findings"][0]["key"], "runtime");
}

}  // namespace
}  // namespace segue
