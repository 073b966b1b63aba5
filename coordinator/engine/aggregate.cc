#include "coordinator/engine/aggregate.h"

#include <algorithm>
#include <cmath>

namespace runnel::coordinator {
namespace {

constexpr double kGrid = 0x1.0p32;

}  // namespace

Failure Aggregate::add(std::span<const float> update, uint32_t weight) {
  if (update.size() != sums_.size()) {
    return fail(Error::kShape, "an update of %zu coordinates for a model of %zu", update.size(), sums_.size());
  }
  if (weight == 0 || weight > kWeightMax - weight_) {
    return fail(Error::kLimit, "a weight of %u, %llu more are possible in this round", weight,
                static_cast<unsigned long long>(kWeightMax - weight_));
  }
  for (size_t i = 0; i < update.size(); ++i) {
    if (std::abs(update[i]) <= kMagnitudeMax) continue;  // false for NaN
    return fail(std::isfinite(update[i]) ? Error::kOutOfRange : Error::kNotFinite,
                "coordinate %zu is %g, its magnitude may be at most %g", i, static_cast<double>(update[i]),
                static_cast<double>(kMagnitudeMax));
  }
  const auto factor = static_cast<int64_t>(weight);
  // Scaling by a power of two is exact in double, and so is the rounding to the nearest integer that follows.
  for (size_t i = 0; i < update.size(); ++i) {
    sums_[i] += factor * static_cast<int64_t>(std::nearbyint(static_cast<double>(update[i]) * kGrid));
  }
  weight_ += weight;
  return Error::kOk;
}

Failure Aggregate::merge(const Aggregate& other) {
  if (other.sums_.size() != sums_.size()) {
    return fail(Error::kShape, "sums of %zu coordinates for a model of %zu", other.sums_.size(), sums_.size());
  }
  if (other.weight_ > kWeightMax - weight_) return fail(Error::kLimit, "the merged weight would exceed 2^24");
  for (size_t i = 0; i < sums_.size(); ++i) sums_[i] += other.sums_[i];
  weight_ += other.weight_;
  return Error::kOk;
}

void Aggregate::apply(std::span<float> model) const {
  RUNNEL_ASSERT(model.size() == sums_.size() && weight_ > 0);
  const double scale = 1.0 / kGrid;
  const auto weight = static_cast<double>(weight_);
  for (size_t i = 0; i < model.size(); ++i) {
    const double mean = static_cast<double>(sums_[i]) * scale / weight;
    model[i] = static_cast<float>(static_cast<double>(model[i]) + mean);
  }
}

void Aggregate::mean(std::span<double> values) const {
  RUNNEL_ASSERT(values.size() == sums_.size() && weight_ > 0);
  const double scale = 1.0 / kGrid;
  const auto weight = static_cast<double>(weight_);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(sums_[i]) * scale / weight;
}

double Aggregate::mean_energy() const {
  RUNNEL_ASSERT(weight_ > 0);
  const double scale = 1.0 / kGrid / static_cast<double>(weight_);
  double energy = 0.0;
  for (const int64_t sum : sums_) {
    const double mean = static_cast<double>(sum) * scale;
    energy += mean * mean;
  }
  return energy;
}

void Aggregate::reset() {
  std::fill(sums_.begin(), sums_.end(), 0);
  weight_ = 0;
}

}  // namespace runnel::coordinator
