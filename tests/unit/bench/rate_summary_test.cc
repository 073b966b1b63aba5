#include "bench/rate_summary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "bench/rate_report.h"

namespace runnel::bench {
namespace {

// One point a round: `bytes` more uplink, twice as much downlink and 10 s each.
RateRun run_of(const std::string& setting, SettingKind kind, uint64_t seed, double bytes,
               const std::vector<double>& accuracies) {
  RateRun run;
  run.setting = setting;
  run.kind = kind;
  run.seed = seed;
  for (const double accuracy : accuracies) {
    RatePoint point;
    point.round = static_cast<uint32_t>(run.points.size()) + 1;
    point.uplink_bytes = bytes * point.round;
    point.downlink_bytes = 2.0 * bytes * point.round;
    point.seconds = 10.0 * point.round;
    point.accuracy = accuracy;
    point.missed = 1;
    run.points.push_back(point);
  }
  return run;
}

std::vector<RateRun> some_runs() {
  return {
      run_of("fp32", SettingKind::kExact, 1, 1000, {0.5, 0.8, 0.9}),   // target 0.89, in round 3
      run_of("q4", SettingKind::kQsgd, 1, 100, {0.5, 0.895, 0.89}),    // 200 bytes
      run_of("q2", SettingKind::kQsgd, 1, 60, {0.5, 0.7, 0.89}),       // 180 bytes
      run_of("rival", SettingKind::kRival, 1, 50, {0.5, 0.89, 0.8}),   // 100 bytes
      run_of("<ours>", SettingKind::kOurs, 1, 20, {0.89, 0.8, 0.8}),   // 20 bytes
      run_of("fp32", SettingKind::kExact, 2, 1000, {0.7, 0.7, 0.6}),   // target 0.69, in round 1
      run_of("q4", SettingKind::kQsgd, 2, 100, {0.69, 0.5, 0.5}),      // 100 bytes
      run_of("q2", SettingKind::kQsgd, 2, 60, {0.1, 0.2, 0.3}),        // never
      run_of("rival", SettingKind::kRival, 2, 50, {0.6, 0.68, 0.69}),  // 150 bytes
      run_of("<ours>", SettingKind::kOurs, 2, 20, {0.1, 0.69, 0.6}),   // 40 bytes
  };
}

TEST(RateSummary, CountsUntilTheTargetOfEachSeed) {
  const RateTable table = summarize(some_runs());
  EXPECT_NEAR(table.targets.at(1), 0.89, 1e-12);
  EXPECT_NEAR(table.targets.at(2), 0.69, 1e-12);
  ASSERT_EQ(table.rows.size(), 5U);
  const RateSummary& ours = table.rows[4];
  EXPECT_EQ(ours.setting, "<ours>");
  EXPECT_EQ(ours.reached, 2U);
  EXPECT_DOUBLE_EQ(ours.uplink_bytes, 30.0);
  EXPECT_DOUBLE_EQ(ours.total_bytes, 90.0);
  EXPECT_DOUBLE_EQ(ours.seconds, 15.0);
  EXPECT_DOUBLE_EQ(ours.rounds, 1.5);
  EXPECT_DOUBLE_EQ(ours.missed_before, 1.5);
  EXPECT_DOUBLE_EQ(ours.missed, 3.0);
  EXPECT_DOUBLE_EQ(ours.final_accuracy, 0.7);
}

TEST(RateSummary, RatiosAreGeometricMeansOverCommonSeeds) {
  const RateTable table = summarize(some_runs());
  // q2 needs less where it arrives, but arrives only once.
  EXPECT_EQ(table.best_qsgd, "q4");
  EXPECT_EQ(table.best_rival, "rival");
  const RateSummary& ours = table.rows[4];
  EXPECT_NEAR(*ours.to_fp32, std::sqrt(3000.0 / 20.0 * 1000.0 / 40.0), 1e-9);
  EXPECT_NEAR(*ours.to_best_qsgd, std::sqrt(200.0 / 20.0 * 100.0 / 40.0), 1e-9);
  EXPECT_NEAR(*ours.to_best_rival, std::sqrt(100.0 / 20.0 * 150.0 / 40.0), 1e-9);
  EXPECT_NEAR(*table.rows[2].to_best_qsgd, 200.0 / 180.0, 1e-9);
}

TEST(RateSummary, WhatNeverArrivesHasNoRatio) {
  std::vector<RateRun> runs = {run_of("fp32", SettingKind::kExact, 1, 10, {0.9}),
                               run_of("bad", SettingKind::kRival, 1, 1, {0.1}),
                               run_of("alone", SettingKind::kOurs, 9, 1, {0.95})};
  runs.push_back({});
  runs.back().setting = "failed";
  runs.back().seed = 1;
  const RateTable table = summarize(runs);
  ASSERT_EQ(table.rows.size(), 3U);  // seed 9 has no target
  EXPECT_EQ(table.rows[1].reached, 0U);
  EXPECT_FALSE(table.rows[1].to_fp32.has_value());
  EXPECT_TRUE(table.best_rival.empty());
  EXPECT_EQ(table.rows[2].runs, 1U);
}

TEST(RateSummary, MeanCurvesGoAsFarAsAllRunsDo) {
  std::vector<RateRun> runs = some_runs();
  runs[9].points.pop_back();
  const std::vector<RatePoint> curve = mean_curve(runs, "<ours>");
  ASSERT_EQ(curve.size(), 2U);
  EXPECT_DOUBLE_EQ(curve[0].accuracy, (0.89 + 0.1) / 2.0);
  EXPECT_DOUBLE_EQ(curve[1].uplink_bytes, 40.0);
}

RateReport some_report() {
  return {"a machine", "rate_bench --x <y>", "task", "a description", some_runs()};
}

TEST(RateReport, TheTableHasARowForEachSetting) {
  const std::string text = rate_markdown(some_report());
  EXPECT_NE(text.find("| q2 | fixed qsgd | 1/2 | 3.0 | 180 B |"), std::string::npos) << text;
  EXPECT_NE(text.find("Best fixed qsgd: q4; best rival: rival."), std::string::npos) << text;
  EXPECT_EQ(text.find("| inf"), std::string::npos);
}

TEST(RateReport, JsonHoldsEveryRound) {
  const auto json = nlohmann::json::parse(rate_json(some_report()));
  EXPECT_EQ(json["runs"].size(), 10U);
  EXPECT_EQ(json["runs"][0]["points"].size(), 3U);
  EXPECT_DOUBLE_EQ(json["runs"][0]["points"][1]["accuracy"], 0.8);
  EXPECT_EQ(json["summary"].size(), 5U);
  EXPECT_EQ(json["best_qsgd"], "q4");
  EXPECT_NEAR(json["targets"]["2"], 0.69, 1e-12);
}

TEST(RateReport, ThePageNeedsNothingElseAndEscapesNames) {
  const std::string html = rate_html(some_report());
  EXPECT_EQ(html.find("http"), std::string::npos);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("<ours>"), std::string::npos);
  EXPECT_NE(html.find("&lt;ours&gt;"), std::string::npos);
  EXPECT_NE(html.find("--x &lt;y&gt;"), std::string::npos);
  EXPECT_EQ(html.find("nan"), std::string::npos);
}

TEST(RateReport, ChartsDrawEverySettingOnALogarithmicAxis) {
  const std::vector<RateRun> runs = some_runs();
  const std::string svg = accuracy_chart(runs, CurveAxis::kUplinkBytes);
  size_t curves = 0;
  for (size_t at = svg.find("<title>"); at != std::string::npos; at = svg.find("<title>", at + 1)) ++curves;
  EXPECT_EQ(curves, 5U);
  EXPECT_NE(svg.find(">100 B<"), std::string::npos);
  EXPECT_NE(svg.find("1.00 kB<"), std::string::npos);
  EXPECT_EQ(accuracy_chart({}, CurveAxis::kSeconds).find("nan"), std::string::npos);
}

}  // namespace
}  // namespace runnel::bench
