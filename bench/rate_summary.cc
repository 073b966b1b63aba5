#include "bench/rate_summary.h"

#include <algorithm>
#include <cmath>

namespace runnel::bench {
namespace {

std::map<uint64_t, double> targets_of(std::span<const RateRun> runs) {
  std::map<uint64_t, double> targets;
  for (const RateRun& run : runs) {
    if (run.kind != SettingKind::kExact || run.points.empty()) continue;
    double best = 0.0;
    for (const RatePoint& point : run.points) best = std::max(best, point.accuracy);
    targets[run.seed] = best - kTargetBelowBest;
  }
  return targets;
}

using PointBySeed = std::map<uint64_t, const RatePoint*>;

std::optional<double> ratio(const PointBySeed& reference, const PointBySeed& own) {
  double logs = 0.0;
  int count = 0;
  for (const auto& [seed, point] : own) {
    const auto other = reference.find(seed);
    if (other == reference.end()) continue;
    logs += std::log(other->second->uplink_bytes / point->uplink_bytes);
    ++count;
  }
  if (count == 0) return std::nullopt;
  return std::exp(logs / count);
}

// Of the rows of that kind, the one that reached its target most often, with the least uplink.
std::string best_of(const std::vector<RateSummary>& rows, SettingKind kind) {
  const RateSummary* best = nullptr;
  for (const RateSummary& row : rows) {
    if (row.kind != kind || row.reached == 0) continue;
    if (best == nullptr || row.reached > best->reached ||
        (row.reached == best->reached && row.uplink_bytes < best->uplink_bytes)) {
      best = &row;
    }
  }
  return best == nullptr ? std::string() : best->setting;
}

void add_run(RateSummary& row, const RateRun& run, const RatePoint* reached) {
  ++row.runs;
  double bits = 0.0;
  for (const RatePoint& point : run.points) {
    row.missed += point.missed;
    bits += point.bits_per_coordinate / static_cast<double>(run.points.size());
    if (reached != nullptr && point.round <= reached->round) row.missed_before += point.missed;
  }
  row.bits_per_coordinate += bits;
  if (!run.points.empty()) row.final_accuracy += run.points.back().accuracy;
  if (reached == nullptr) return;
  ++row.reached;
  row.rounds += reached->round;
  row.uplink_bytes += reached->uplink_bytes;
  row.total_bytes += reached->uplink_bytes + reached->downlink_bytes;
  row.seconds += reached->seconds;
}

void divide(RateSummary& row) {
  for (double* sum : {&row.missed, &row.final_accuracy, &row.bits_per_coordinate}) *sum /= std::max(1U, row.runs);
  for (double* sum : {&row.rounds, &row.uplink_bytes, &row.total_bytes, &row.seconds, &row.missed_before}) {
    *sum /= std::max(1U, row.reached);
  }
}

}  // namespace

const RatePoint* first_at(const RateRun& run, double accuracy) {
  const auto found = std::find_if(run.points.begin(), run.points.end(),
                                  [accuracy](const RatePoint& point) { return point.accuracy >= accuracy; });
  return found == run.points.end() ? nullptr : &*found;
}

RateTable summarize(std::span<const RateRun> runs) {
  RateTable table;
  table.targets = targets_of(runs);
  std::map<std::string, PointBySeed> points;
  for (const RateRun& run : runs) {
    const auto target = table.targets.find(run.seed);
    if (target == table.targets.end()) continue;
    auto row = std::find_if(table.rows.begin(), table.rows.end(),
                            [&run](const RateSummary& each) { return each.setting == run.setting; });
    if (row == table.rows.end()) {
      row = table.rows.emplace(row);
      row->setting = run.setting;
      row->kind = run.kind;
    }
    const RatePoint* reached = first_at(run, target->second);
    if (reached != nullptr) points[run.setting][run.seed] = reached;
    add_run(*row, run, reached);
  }
  for (RateSummary& row : table.rows) divide(row);
  table.best_qsgd = best_of(table.rows, SettingKind::kQsgd);
  table.best_rival = best_of(table.rows, SettingKind::kRival);
  const std::string exact = best_of(table.rows, SettingKind::kExact);
  for (RateSummary& row : table.rows) {
    row.to_fp32 = ratio(points[exact], points[row.setting]);
    row.to_best_qsgd = ratio(points[table.best_qsgd], points[row.setting]);
    row.to_best_rival = ratio(points[table.best_rival], points[row.setting]);
  }
  return table;
}

std::vector<RatePoint> mean_curve(std::span<const RateRun> runs, const std::string& setting) {
  std::vector<RatePoint> curve;
  double count = 0.0;
  for (const RateRun& run : runs) {
    if (run.setting != setting) continue;
    if (count == 0.0) curve.resize(run.points.size());
    curve.resize(std::min(curve.size(), run.points.size()));
    count += 1.0;
    for (size_t i = 0; i < curve.size(); ++i) {
      // Running means.
      const RatePoint& point = run.points[i];
      curve[i].round = point.round;
      curve[i].seconds += (point.seconds - curve[i].seconds) / count;
      curve[i].uplink_bytes += (point.uplink_bytes - curve[i].uplink_bytes) / count;
      curve[i].downlink_bytes += (point.downlink_bytes - curve[i].downlink_bytes) / count;
      curve[i].accuracy += (point.accuracy - curve[i].accuracy) / count;
    }
  }
  return curve;
}

}  // namespace runnel::bench
