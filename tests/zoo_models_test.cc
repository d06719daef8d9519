// Builds and runs every model of the zoo.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "environment.h"
#include "published_models.h"
#include "segue/graph.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using testing::cpu_backend;
using testing::Published;
using testing::published;

class ZooModel : public ::testing::TestWithParam<Published> {};

TEST_P(ZooModel, MacsMatchPublished) {
  if (GetParam().giga_macs == 0) GTEST_SKIP() << "none published";
  const Model model = open_model(std::string("zoo:") + GetParam().name);
  constexpr double kHalfALastDigit = 0.0005;
  EXPECT_NEAR(static_cast<double>(Graph(model).macs()) / 1e9, GetParam().giga_macs,
              kHalfALastDigit);
}

INSTANTIATE_TEST_SUITE_P(All, ZooModel, ::testing::ValuesIn(published()),
                         [](const auto& row) { return row.param.name; });

std::vector<std::string> runnable_models() {
  std::vector<std::string> names;
  for (const Published& model : published()) names.emplace_back(model.name);
  for (const testing::PublishedDetector& model : testing::detectors())
    names.emplace_back(model.smaller);
  for (const char* name : {"conv5-f32", "conv5-f442", "conv5-f742", "dense4-n100", "dense4-n2640"})
    names.emplace_back(name);
  return names;
}

class RunnableZooModel : public ::testing::TestWithParam<std::string> {};

// Returns the share of values at the ends of the range, where values were clipped. ReLU clips at
// zero by design, so the low end counts only if it is not the zero point.
double saturated_share(std::span<const std::byte> values, const Tensor& tensor) {
  const int lowest = tensor.type == ElementType::kUint8 ? 0 : -128;
  const auto clipped = std::ranges::count_if(values, [&](std::byte byte) {
    const int value =
        lowest == 0 ? static_cast<std::uint8_t>(byte) : static_cast<std::int8_t>(byte);
    return value == lowest + 255 ||
           (value == lowest && tensor.quantization.zero_points[0] != lowest);
  });
  return static_cast<double>(clipped) / static_cast<double>(values.size());
}

bool is_constant(std::span<const std::byte> values) {
  return std::ranges::all_of(values, [&](std::byte value) { return value == values[0]; });
}

TEST_P(RunnableZooModel, TensorsVaryAndRarelySaturate) {
  const Model model = open_model("zoo:" + GetParam());
  const Model exposed =
      parse_model(expose_tensors(model, testing::all_tensors(model)).to_bytes(), model.name());
  const auto session = cpu_backend().open(exposed.bytes(), exposed.name());
  std::mt19937 random(7);
  std::vector<std::byte> input(session->inputs()[0].bytes);
  for (std::byte& value : input) value = static_cast<std::byte>(random());
  const std::span<const std::byte> view(input);
  const auto results = session->run({&view, 1});
  double worst = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Tensor& tensor = exposed.tensor(exposed.outputs()[i]);
    EXPECT_FALSE(is_constant(results[i])) << tensor.name;
    if (tensor.type == ElementType::kFloat32) continue;
    const double share = saturated_share(results[i], tensor);
    EXPECT_LT(share, 0.05) << tensor.name;
    worst = std::max(worst, share);
  }
  RecordProperty("worst_saturated_share", std::to_string(worst));
}

INSTANTIATE_TEST_SUITE_P(All, RunnableZooModel, ::testing::ValuesIn(runnable_models()),
                         [](const auto& row) {
                           std::string name = row.param;
                           std::erase(name, '-');
                           std::ranges::replace(name, '@', '_');
                           return name;
                         });

}  // namespace
}  // namespace segue
