// The rules by name: how fine an update should be, before a deadline is asked. Internal to decide().
// Threads: values only. Memory: the caller's.
#pragma once

#include <span>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"
#include "runtime/plan/model_spec.h"
#include "runtime/plan/round_plan.h"
#include "runtime/rate/rate_controller.h"
#include "runtime/rate/rate_history.h"

namespace runnel::rate {

// All that decide() knows of the update at hand.
struct Subject {
  const plan::RoundPlan& plan;
  const plan::ModelLayout& layout;
  std::span<const float> values;
  RateHistory history;  // of this run, or empty
  const LinkLimits& limits;
  uint64_t seed = 0;
  std::span<float> scratch;
  MutableByteView output;
  double norm = 0.0;
  double range = 0.0;           // largest value less the smallest
  double overhead_bytes = 0.0;  // of an Update message beyond its payloads

  double count() const { return static_cast<double>(values.size()); }
  uint32_t rounds_left() const { return plan.rounds - plan.round + 1; }
};

// Payload bytes with this spec: by the rate model for a scheme with a step, else by encoding.
Result<double> payload_bytes(const Subject& subject, const plan::CodecSpec& spec);

// The largest levels in 1..levels, or eden's widest bits in 0.1..bits, with which the payload takes at most
// `bytes_max`; the least if none does. A codec that has neither stays as it is.
Result<plan::CodecSpec> finest_within(const Subject& subject, plan::CodecSpec spec, double bytes_max);

// Payload bytes that a budget leaves for this round if all rounds are alike; may be negative.
double even_share_bytes(const Subject& subject);

// The coarsest step that the update can bear: `ratio` times its root mean square for schemes whose noise does not
// depend on the update (dithered, trellis), less with error feedback; no limit for the others.
double noisy_step_max(const Subject& subject, double ratio);

// The step that the rule wants, in [1e-30, 1e30]. REQUIRES: plan::has_step.
double rule_step(const Subject& subject);

// The codec's parameters that the rule wants, for one without a step, and in `levels` what they were before rounding.
Result<plan::CodecSpec> rule_spec(const Subject& subject, double& levels);

}  // namespace runnel::rate
