// Payload bytes of one update as a function of its step: the codec's rate model at half octaves, each point found when
// it is first asked for, and interpolated between. Memory: fixed. Threads: one at a time.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "runtime/plan/round_plan.h"

namespace runnel::rate {

// The scale of what the quantizer will see, values that are left out apart: their root mean square.
double quantized_scale(const plan::CodecSpec& spec, double norm, size_t count);

class RateCurve {
 public:
  // REQUIRES: plan::has_step(spec.codec), finite values that are not all zero, scratch as for encode_tensor; all of
  // them outlive this.
  RateCurve(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed, double scale,
            std::span<float> scratch);

  // Interpolated; beyond the ends of the curve what its end says. Falls with the step, to within the model's accuracy.
  double bytes_at(double step);

  double finest() const { return step_of(0); }
  double coarsest() const { return step_of(kPoints - 1); }

 private:
  static constexpr int kPoints = 35;
  static constexpr int kUnit = 24;  // the point whose step is the scale; 12 octaves below are 14 bits a coordinate

  double step_of(int point) const;
  double bytes_of(int point);

  plan::CodecSpec spec_;
  std::span<const float> values_;
  uint64_t seed_;
  double scale_;
  std::span<float> scratch_;
  std::array<double, kPoints> bytes_;
};

}  // namespace runnel::rate
