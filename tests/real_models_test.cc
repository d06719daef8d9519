// Tests Google's models: all cuts, byte for byte, a real photo, and compiled files.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <numeric>

#include "environment.h"
#include "expect.h"
#include "measurements.h"
#include "model_builder.h"
#include "segue/plan.h"
#include "segue/verify.h"

namespace segue {
namespace {

namespace fs = std::filesystem;
using testing::cpu_backend;
using testing::operators;
using testing::ScratchFolder;

VerifyReport split_and_verify(const Model& model, const Segmentation& segmentation) {
  const ScratchFolder scratch;
  const Graph graph(model);
  const auto compiler = make_simulated_compiler(find_device("edgetpu-pcie"));
  Plan plan =
      make_plan(graph, segmentation, *compiler, find_device("edgetpu-pcie"), Strategy::kManual);
  identify_model(plan, model);
  write_segments(model, segmentation, to_json(plan), scratch.path());
  return verify_segments(model, find_segments(scratch.path()), cpu_backend(),
                         {.plan = find_plan(scratch.path()), .inputs = 1});
}

class RealModel : public ::testing::TestWithParam<std::string> {
 protected:
  [[nodiscard]] fs::path path() const {
    return testing::shared("models/" + GetParam() + ".tflite");
  }
};

TEST_P(RealModel, AnyTopologicalCutVerifies) {
  SKIP_WITHOUT(path());
  const Model model = read_model(path());
  const auto count = static_cast<std::uint32_t>(model.operators().size());
  for (std::uint32_t cut = 1; cut < count; ++cut) {
    const auto report =
        split_and_verify(model, {{operators(0, cut - 1), operators(cut, count - 1)}});
    ASSERT_EQ(report.mismatch, "") << "cut before operator " << cut;
  }
}

TEST_P(RealModel, BalancedSegmentsVerify) {
  SKIP_WITHOUT(path());
  const Model model = read_model(path());
  const Graph graph(model);
  const auto compiler = make_simulated_compiler(find_device("edgetpu-pcie"));
  for (std::size_t count = 2; count <= std::min(4U, graph.depth()); ++count) {
    const auto balanced = segment_balanced(graph, count, *compiler);
    const auto report = split_and_verify(model, balanced.segmentation);
    EXPECT_EQ(report.mismatch, "") << count << " segments";
    EXPECT_EQ(report.operator_count, model.operators().size());
  }
}

INSTANTIATE_TEST_SUITE_P(All, RealModel, ::testing::ValuesIn(testing::runnable_shared_models()),
                         [](const auto& row) { return testing::test_name(row.param); });

TEST(RealModels, UnrunnableModelIsReported) {
  const auto path = testing::shared("models/invalid_model_invoking_error.tflite");
  SKIP_WITHOUT(path);
  const Model model = read_model(path);
  testing::expect_error(ErrorCode::kInvalidModel, [&] {
    (void)split_and_verify(
        model, {{operators(0, static_cast<std::uint32_t>(model.operators().size()) - 1)}});
  });
}

// Reads an uncompressed 24-bit Windows bitmap, whose rows begin at the bottom, and shrinks it to
// `size` x `size` pixels by averaging.
std::vector<std::byte> read_bitmap(const fs::path& path, int size) {
  const auto file = testing::read_bytes(path);
  const auto number = [&](std::size_t at) {
    std::int32_t value = 0;
    std::memcpy(&value, file.data() + at, 4);
    return value;
  };
  const int width = number(18);
  const int height = number(22);
  const auto start = static_cast<std::size_t>(number(10));
  const auto row_bytes = static_cast<std::size_t>((width * 3 + 3) / 4 * 4);
  std::vector<std::byte> image;
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      for (std::size_t channel = 0; channel < 3; ++channel) {
        int sum = 0;
        int count = 0;
        for (int sy = y * height / size; sy <= ((y + 1) * height - 1) / size; ++sy) {
          for (int sx = x * width / size; sx <= ((x + 1) * width - 1) / size; ++sx) {
            const auto row = static_cast<std::size_t>(height - 1 - sy);
            const std::size_t at = start + row * row_bytes + static_cast<std::size_t>(sx) * 3;
            sum += static_cast<int>(file[at + 2 - channel]);  // stored as blue, green, red
            ++count;
          }
        }
        image.push_back(static_cast<std::byte>(sum / count));
      }
    }
  }
  return image;
}

