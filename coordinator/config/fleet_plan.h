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

// When updates count: docs/rounds.md.
struct PolicySpec {
  plan::RoundPolicy policy = plan::RoundPolicy::kSync;
  double grace_seconds = 0.0;       // sync: after a round could close, uploads under way are waited for; 0..86400
  uint32_t staleness_max = 0;       // versions that an update may be behind and still count; 0..1000
  double staleness_exponent = 0.5;  // such an update counts (1 + versions behind)^-exponent; 0..10
  uint32_t buffer = 10;             // buffered: updates that move the model once (K); 1..1000000
  uint32_t offline_updates = 0;     // buffered: further updates of a device that cannot reach the coordinator; 0..16
};

// Where a plan does not say: buffered rounds are of little use without stale updates.
inline uint32_t default_staleness_max(plan::RoundPolicy policy) {
  return policy == plan::RoundPolicy::kBuffered ? 10 : 0;
}

// How the updates of a round become one.
enum class AggregationMethod : uint8_t { kMean = 0, kMedian = 1, kTrimmedMean = 2, kKrum = 3 };
inline constexpr uint8_t kAggregationMethodCount = 4;
const char* aggregation_method_name(AggregationMethod method);  // "mean", ...; never null

struct AggregationSpec {
  AggregationMethod method = AggregationMethod::kMean;
  double clip_norm = 0.0;  // an update with a larger L2 norm is scaled down to it; 0 = none; 0..1e6
  double trim = 0.1;       // trimmed mean: share that is left out at each end of a coordinate; 0..0.499
  uint32_t byzantine = 1;  // krum: devices that may lie (f); 0..1000000
  uint32_t krum_keep = 1;  // krum: updates that are averaged (m of multi-Krum); 1..1000000
};

// Fewest updates of which Krum tolerates `byzantine` lies: 2f + 3.
inline uint64_t krum_updates_min(const AggregationSpec& aggregation) {
  return 2 * uint64_t{aggregation.byzantine} + 3;
}

// How the model follows what was aggregated (Reddi et al. 2021).
enum class ServerOptimizer : uint8_t { kAvg = 0, kMomentum = 1, kAdam = 2, kYogi = 3, kAdagrad = 4 };
inline constexpr uint8_t kServerOptimizerCount = 5;
const char* server_optimizer_name(ServerOptimizer optimizer);  // "avg", "momentum", ...; never null

// Where a plan does not say: 1, but for the adaptive ones, whose step has nearly the same length whatever the
// aggregate's.
inline double default_learning_rate(ServerOptimizer optimizer) {
  return optimizer == ServerOptimizer::kAvg || optimizer == ServerOptimizer::kMomentum ? 1.0 : 0.03;
}

struct ServerSpec {
  ServerOptimizer optimizer = ServerOptimizer::kAvg;
  double learning_rate = 1.0;  // 1e-6..100
  double momentum = 0.9;       // momentum: [0, 1)
  bool nesterov = false;       // momentum: the outer Nesterov step of DiLoCo
  double beta1 = 0.9;          // adam, yogi, adagrad: [0, 1)
  double beta2 = 0.99;         // adam, yogi: [0, 1)
  double tau = 1e-3;           // adam, yogi, adagrad: adaptivity floor, 1e-9..1
};

// When a device need not be connected.
struct PaceSpec {
  bool come_back = false;           // devices with nothing to do are told when to return, and disconnect
  double come_back_seconds = 30.0;  // below this a connection is not worth giving up; 1..86400
  uint32_t ping_seconds = 300;      // silence after which a connected device asks for a sign of life; 0 = never
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
  PolicySpec policy;
  AggregationSpec aggregation;
  ServerSpec server;
  PaceSpec pace;
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
Failure check(const PolicySpec& policy);
Failure check(const AggregationSpec& aggregation);
Failure check(const ServerSpec& server);
Failure check(const PaceSpec& pace);
Failure check(const FleetPlan& plan);

// Reads plan.toml; every failure names the line, or the key and its value. Unknown keys are refused (a typing error
// must not silently become a default).
Result<FleetPlan> parse_fleet_plan(const std::string& toml);

// What a new fleet's plan begins with: the defaults, and over them what suits `model`, if that is a built-in model.
Result<FleetPlan> new_fleet_plan(std::string_view model);

// The codec that plan::codec_name calls so; kUnknownName.
Result<plan::CodecId> codec_from_name(std::string_view name);
// The same for plan::coder_name.
Result<plan::Coder> coder_from_name(std::string_view name);

// The same for plan::rate_mode_name and plan::schedule_name.
Result<plan::RateMode> rate_mode_from_name(std::string_view name);
Result<plan::Schedule> schedule_from_name(std::string_view name);
Result<plan::Optimizer> optimizer_from_name(std::string_view name);
Result<plan::RoundPolicy> round_policy_from_name(std::string_view name);
Result<AggregationMethod> aggregation_method_from_name(std::string_view name);
Result<ServerOptimizer> server_optimizer_from_name(std::string_view name);

// The same plan as a commented file.
std::string fleet_plan_toml(const FleetPlan& plan);

}  // namespace runnel::coordinator
