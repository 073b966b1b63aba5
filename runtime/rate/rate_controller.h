// Decides how a device compresses the update at hand: the rule of the round plan applied to this update, what earlier
// rounds spent, and what the link can still carry before the deadline.
//
// The rule says how fine the update should be; the deadline may only make it coarser. A coarser one is found with the
// codec's own rate model, so that the largest precision that fits is chosen. What does not fit at all is said so.
//
// A budget that is used up is not a deadline: the update is still made, at the coarsest step that a budget may choose
// (32 times the update's root mean square, about 0.1 bit a coordinate with dither, next to none without), and the bytes
// it takes are in the prediction, so that whoever asked for the budget sees by how much it is overdrawn. A pure
// function of its arguments: same update, same history, same limits, same decision. Memory: the caller's scratch and
// output buffer. Threads: no state.
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"
#include "runtime/base/static_vector.h"
#include "runtime/base/time.h"
#include "runtime/plan/model_spec.h"
#include "runtime/plan/round_plan.h"
#include "runtime/rate/goodput_estimator.h"
#include "runtime/rate/rate_history.h"

namespace runnel::rate {

inline constexpr double kUnlimited = std::numeric_limits<double>::infinity();

// What the link grants to this update.
struct LinkLimits {
  double bytes_max = kUnlimited;    // wire bytes that arrive before the deadline; kUnlimited when not known
  double round_bytes = kUnlimited;  // what the link carries in half of the round that is not training (Kimad)
  Goodput goodput;
  Duration time_left{};
  double bandwidth_mean = 0.0;  // of earlier rounds, bytes a second; 0 = unknown
  bool probe = false;           // send even what does not fit, to learn what the link carries by now
  double overhead_bytes = 0.0;  // of frames and records around the Update message
};

// What made the decision what it is.
enum class RateBound : uint8_t {
  kRule,      // as fine as the rule wants
  kDeadline,  // coarser: the link cannot carry more in time
  kCoarsest,  // not even the coarsest arrives in time
};
const char* rate_bound_name(RateBound bound);

struct RateDecision {
  plan::CodecSpec codec;  // what to encode with: step or levels set
  RateBound bound = RateBound::kRule;
  double norm = 0.0;               // ||g_t||_2
  double step = 0.0;               // Delta, of a scheme with a step; else 0
  double rule_step = 0.0;          // what the rule wanted
  double levels = 0.0;             // s_t of the rule (||g|| / Delta for a scheme with a step)
  double predicted_bytes = 0.0;    // of the Update message
  double link_bytes = kUnlimited;  // of the Update message that would arrive before the deadline
  double budget_bytes = 0.0;       // of kBudget and kKimad, for this round if all were alike; else 0
  // One step a tensor, for codec::encode_update_layers; empty = encode_update with codec.step.
  StaticVector<float, plan::kTensorsMax> steps;
  bool fits() const { return bound != RateBound::kCoarsest; }
};

// Memory that decide() needs for updates of this layout under this plan.
size_t decide_scratch_count(const plan::RoundPlan& plan, const plan::ModelLayout& layout);  // floats
size_t decide_output_bytes(const plan::RoundPlan& plan, const plan::ModelLayout& layout);   // trial encoding

// The decision for `update` (layout.parameter_count finite values; with error feedback, the residual is in it), which
// will be encoded with `seed`. kShape, kNotFinite with the tensor and index, kOutOfRange for a plan that is not valid.
Result<RateDecision> decide(const plan::RoundPlan& plan, const plan::ModelLayout& layout, std::span<const float> update,
                            const RateHistory& history, const LinkLimits& limits, uint64_t seed,
                            std::span<float> scratch, MutableByteView output);

}  // namespace runnel::rate
