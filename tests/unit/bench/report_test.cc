#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "bench/bench_report.h"
#include "bench/bits_chart.h"

namespace runnel::bench {
namespace {

TrialRow point(double bits, double nmse) {
  TrialRow row;
  row.data = "a<b&c";
  row.scheme = "eden";
  row.parameter = "bits=1";
  row.kernel = "reference";
  row.coordinates = 7;
  row.bits_per_coordinate = bits;
  row.nmse = nmse;
  row.encode_gbps = 1.5;
  return row;
}

TEST(ReportJson, WhatWasNotMeasuredIsNull) {
  BenchRun run;
  run.command = "codec_bench --quick";
  run.rows = {point(1.0, 0.5)};
  const auto json = nlohmann::json::parse(report_json(run));
  EXPECT_TRUE(json["memcpy_gbps"].is_null());
  EXPECT_EQ(json["command"], "codec_bench --quick");
  ASSERT_EQ(json["rows"].size(), 1U);
  EXPECT_EQ(json["rows"][0]["data"], "a<b&c");
  EXPECT_EQ(json["rows"][0]["coordinates"], 7);
  EXPECT_EQ(json["rows"][0]["encode_gbps"], 1.5);
  EXPECT_TRUE(json["rows"][0]["relative_bias"].is_null());
  EXPECT_TRUE(json["rows"][0]["decode_accumulate_gbps"].is_null());
}

TEST(ReportHtml, NamesAreEscaped) {
  BenchRun run;
  run.rows = {point(1.0, 0.5), point(2.0, 0.1)};
  const std::string html = report_html(run);
  EXPECT_EQ(html.find("a<b"), std::string::npos);
  EXPECT_NE(html.find("a&lt;b&amp;c"), std::string::npos);
}

size_t occurrences(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(BitsChart, DrawsWhatFitsItsAxes) {
  // Beyond 8.5 bits, an NMSE of 0, and one below the axis are left out.
  const std::vector<TrialRow> rows = {point(1.0, 0.5), point(2.0, 0.1), point(16.0, 1e-4), point(3.0, 0.0),
                                      point(4.0, 1e-9)};
  const std::string svg = bits_chart_svg(rows);
  EXPECT_EQ(occurrences(svg, "<circle"), 2U) << svg;
  EXPECT_EQ(occurrences(svg, "<svg"), 1U);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(BitsChart, OfNothingIsStillADocument) {
  const std::string svg = bits_chart_svg({});
  EXPECT_EQ(svg.rfind("<svg", 0), 0U);
  EXPECT_NE(svg.find("</svg>"), std::string::npos);
}

TEST(BitsChart, ShowsTheFirstKernelOnly) {
  std::vector<TrialRow> rows = {point(1.0, 0.5), point(1.0, 0.5)};
  rows[1].kernel = "avx2";
  EXPECT_EQ(occurrences(bits_chart_svg(rows), "<circle"), 1U);
}

}  // namespace
}  // namespace runnel::bench