std::vector<std::string> top_five(const std::vector<std::byte>& scores, const fs::path& labels) {
  std::vector<std::string> names;
  std::ifstream file(labels);
  for (std::string line; std::getline(file, line);) names.push_back(line);
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order,
                           [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  std::vector<std::string> result;
  for (std::size_t i = 0; i < 5; ++i) result.push_back(names.at(order[i]));
  return result;
}

TEST(RealModels, CatPhotoKeepsTopFiveLabels) {
  const auto model_path = testing::shared("models/mobilenet_v2_1.0_224_quant.tflite");
  const auto photo = testing::shared("images/cat.bmp");
  const auto labels = testing::shared("images/imagenet_labels.txt");
  for (const auto& needed : {model_path, photo, labels}) SKIP_WITHOUT(needed);
  const Model model = read_model(model_path);
  const auto image = read_bitmap(photo, 224);
  const std::span<const std::byte> input(image);
  const auto whole = cpu_backend().open(model.bytes(), "whole")->run({&input, 1}).at(0);

  const Graph graph(model);
  const auto compiler = make_simulated_compiler(find_device("edgetpu-pcie"));
  std::map<std::string, std::vector<std::byte>> values{
      {model.unique_name(model.inputs()[0]), image}};
  for (const auto& segment : segment_balanced(graph, 3, *compiler).segmentation.segments) {
    const Model part = parse_model(extract_segment(model, segment).to_bytes(), "segment");
    std::vector<std::span<const std::byte>> views;
    for (const TensorId id : part.inputs()) views.emplace_back(values.at(part.unique_name(id)));
    auto results = cpu_backend().open(part.bytes(), "segment")->run(views);
    for (std::size_t i = 0; i < results.size(); ++i)
      values[part.unique_name(part.outputs()[i])] = std::move(results[i]);
  }
  const auto expected = top_five(whole, labels);
  EXPECT_EQ(top_five(values.at(model.unique_name(model.outputs()[0])), labels), expected);
  EXPECT_TRUE(std::ranges::any_of(expected, [](const std::string& label) {
    return label.find("cat") != std::string::npos || label.find("lynx") != std::string::npos;
  })) << expected[0];
}

TEST(CompiledModels, ProgramParametersMatchCompilerData) {
  const auto cuts = testing::shared("data/vendor_cuts.csv");
  SKIP_WITHOUT(cuts);
  int rows = 0;
  for (testing::Row row : testing::read_csv(cuts)) {
    if (!row["model"].starts_with("ssd_mobilenet_v1") || row["n_segments"] != "4") continue;
    const auto path = testing::shared("models/ssd_mobilenet_v1_segment_" + row["seg_idx"] +
                                      "_of_4_edgetpu.tflite");
    std::uint64_t cached = 0;
    std::uint64_t streamed = 0;
    for (const auto& program : compiled_executables(read_model(path)))
      (program.type == ExecutableType::kParameterCaching ? cached : streamed) +=
          program.parameter_bytes;
    EXPECT_EQ(std::to_string(cached), row["onchip_param_bytes"]) << row["id"];
    EXPECT_EQ(std::to_string(streamed), row["streamed_param_bytes"]) << row["id"];
    ++rows;
  }
  EXPECT_EQ(rows, 4);
}

// Tensor 'Conv2d_11…' leaves segment 0 and enters segment 3. Google's segments do not pass it
// through the segments in between.
TEST(CompiledModels, VendorSkipTensorBypassesSegments) {
  const auto file = [](int i) {
    return testing::shared("models/ssd_mobilenet_v1_segment_" + std::to_string(i) +
                           "_of_4_edgetpu.tflite");
  };
  SKIP_WITHOUT(file(0));
  const Model first = read_model(file(0));
  const std::string& skipping = first.unique_name(first.outputs()[1]);
  EXPECT_THAT(skipping, ::testing::HasSubstr("Conv2d_11_pointwise"));
  for (int i = 1; i < 4; ++i) {
    const Model segment = read_model(file(i));
    EXPECT_EQ(segment.find_tensor(skipping).has_value(), i == 3) << i;
  }
}

}  // namespace
}  // namespace segue
