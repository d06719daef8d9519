// Tests charts as SVG: their content, and that hostile texts in them are harmless.
#include "evaluation/figure/figure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "environment.h"
#include "evaluation/figure/canvas.h"
#include "segue/file.h"

namespace segue::figure {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

XyPlot line(std::string title) {
  return {std::move(title),
          {"x", false, 0, std::nullopt},
          {"y", false, 0, std::nullopt},
          {{"key", "series", {"optimal"}, Marks::kLine, {{0, 0}, {40, 3}}}},
          {},
          300};
}

TEST(Figure, HostileTextIsEscaped) {
  EXPECT_EQ(escaped("<a href='x'>&\"\x1b\n"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot; \n");
  const std::string svg = file_of(draw(line("</title><script>alert(1)</script>\xff"), 400));
  EXPECT_THAT(svg, Not(HasSubstr("<script>")));
  EXPECT_THAT(svg, Not(HasSubstr("\xff")));
}

TEST(Figure, AxesCoverTheData) {
  const std::string svg = embedded(draw(line("t"), 400));
  EXPECT_THAT(svg, HasSubstr("M52.0 252.0L382.0 12.0")) << "from (0, 0) to (40, 3) of 3";
  EXPECT_THAT(svg, HasSubstr(">40</text>"));
}

TEST(Figure, TicksAreRoundAndCoverMaximum) {
  EXPECT_THAT(ticks(3, 5), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(ticks(702, 8), ElementsAre(0, 100, 200, 300, 400, 500, 600, 700, 800));
  EXPECT_THAT(logarithmic_ticks(0.05, 1000), ElementsAre(0.1, 1, 10, 100, 1000));
  EXPECT_THAT(logarithmic_ticks(1, 10), ElementsAre(1, 2, 5, 10));
}

// Returns "--name:value" for every custom property, without spaces.
std::multiset<std::string> properties_in(const std::string& style) {
  static const std::regex kProperty("--([a-z]+): ?(#[0-9a-f]{3,6})");
  std::multiset<std::string> found;
  for (std::sregex_iterator match(style.begin(), style.end(), kProperty), end; match != end;
       ++match) {
    std::string value = (*match)[2];
    if (value == "#ffffff") value = "#fff";
    found.insert((*match)[1].str() + ":" + value);
  }
  return found;
}

TEST(Figure, FileColoursMatchPage) {
  const auto page =
      properties_in(read_text_file(SEGUE_TEST_SOURCE "/src/report/page/page.css", 1 << 20));
  const auto file = properties_in(file_of(draw(line("t"), 400)));
  EXPECT_GT(file.size(), 20U);
  for (const std::string& property : file)
    EXPECT_EQ(page.count(property), file.count(property)) << property;
}

TEST(Figure, DotRowsSkipMissingValues) {
  const DotRows chart{"t", "axis", {"a", "b"}, {{"one", "One", {}, {1.0, std::nullopt}}}};
  const std::string svg = embedded(draw(chart, 400));
  EXPECT_THAT(svg, HasSubstr("data-series='one'"));
  EXPECT_THAT(svg, HasSubstr(">b</text>"));
  const std::string marks = svg.substr(svg.find("data-series"));
  EXPECT_EQ(std::ranges::count(marks.substr(0, marks.find("</g>")), 'M'), 1);
}

}  // namespace
}  // namespace segue::figure
