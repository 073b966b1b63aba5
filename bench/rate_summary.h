// What runs of the same settings over several seeds come to: how much each needs to reach the accuracy of fp32.
//
// The target of a seed is the best accuracy of its fp32 run, less one point. A run has reached it in the first round
// whose model is as good. Ratios are geometric means over the seeds in which both sides reached it.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/rate_run.h"

namespace runnel::bench {

inline constexpr double kTargetBelowBest = 0.01;

struct RateSummary {
  std::string setting;
  SettingKind kind = SettingKind::kFixed;
  uint32_t runs = 0;
  uint32_t reached = 0;  // runs that reached the target; the next five are means over them
  double rounds = 0.0;
  double uplink_bytes = 0.0;  // of the average device
  double total_bytes = 0.0;   // both ways
  double seconds = 0.0;
  double missed_before = 0.0;          // device-rounds that missed the deadline until then
  double missed = 0.0;                 // device-rounds that missed the deadline, a run
  double final_accuracy = 0.0;         // mean over runs
  double bits_per_coordinate = 0.0;    // mean over rounds and runs
  std::optional<double> to_fp32;       // how many times less uplink fp32's is
  std::optional<double> to_best_qsgd;  // the fixed width of QSGD that needs the least
  std::optional<double> to_best_rival;
};

struct RateTable {
  std::map<uint64_t, double> targets;  // by seed
  std::string best_qsgd;               // empty: none reached its target
  std::string best_rival;
  std::vector<RateSummary> rows;  // in the order in which the settings first occur
};

// Runs that failed count as not having reached anything. Seeds without a run of fp32 are left out.
RateTable summarize(std::span<const RateRun> runs);

// The first point that is at least so accurate; nullptr if there is none.
const RatePoint* first_at(const RateRun& run, double accuracy);

// The mean over the runs of one setting, round by round, as far as all of them got.
std::vector<RatePoint> mean_curve(std::span<const RateRun> runs, const std::string& setting);

}  // namespace runnel::bench
