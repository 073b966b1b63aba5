#include "fleet/simulate/simulate_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "fleet/text_format.h"

namespace runnel::fleet {
namespace {

using nlohmann::ordered_json;

struct Sums {
  uint64_t counted = 0, late = 0, missed = 0;
  uint64_t uplink_bytes = 0, downlink_bytes = 0;
};

Sums sums_of(const SimulationReport& report) {
  Sums sums;
  for (const SimulatedRound& round : report.history) {
    sums.counted += round.counted;
    sums.late += round.late;
    sums.missed += round.missed.size();
  }
  if (!report.history.empty()) {
    sums.uplink_bytes = report.history.back().uplink_total;
    sums.downlink_bytes = report.history.back().downlink_total;
  }
  return sums;
}

double median_round_s(const SimulationReport& report) {
  std::vector<double> lengths;
  Duration before{};
  for (const SimulatedRound& round : report.history) {
    lengths.push_back(static_cast<double>((round.closed_at - before).count()) / 1e6);
    before = round.closed_at;
  }
  if (lengths.empty()) return 0.0;
  std::nth_element(lengths.begin(), lengths.begin() + static_cast<std::ptrdiff_t>(lengths.size() / 2), lengths.end());
  return lengths[lengths.size() / 2];
}

std::string per_device(uint64_t bytes, uint32_t devices) {
  return format_bytes(bytes / std::max(devices, 1U)) + " a device, " + format_bytes(bytes) + " in all";
}

ordered_json accuracy_json(const std::optional<SimulatedTask::Quality>& quality) {
  if (!quality || quality->metric != plan::Metric::kAccuracy) return nullptr;
  return quality->value;
}

}  // namespace

std::string quality_text(const std::optional<SimulatedTask::Quality>& quality) {
  if (!quality) return "not evaluated";
  const std::string metric = plan::metric_name(quality->metric);
  return metric + " " + format_metric(metric, quality->value);
}

std::vector<std::pair<std::string, uint64_t>> fault_counts(const SimulationReport& report) {
  return {{"connections cut", report.cuts},
          {"partitions", report.partitions},
          {"device crashes", report.device_crashes},
          {"coordinator crashes", report.coordinator_crashes},
          {"full disks", report.disks_filled},
          {"clock jumps", report.clock_jumps},
          {"devices kept from training or from the link", report.gates},
          {"frames lost", report.frames_lost},
          {"frames repeated", report.frames_repeated},
          {"frames delayed", report.frames_delayed},
          {"hostile frames", report.hostile_frames}};
}

std::vector<std::pair<std::string, std::string>> simulate_rows(const SimulateResult& result) {
  const SimulateOptions& options = result.options;
  const SimulationReport& report = result.report;
  const Sums sums = sums_of(report);
  std::vector<std::pair<std::string, std::string>> rows;
  rows.emplace_back("Fleet", format_count(options.devices) + " devices, " + format_count(result.parameters) +
                                 " parameters, seed " + std::to_string(options.plan.seed));
  rows.emplace_back("Rounds", std::to_string(report.rounds) + " of " + std::to_string(options.plan.rounds) + ", " +
                                  plan::round_policy_name(options.plan.policy.policy) +
                                  (report.finished ? "" : "; not finished"));
  std::optional<SimulatedTask::Quality> newest;
  for (const auto& quality : result.quality) {
    if (quality.has_value()) newest = quality;
  }
  const std::string metric = plan::metric_name(newest ? newest->metric : plan::Metric::kAccuracy);
  rows.emplace_back("Test " + metric, format_metric(metric, newest ? std::optional(newest->value) : std::nullopt));
  rows.emplace_back("Time", format_duration(static_cast<double>(report.elapsed.count()) / 1e6) + ", a round " +
                                format_duration(median_round_s(report)) + " (median)");
  rows.emplace_back("Updates", format_count(sums.counted) + " counted, " + format_count(sums.late) + " of them late; " +
                                   format_count(sums.missed) + " asked for in vain");
  rows.emplace_back("Sent up", per_device(sums.uplink_bytes, options.devices));
  rows.emplace_back("Sent down", per_device(sums.downlink_bytes, options.devices));
  rows.emplace_back("Models",
                    format_count(report.models_sent) + " in full, " + format_count(report.deltas_sent) + " as a delta");
  std::string faults;
  for (const auto& [what, count] : fault_counts(report)) {
    if (count != 0) faults += (faults.empty() ? "" : ", ") + format_count(count) + " " + what;
  }
  rows.emplace_back("Faults", faults.empty() ? "none" : faults);
  rows.emplace_back("Broken promises", std::to_string(report.violations.size()));
  rows.emplace_back("Simulated in",
                    format_duration(result.wall_seconds) + ", " + format_bytes(result.rss_bytes_max) + " of memory");
  return rows;
}

std::string simulate_text(const SimulateResult& result) {
  std::string text;
  for (const auto& [what, value] : simulate_rows(result)) text += fit_left(what, 17) + value + "\n";
  for (const std::string& violation : result.report.violations) text += "  " + violation + "\n";
  return text;
}

std::string simulate_json(const SimulateResult& result, const RunContext& context) {
  const SimulationReport& report = result.report;
  const Sums sums = sums_of(report);
  ordered_json rounds = ordered_json::array();
  uint64_t up = 0, down = 0;
  for (size_t i = 0; i < report.history.size(); ++i) {
    const SimulatedRound& round = report.history[i];
    const auto& quality = result.quality[i];
    rounds.push_back({{"round", round.round},
                      {"at_s", static_cast<double>(round.closed_at.count()) / 1e6},
                      {"metric", quality ? ordered_json(plan::metric_name(quality->metric)) : ordered_json(nullptr)},
                      {"value", quality ? ordered_json(quality->value) : ordered_json(nullptr)},
                      {"accuracy", accuracy_json(quality)},
                      {"loss", quality ? ordered_json(quality->loss) : ordered_json(nullptr)},
                      {"counted", round.counted},
                      {"late", round.late},
                      {"missed", round.missed.size()},
                      {"uplink_bytes", round.uplink_total - up},
                      {"downlink_bytes", round.downlink_total - down},
                      {"bits_per_coordinate", round.bits_per_coordinate}});
    up = round.uplink_total;
    down = round.downlink_total;
  }
  ordered_json faults;
  for (const auto& [what, count] : fault_counts(report)) faults[what] = count;
  ordered_json last;
  last["finished"] = report.finished;
  for (const auto& quality : result.quality) {
    if (!quality.has_value()) continue;
    last["metric"] = plan::metric_name(quality->metric);
    last["value"] = quality->value;
    last["accuracy"] = accuracy_json(quality);
    last["loss"] = quality->loss;
  }
  last["virtual_s"] = static_cast<double>(report.elapsed.count()) / 1e6;
  last["counted"] = sums.counted;
  last["late"] = sums.late;
  last["missed"] = sums.missed;
  last["uplink_bytes"] = sums.uplink_bytes;
  last["downlink_bytes"] = sums.downlink_bytes;
  last["models_sent"] = report.models_sent;
  last["deltas_sent"] = report.deltas_sent;
  const SimulateOptions& options = result.options;
  ordered_json all;
  all["seed"] = options.plan.seed;
  all["devices"] = options.devices;
  all["parameters"] = result.parameters;
  all["links"] = options.trace_file.empty() ? options.profile : options.trace_file;
  all["online_share"] = options.online_share;
  all["command"] = context.command;
  all["machine"] = context.machine;
  all["plan"] = coordinator::fleet_plan_toml(options.plan);
  all["rounds"] = std::move(rounds);
  all["final"] = std::move(last);
  all["faults"] = std::move(faults);
  all["violations"] = report.violations;
  all["wall_s"] = result.wall_seconds;
  all["rss_bytes_max"] = result.rss_bytes_max;
  return all.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace runnel::fleet
