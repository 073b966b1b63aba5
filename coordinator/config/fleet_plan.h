// What the person who runs a fleet decides, in one file: plan.toml.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/plan/round_plan.h"

namespace runnel::coordinator {

// How the model goes down to devices that hold an older version: docs/decisions/0006-downlink.md.
struct DownlinkSpec {
  double bits = 1.0;     // a parameter that a round's delta aims at, 0.01..16; 0 = always the full fp32 model
  float step = 0.0F;     // of every delta, a power of two in 2^-20..1, whatever its bits; 0 = found from `bits`
  uint32_t deltas = 32;  // rounds that a device may miss before it gets the full model, 1..1000

  bool quantized() const { return bits > 0.0 || step > 0.0F; }
};

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
  DownlinkSpec downlink;
  plan::RateSpec rate;
  // Of DQ-SGD's schedule: by e^-horizon does an error of the first round count less than one of the last.
  // rate.contraction follows from it and the number of rounds: see contraction_of(). 0..20.
  double horizon = 1.0;
};

// a = e^(-2 horizon / T), the contraction of one round.
inline float contraction_of(const FleetPlan& plan) {
  return static_cast<float>(std::max(0.01, std::exp(-2.0 * plan.horizon / plan.rounds)));
}

// Error::kOk, or which field is out of its range.
Failure check(const DownlinkSpec& downlink);
Failure check(const FleetPlan& plan);

// Reads plan.toml; every failure names the line, or the key and its value. Unknown keys are refused (a typing error
// must not silently become a default).
Result<FleetPlan> parse_fleet_plan(const std::string& toml);

// The codec that plan::codec_name calls so; kUnknownName.
Result<plan::CodecId> codec_from_name(std::string_view name);
// The same for plan::coder_name.
Result<plan::Coder> coder_from_name(std::string_view name);

// The same for plan::rate_mode_name and plan::schedule_name.
Result<plan::RateMode> rate_mode_from_name(std::string_view name);
Result<plan::Schedule> schedule_from_name(std::string_view name);

// The same plan as a commented file.
std::string fleet_plan_toml(const FleetPlan& plan);

}  // namespace runnel::coordinator
