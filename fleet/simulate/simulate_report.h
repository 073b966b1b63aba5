// A large simulation's result for people, as lines of text, and for scripts, as JSON.
//
// {"seed", "devices", "parameters", "command", "machine", "plan" (as a plan file), "rounds":[{"round", "at_s",
// "metric", "value" (of it), "accuracy" (where that is the metric, else null), "loss", "counted", "late", "missed",
// "uplink_bytes", "downlink_bytes" (of all devices, since the round before),
//  "bits_per_coordinate"}], "final":{"finished", "metric", "value", "accuracy", "loss", "virtual_s", "uplink_bytes",
//  "downlink_bytes",
//  ...}, "faults":{...}, "violations":[...], "wall_s", "rss_bytes_max"}
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "fleet/run_json.h"
#include "fleet/simulate/simulate_run.h"

namespace runnel::fleet {

// "accuracy 91.4 %", "rmse 0.313", or "not evaluated".
std::string quality_text(const std::optional<SimulatedTask::Quality>& quality);

// What was measured, and its value.
std::vector<std::pair<std::string, std::string>> simulate_rows(const SimulateResult& result);
std::string simulate_text(const SimulateResult& result);
std::string simulate_json(const SimulateResult& result, const RunContext& context);

// The same as one HTML file that needs nothing else. `made_at` is printed as it is.
std::string simulate_html(const SimulateResult& result, const RunContext& context, const std::string& made_at);

// Every kind of fault with how often it struck.
std::vector<std::pair<std::string, uint64_t>> fault_counts(const SimulationReport& report);

}  // namespace runnel::fleet
