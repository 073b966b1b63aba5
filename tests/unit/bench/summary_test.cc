#include "bench/summary.h"

#include <gtest/gtest.h>

#include <cmath>

namespace runnel::bench {
namespace {

TrialRow point(const char* scheme, double bits, double nmse) {
  TrialRow row;
  row.data = "gaussian";
  row.scheme = scheme;
  row.parameter = "p";
  row.kernel = "reference";
  row.coordinates = 100;
  row.bits_per_coordinate = bits;
  row.nmse = nmse;
  return row;
}

TEST(UnbiasedLimit, IsThatOfGaussianValues) {
  EXPECT_DOUBLE_EQ(unbiased_limit(1.0), 1.0 / 3.0);
  EXPECT_DOUBLE_EQ(unbiased_limit(2.0), 1.0 / 15.0);
  EXPECT_DOUBLE_EQ(unbiased_limit(4.0), 1.0 / 255.0);
}

TEST(NmseAt, IsInterpolatedInItsLogarithm) {
  const std::vector<TrialRow> curve = {point("a", 1.0, 1.0), point("a", 2.0, 0.01), point("a", 4.0, 0.0001)};
  EXPECT_DOUBLE_EQ(nmse_at(curve, 1.0)->nmse, 1.0);
  EXPECT_NEAR(nmse_at(curve, 1.5)->nmse, 0.1, 1e-12);
  EXPECT_NEAR(nmse_at(curve, 3.0)->nmse, 0.001, 1e-12);
  EXPECT_FALSE(nmse_at(curve, 0.99).has_value());
  EXPECT_FALSE(nmse_at(curve, 4.01).has_value());
  EXPECT_FALSE(nmse_at({}, 1.0).has_value());
}

TEST(NmseAt, IsBiasedIfAPointBesideItIs) {
  std::vector<TrialRow> curve = {point("a", 1.0, 1.0), point("a", 2.0, 0.01), point("a", 3.0, 0.001)};
  curve[0].relative_bias = 0.2;
  curve[1].relative_bias = 0.0001;
  curve[2].relative_bias = -0.0001;
  EXPECT_TRUE(nmse_at(curve, 1.5)->biased);
  EXPECT_FALSE(nmse_at(curve, 2.5)->biased);
}

TEST(Curves, AreSortedByBitsAndKeptApart) {
  std::vector<TrialRow> rows = {point("a", 3.0, 0.1), point("b", 1.0, 1.0), point("a", 1.0, 1.0)};
  rows.push_back(point("a", 2.0, 0.5));
  rows.back().kernel = "avx2";
  EXPECT_EQ(curves(rows).size(), 3U);
  const std::vector<TrialRow> curve = curve_of(rows, rows[0]);
  ASSERT_EQ(curve.size(), 2U);
  EXPECT_EQ(curve[0].bits_per_coordinate, 1.0);
  EXPECT_EQ(curve[1].bits_per_coordinate, 3.0);
}

TEST(SummaryText, GivesTheGapInBits) {
  // Exactly on the limit, then 0.25 bit above it.
  const std::vector<TrialRow> rows = {point("on", 1.0, unbiased_limit(1.0)), point("on", 2.0, unbiased_limit(2.0)),
                                      point("off", 1.0, unbiased_limit(0.75)), point("off", 2.0, unbiased_limit(1.75))};
  const std::string text = summary_text(rows);
  EXPECT_TRUE(text.find("+0.000") != std::string::npos || text.find("-0.000") != std::string::npos) << text;
  EXPECT_NE(text.find("+0.250"), std::string::npos) << text;
}

TEST(SummaryMarkdown, HasARowASchemeAndTheLimit) {
  std::vector<TrialRow> rows = {point("a", 1.0, 0.5), point("a", 2.0, 0.25), point("dot", 1.5, 0.3)};
  rows[0].relative_bias = rows[1].relative_bias = 0.1;
  const std::string text = summary_markdown(rows);
  EXPECT_NE(text.find("| a | | 0.5* | 0.25* | | |"), std::string::npos) << text;
  EXPECT_NE(text.find("| limit, unbiased on Gaussians | 1 | 0.333 | 0.0667 | 0.0159 | 0.00392 |"), std::string::npos)
      << text;
  EXPECT_EQ(text.find("| dot | |"), std::string::npos) << "a single point is no curve";
  EXPECT_EQ(summary_markdown({}), "");
}

}  // namespace
}  // namespace runnel::bench
