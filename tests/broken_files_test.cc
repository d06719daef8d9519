// A damaged model gives an Error or a consistent model, never a crash or a hang. These tests also
// run under the sanitizers.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <random>

#include "command.h"
#include "environment.h"
#include "segue/error.h"
#include "segue/graph.h"
#include "segue/report.h"
#include "segue/segmentation.h"
#include "segue/zoo.h"

namespace segue {
namespace {

namespace fs = std::filesystem;
using testing::run_segue;

// Returns whether a message contains advice, such as "; convert it again" or ": update segue".
bool says_what_to_do(const std::string& message) {
  return std::ranges::any_of(
      std::array{"convert", "download", "give a", "remove it", "update segue", "split", "keep all",
                 "remove this", "request at most", "compile", "add it", "choose"},
      [&](const char* advice) { return message.find(advice) != std::string::npos; });
}

// Does everything that a command would do with a model, except running it. Returns whether the
// model was read.
bool survives(const std::function<Model()>& read) {
  try {
    const Model model = read();
    const Graph graph(model);
    (void)inspect_json(graph, compiled_executables(model));
    const auto compiler = make_simulated_compiler(find_device("edgetpu-pcie"));
    (void)segment_as_vendor(graph, std::min<std::size_t>(2, graph.operator_count()));
    (void)segment_balanced(graph, std::min(2U, graph.depth()), *compiler);
    const auto half = static_cast<std::uint32_t>(model.operators().size() / 2);
    std::vector<OperatorId> first_half;
    for (std::uint32_t i = 0; i <= half; ++i) {
      if (i < model.operators().size()) first_half.push_back(OperatorId{i});
    }
    const auto bytes = extract_segment(model, first_half).to_bytes();
    (void)parse_model(bytes, "segment");
    return true;
  } catch (const Error& error) {
    EXPECT_NE(error.code(), ErrorCode::kInternal) << error.what();
    EXPECT_TRUE(says_what_to_do(error.what())) << error.what();
    return false;
  }
}

// Returns generated models and, if they are present, real ones.
std::vector<std::vector<std::byte>> samples() {
  std::vector<std::vector<std::byte>> result{make_zoo_model("mobilenetv2@96"),
                                             make_zoo_model("dense4-n100")};
  std::error_code absent;
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(testing::shared("models"), absent))
    paths.push_back(entry.path());
  std::ranges::sort(paths);
  for (const auto& path : paths) result.push_back(testing::read_bytes(path));
  return result;
}

std::vector<std::byte> whole_copy(const Model& model) {
  std::vector<OperatorId> all;
  for (std::uint32_t i = 0; i < model.operators().size(); ++i) all.push_back(OperatorId{i});
  return extract_segment(model, all).to_bytes();
}

// Returns small models, in which the structure is a large part of the file.
std::vector<std::vector<std::byte>> samples_that_run() {
  std::vector<std::vector<std::byte>> result{make_zoo_model("mobilenetv2@96"),
                                             make_zoo_model("conv5-f8")};
  for (const char* name : {"split_concat", "keras_lstm_mnist_ptq"}) {
    const fs::path path = testing::shared(std::string("models/") + name + ".tflite");
    if (fs::exists(path)) result.push_back(testing::read_bytes(path));
  }
  return result;
}

TEST(BrokenFiles, TruncationEvery64BytesIsAnError) {
  const testing::ScratchFolder scratch;
  const fs::path path = scratch.path() / "cut.tflite";
  const fs::path original = scratch.path() / "whole.tflite";
  for (const auto& bytes : samples()) {
    testing::write_bytes(path, bytes);
    testing::write_bytes(original, bytes);
    // The loop starts at the end, so that the file only shrinks.
    for (std::size_t size = (bytes.size() - 1) / 64 * 64;; size -= 64) {
      fs::resize_file(path, size);
      // Padding or an archive of labels may follow the model. Without it the model is still
      // complete. The rest of a truncated archive is not kept.
      if (survives([&] { return read_model(path); })) {
        const auto copy = whole_copy(read_model(path));
        const auto expected = whole_copy(read_model(original));
        ASSERT_LE(copy.size(), expected.size()) << size;
        EXPECT_TRUE(std::equal(copy.begin(), copy.end(), expected.begin())) << size;
      }
      if (size == 0) break;
    }
  }
}

TEST(BrokenFiles, RandomCorruptionsNeverCrashReader) {
  constexpr int kRounds = 10'000;
  std::mt19937_64 random(11);
  const auto models = samples();
  int survived = 0;
  for (int round = 0; round < kRounds; ++round) {
    // The structure is most of a small model's file.
    const auto& source = models[random() % models.size()];
    std::vector<std::byte> bytes = source;
    const std::size_t damage = random() % 8 + 1;
    for (std::size_t i = 0; i < damage; ++i) {
      // More than half of the changes are near the ends of the file, where the structure is.
      const std::size_t window = std::min<std::size_t>(bytes.size(), 16384);
      std::size_t at = random() % bytes.size();
      if (random() % 2 == 0) at = random() % window;
      if (random() % 4 == 0) at = bytes.size() - 1 - random() % window;
      bytes[at] = static_cast<std::byte>(random());
    }
    survived += survives([&] { return parse_model(std::move(bytes), "corrupt"); }) ? 1 : 0;
  }
  RecordProperty("survived", survived);
  EXPECT_GT(survived, 0);
  EXPECT_LT(survived, kRounds);
}

// The TensorFlow Lite runtime trusts a model's numbers, so damaged ones can crash it; `verify` must
// not crash.
TEST(BrokenFiles, CorruptModelsNeverCrashSplitOrVerify) {
  constexpr int kRounds = 250;
  constexpr int kLargestStatus = 7;
  const auto source = samples_that_run();
  const testing::ScratchFolder scratch;
  std::mt19937_64 random(7);
  for (int round = 0; round < kRounds; ++round) {
    auto bytes = source[random() % source.size()];
    const std::size_t damage = random() % 3 + 1;
    for (std::size_t i = 0; i < damage; ++i) {
      std::byte& hit = bytes[random() % bytes.size()];
      const std::array replacements{std::byte{0}, std::byte{1}, std::byte{255},
                                    static_cast<std::byte>(random()),
                                    hit ^ static_cast<std::byte>(1U << (random() % 8))};
      hit = replacements[random() % replacements.size()];
    }
    testing::write_bytes(scratch.path() / "m.tflite", bytes);
    fs::remove_all(scratch.path() / "p");
    // Sizes in a damaged model may ask for all memory and time of the machine.
    const std::string limits = "ulimit -v 4000000 && ulimit -t 20";
    const auto split =
        run_segue({"split", "m.tflite", "--tpus", "1", "-o", "p"}, scratch.path(), limits);
    EXPECT_LE(split.status, kLargestStatus) << "round " << round << ": " << split.err;
    if (split.status != 0) continue;
    const auto verify =
        run_segue({"verify", "m.tflite", "p", "--inputs", "1"}, scratch.path(), limits);
    EXPECT_LE(verify.status, kLargestStatus) << "round " << round << ": " << verify.err;
  }
}

}  // namespace
}  // namespace segue
