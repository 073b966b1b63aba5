// What the person who runs a fleet decides, in one file: plan.toml.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/plan/round_plan.h"

namespace runnel::coordinator {

struct FleetPlan {
  uint32_t rounds = 20;         // 1..1000000
  uint64_t seed = 1;            // of everything random in the run; 0..2^63-1, which is what TOML can hold
  uint32_t min_devices = 1;     // devices that must have said hello before the first round opens; 1..1000000
  uint32_t cohort = 0;          // devices a round, 0 = every device that is there; 0..1000000
  double over_selection = 0.0;  // 0..4: this share more devices are asked, and the first `cohort` updates count
  uint32_t quorum = 1;          // fewest updates that may close a round at its deadline; 1..1000000, <= cohort if any
  double deadline_seconds = 600.0;  // a round's length at most, 0.1..31536000
  plan::TrainingSpec training;
  plan::CodecSpec codec;
};

// Error::kOk, or which field is out of its range.
Failure check(const FleetPlan& plan);

// Reads plan.toml; every failure names the line, or the key and its value. Unknown keys are refused (a typing error
// must not silently become a default).
Result<FleetPlan> parse_fleet_plan(const std::string& toml);

// The codec that plan::codec_name calls so; kUnknownName.
Result<plan::CodecId> codec_from_name(std::string_view name);
// The same for plan::coder_name.
Result<plan::Coder> coder_from_name(std::string_view name);

// The same plan as a commented file.
std::string fleet_plan_toml(const FleetPlan& plan);

}  // namespace runnel::coordinator
