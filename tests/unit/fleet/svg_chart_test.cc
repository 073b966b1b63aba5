#include "fleet/svg_chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "fleet/text_format.h"

namespace runnel::fleet {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string plain(double value) {
  return fixed(value, 0);
}

TEST(Ticks, AreRoundNumbers) {
  EXPECT_THAT(ticks(10.0, 5), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(ticks(1.0, 5), ElementsAre(0, DoubleEq(0.2), DoubleEq(0.4), DoubleEq(0.6), DoubleEq(0.8), DoubleEq(1.0)));
  EXPECT_THAT(ticks(9'000'000, 3), ElementsAre(0, 5e6, 1e7));
  EXPECT_THAT(ticks(3.0, 6, true), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(ticks(0.0, 5), ElementsAre(0, 1));
  EXPECT_THAT(ticks(std::numeric_limits<double>::infinity(), 5), ElementsAre(0, 1));
}

TEST(EscapeHtml, LeavesNothingThatMarksUp) {
  EXPECT_EQ(escape_html("<a href=\"x\">'&'</a>"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
  EXPECT_EQ(escape_html(std::string_view("a\0b\x1b", 4)), "a b ");
}

TEST(LineChart, DrawsOnePathASeries) {
  const std::string svg = line_chart({{"one & only", "run-a", {{1, 0.5}, {2, 0.75}}}, {"none", "run-b", {}}},
                                     {"round", plain, 1.0, true}, {"accuracy", plain, 1.0, false});
  EXPECT_THAT(svg, HasSubstr("class=\"line run-a\""));
  EXPECT_THAT(svg, Not(HasSubstr("class=\"line run-b\"")));
  EXPECT_THAT(svg, HasSubstr("one &amp; only"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(BarChart, ScalesToTheLongest) {
  const std::string svg = bar_chart({{"d00", {{"run-a", {100, 300}}}}, {"d01", {{"run-a", {200, 0}}}}}, plain);
  EXPECT_THAT(svg, HasSubstr("width=\"84.5\""));  // a quarter of the 338 units there are
  EXPECT_THAT(svg, HasSubstr("width=\"253.5\""));
  EXPECT_THAT(svg, HasSubstr("width=\"169.0\""));
  EXPECT_THAT(bar_chart({}, plain), HasSubstr("</svg>"));
}

TEST(TimelineChart, PutsSpansWhereTheyBelong) {
  const std::string svg =
      timeline_chart({{"d<0>", {{0, 50, "training", "hint"}}, {{25, 26, "outage", "dark"}}}}, 100, plain);
  EXPECT_THAT(svg, HasSubstr("d&lt;0&gt;"));
  EXPECT_THAT(svg, HasSubstr("width=\"494.0\""));  // half of 988
  EXPECT_THAT(svg, HasSubstr("x=\"305.0\""));      // 58 and a quarter of 988
}

}  // namespace
}  // namespace runnel::fleet
