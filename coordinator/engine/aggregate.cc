#include "coordinator/engine/aggregate.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace runnel::coordinator {
namespace {

constexpr double kGrid = 0x1.0p32;
// A double of this size counts in ones, so adding it rounds to the nearest integer (ties to even, as nearbyint() does),
// and the lowest bits of the sum are that integer: no call, and the compiler makes vectors of it. For magnitudes below
// 2^51; those here stay below 2^40.
constexpr double kRounds = 0x1.8p52;

int64_t to_grid(float value) {
  const double rounded = static_cast<double>(value) * kGrid + kRounds;  // the product is exact
  return std::bit_cast<int64_t>(rounded) - std::bit_cast<int64_t>(kRounds);
}

// Without a branch a coordinate: where a bad one is matters only if there is one.
bool all_within(std::span<const float> values, float magnitude_max) {
  unsigned outside = 0;
  for (const float value : values) outside |= static_cast<unsigned>(!(std::abs(value) <= magnitude_max));  // also NaN
  return outside == 0;
}

}  // namespace

Failure Aggregate::add(std::span<const float> update, uint32_t weight) {
  if (update.size() != sums_.size()) {
    return fail(Error::kShape, "an update of %zu coordinates for a model of %zu", update.size(), sums_.size());
  }
  if (weight == 0 || weight > kWeightMax - weight_) {
    return fail(Error::kLimit, "a weight of %u, %llu more are possible in this round", weight,
                static_cast<unsigned long long>(kWeightMax - weight_));
  }
  if (!all_within(update, kMagnitudeMax)) {
    const auto bad =
        std::find_if(update.begin(), update.end(), [](float v) { return !(std::abs(v) <= kMagnitudeMax); });
    return fail(std::isfinite(*bad) ? Error::kOutOfRange : Error::kNotFinite,
                "coordinate %zu is %g, its magnitude may be at most %g", static_cast<size_t>(bad - update.begin()),
                static_cast<double>(*bad), static_cast<double>(kMagnitudeMax));
  }
  const auto factor = static_cast<int64_t>(weight);
  for (size_t i = 0; i < update.size(); ++i) sums_[i] += factor * to_grid(update[i]);
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
