#include "runtime/rate/rate_curve.h"

#include <algorithm>
#include <cmath>

#include "runtime/codec/update_codec.h"

namespace runnel::rate {

double quantized_scale(const plan::CodecSpec& spec, double norm, size_t count) {
  if (count == 0) return 0.0;
  const double scale = norm / std::sqrt(static_cast<double>(count));
  // What is sent stands for what is left out, unless that comes later.
  return spec.error_feedback ? scale : scale / static_cast<double>(spec.keep);
}

RateCurve::RateCurve(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed, double scale,
                     std::span<float> scratch)
    : spec_(spec), values_(values), seed_(seed), scale_(scale), scratch_(scratch) {
  bytes_.fill(-1.0);
}

double RateCurve::step_of(int point) const {
  return std::clamp(scale_ * std::exp2(0.5 * (point - kUnit)), 1e-30, 1e30);
}

double RateCurve::bytes_of(int point) {
  double& bytes = bytes_[static_cast<size_t>(point)];
  if (bytes < 0.0) {
    spec_.step = static_cast<float>(step_of(point));
    bytes = codec::predict_bytes(spec_, values_, seed_, scratch_);
  }
  return bytes;
}

double RateCurve::bytes_at(double step) {
  const double at = std::clamp(2.0 * std::log2(step / scale_) + kUnit, 0.0, kPoints - 1.0);
  const int below = std::min(kPoints - 2, static_cast<int>(at));
  const double share = at - below;
  if (share <= 0.0) return bytes_of(below);
  if (share >= 1.0) return bytes_of(below + 1);
  return (1.0 - share) * bytes_of(below) + share * bytes_of(below + 1);
}

}  // namespace runnel::rate
