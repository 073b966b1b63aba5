// The results of rate_bench: a table for a terminal or a document, JSON with every round, one HTML page with curves.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "bench/rate_run.h"
#include "bench/rate_summary.h"

namespace runnel::bench {

struct RateReport {
  std::string machine;
  std::string command;
  std::string task;         // "fashion"
  std::string description;  // a line: model, devices, links, rounds
  std::vector<RateRun> runs;
};

std::string rate_markdown(const RateReport& report);

// {"machine", "command", "task", "description", "targets": {seed: accuracy}, "best_qsgd", "best_rival",
//  "summary": [{"setting", "kind", "runs", "reached", "rounds", "uplink_bytes", "total_bytes", "seconds", "missed",
//  "missed_before", "final_accuracy", "bits_per_coordinate", "to_fp32", "to_best_qsgd", "to_best_rival"}],
//  "runs": [{"setting", "seed", "cuts", "failure", "cpu_seconds", "points": [{"round", "seconds", "uplink_bytes",
//  "downlink_bytes", "accuracy", "mean_loss", "bits_per_coordinate", "counted", "missed", "absent"}]}]};
// what nobody reached is null.
std::string rate_json(const RateReport& report);

std::string rate_html(const RateReport& report);

// Accuracy over uplink bytes a device, or over virtual time (seconds): mean curves of all settings, x logarithmic.
enum class CurveAxis : uint8_t { kUplinkBytes, kSeconds };
std::string accuracy_chart(std::span<const RateRun> runs, CurveAxis axis);

}  // namespace runnel::bench
