// One step a tensor instead of one for all, at the same bytes: each tensor's error and bytes are found for steps around
// the common one, and Lagrange's multiplier picks from their lower convex hulls, as Kimad+ and L-GreCo do. Internal to
// decide(). Memory: the caller's scratch, and output for trial encodings where an error has no formula.
#pragma once

#include <span>

#include "runtime/base/result.h"
#include "runtime/base/static_vector.h"
#include "runtime/plan/model_spec.h"
#include "runtime/rate/rate_rule.h"

namespace runnel::rate {

struct LayerSteps {
  StaticVector<float, plan::kTensorsMax> steps;  // empty: nothing is better than the common step
  double payload_bytes = 0.0;                    // predicted, of all tensors
  double error = 0.0;                            // sum of squares
  double common_error = 0.0;                     // the same with the common step
};

// Floats of scratch and bytes of output that this takes.
size_t layer_scratch_count(const plan::CodecSpec& spec, const plan::ModelLayout& layout);
size_t layer_output_bytes(const plan::CodecSpec& spec, const plan::ModelLayout& layout);

// Steps whose payloads take at most `bytes_max` in all and whose error is less than that of `common_step`.
// REQUIRES: plan::has_step, finite values.
Result<LayerSteps> find_layer_steps(const Subject& subject, double common_step, double bytes_max);

}  // namespace runnel::rate
