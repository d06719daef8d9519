// Tests docs/segmentation.md and the properties of both strategies on the CNNs of the paper.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "environment.h"
#include "evaluation/paper/networks.h"
#include "segue/file.h"
#include "segue/plan.h"
#include "segue/report.h"
#include "segue/units.h"
#include "segue/zoo.h"

namespace segue {
namespace {

using paper::kNetworks;
using paper::Network;

class PaperModel : public ::testing::TestWithParam<Network> {};

// Computes the host bytes of every segment of consecutive depths and the smallest total over all
// cuts. The result is exact and does not assume that larger segments stream more.
std::uint64_t least_host_bytes(const Graph& graph, std::size_t count, const Compiler& compiler) {
  constexpr std::uint64_t kNone = ~std::uint64_t{0};
  const std::uint32_t depth = graph.depth();
  std::vector<std::vector<std::uint64_t>> best(count + 1,
                                               std::vector<std::uint64_t>(depth + 1, kNone));
  best[0][0] = 0;
  for (std::uint32_t first = 0; first < depth; ++first) {
    for (std::uint32_t last = first + 1; last <= depth; ++last) {
      const std::uint64_t host =
          compiler.totals(graph, graph.operators_between(first + 1, last)).host_bytes;
      for (std::size_t k = 0; k < count; ++k) {
        if (best[k][first] != kNone)
          best[k + 1][last] = std::min(best[k + 1][last], best[k][first] + host);
      }
    }
  }
  return best[count][depth];
}

TEST_P(PaperModel, BalancedStreamsOnlyIfAllCutsDo) {
  const auto [name, tpus] = GetParam();
  const Model model = open_model(std::string("zoo:") + name);
  const Graph graph(model);
  const auto compiler = make_simulated_compiler(find_device("edgetpu-pcie"));
  const auto balanced = segment_balanced(graph, tpus, *compiler);
  const std::uint64_t least = least_host_bytes(graph, tpus, *compiler);
  EXPECT_GE(balanced.host_bytes, least);
  if (least == 0) {
    EXPECT_EQ(balanced.host_bytes, 0U);
  }
  RecordProperty("least_host_bytes", std::to_string(least));
  RecordProperty("balanced_host_bytes", std::to_string(balanced.host_bytes));
}

INSTANTIATE_TEST_SUITE_P(All, PaperModel, ::testing::ValuesIn(kNetworks),
                         [](const auto& row) { return std::string(row.param.name); });

struct Result {
  std::size_t depth = 0;
  std::uint64_t bytes = 0;
  Plan vendor;
  Plan balanced;
};

Result segment(const Network& test) {
  const Model model = open_model(std::string("zoo:") + test.name);
  const Graph graph(model);
  const auto compiler = make_simulated_compiler(find_device("edgetpu-pcie"));
  const auto plan = [&](const Segmentation& segmentation, Strategy strategy) {
    return make_plan(graph, segmentation, *compiler, find_device("edgetpu-pcie"), strategy);
  };
  return {graph.depth(), graph.parameter_bytes(),
          plan(segment_as_vendor(graph, test.tpus), Strategy::kCompiler),
          plan(segment_balanced(graph, test.tpus, *compiler).segmentation, Strategy::kBalanced)};
}

std::string markdown_table() {
  std::string text =
      "| model | depth | MiB | TPUs | Segm_Comp largest | Segm_Comp host | Segm_Balanced largest | "
      "Segm_Balanced host |\n|---|--:|--:|--:|--:|--:|--:|--:|\n";
  for (const Network& test : kNetworks) {
    const Result result = segment(test);
    EXPECT_LE(result.balanced.host_bytes(), result.vendor.host_bytes()) << test.name;
    if (result.balanced.largest_stage_parameter_bytes() >
        result.vendor.largest_stage_parameter_bytes()) {
      EXPECT_LT(result.balanced.host_bytes(), result.vendor.host_bytes()) << test.name;
    }
    text += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} |\n", test.name, result.depth,
                        format_mib(result.bytes), test.tpus,
                        format_mib(result.vendor.largest_stage_parameter_bytes()),
                        format_mib(result.vendor.host_bytes()),
                        format_mib(result.balanced.largest_stage_parameter_bytes()),
                        format_mib(result.balanced.host_bytes()));
  }
  return text;
}

// SEGUE_UPDATE_DOCS=1 writes the table instead of comparing it.
TEST(SegmentationTable, DocumentedTableIsCurrent) {
  const std::filesystem::path path = SEGUE_TEST_SOURCE "/docs/segmentation.md";
  constexpr std::string_view kBegin = "<!-- table -->\n";
  constexpr std::string_view kEnd = "<!-- end of table -->";
  const std::string text = read_text_file(path, 1 << 20);
  const std::size_t begin = text.find(kBegin) + kBegin.size();
  const std::size_t end = text.find(kEnd);
  ASSERT_NE(end, std::string::npos);
  const std::string table = markdown_table();
  if (std::getenv("SEGUE_UPDATE_DOCS") != nullptr)
    return write_file(path, text.substr(0, begin) + table + text.substr(end));
  EXPECT_EQ(text.substr(begin, end - begin), table);
}

}  // namespace
}  // namespace segue
