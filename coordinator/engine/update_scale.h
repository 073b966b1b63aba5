// By how much an update's values are multiplied before it is aggregated: its staleness and its norm decide.
//
//   scale = (1 + s)^-exponent * min(1, clip_norm / norm)
//
// s versions behind (FedBuff: Nguyen et al. 2022), clipped to an L2 norm as in Sun et al. 2019, "Can you
// really backdoor federated learning?". The norm is the one that the device sent: clipping comes first and staleness
// after it, so that a stale update has less influence than a fresh one however large it claims to be.
// The weight of an update stays what it was, so scaled updates also move the model less in all.
#pragma once

#include <cstdint>
#include <span>

#include "coordinator/config/fleet_plan.h"

namespace runnel::coordinator {

// (1 + versions_behind)^-exponent: exactly 1 for 0 versions, exactly 1/sqrt(1 + versions_behind) for an exponent of
// 1/2. Rounded to fp32, so that libraries whose pow() differs in the last bit of a double agree.
float staleness_factor(uint64_t versions_behind, double exponent);

// min(1, clip_norm / norm); 1 when clip_norm is 0. REQUIRES: norm >= 0.
float clip_factor(double clip_norm, double norm);

// The product of both; exactly 1 when there is nothing to scale. `norm` is of the decoded update.
float update_scale(const FleetPlan& plan, uint64_t versions_behind, double norm);

// value *= scale; for a scale of 1 the values are not touched.
void scale_update(std::span<float> values, float scale);

}  // namespace runnel::coordinator
