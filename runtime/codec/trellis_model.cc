#include "runtime/codec/trellis_model.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/error.h"

namespace runnel::codec {
namespace {

constexpr uint32_t kTotal = 1U << kTrellisTableBits;
constexpr unsigned kLargestMax = 63;  // of |k| before the escape
constexpr unsigned kPointMax = 511;   // of |i| in the sums

// Mean magnitude at the middle of a class, of the kind that trellis_magnitude gives.
double middle_of(unsigned c) {
  const unsigned quarters = c < kTrellisSparseClasses ? 2 * c : c + kTrellisSparseClasses;
  const double root = std::sqrt(std::sqrt(2.0));
  double middle = std::ldexp(1.0, static_cast<int>(quarters / 4) - 11);
  for (unsigned k = 0; k < quarters % 4; ++k) middle *= root;
  return middle;
}

// Density of point i times a constant; `parameter` in (0, 1) grows with the scale.
class Density {
 public:
  Density(TrellisShape shape, double parameter) : shape_(shape), parameter_(parameter) {}

  // Weights of |i| = 0, 1, .. one after the other.
  double next() {
    const double weight = weight_;
    switch (shape_) {
      case TrellisShape::kGaussian:  // parameter^(i^2): the ratio of neighbours is an odd power
        weight_ *= ratio_ * parameter_;
        ratio_ *= parameter_ * parameter_;
        break;
      case TrellisShape::kLaplace:
        weight_ *= parameter_;
        break;
      case TrellisShape::kHeavy: {  // (1 + i / a)^-4
        distance_ += (1.0 - parameter_) / parameter_;
        const double square = (1.0 + distance_) * (1.0 + distance_);
        weight_ = 1.0 / (square * square);
        break;
      }
    }
    return weight;
  }

 private:
  TrellisShape shape_;
  double parameter_;
  double weight_ = 1.0;
  double ratio_ = 1.0;
  double distance_ = 0.0;
};

double mean_magnitude(TrellisShape shape, double parameter) {
  Density density(shape, parameter);
  double weights[2] = {};
  double sums[2] = {};
  for (unsigned i = 0; i <= kPointMax; ++i) {
    const double weight = density.next() * (i == 0 ? 1.0 : 2.0);
    weights[i & 1] += weight;
    sums[i & 1] += weight * (i - (i & 1));
    if (weight < 1e-12) break;
  }
  return 0.5 * (sums[0] / weights[0] + (weights[1] > 0.0 ? sums[1] / weights[1] : 0.0));
}

double parameter_for(TrellisShape shape, double mean) {
  double low = 1e-9;
  double high = 1.0 - 1e-6;
  for (int step = 0; step < 40; ++step) {
    const double middle = 0.5 * (low + high);
    (mean_magnitude(shape, middle) < mean ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

// log2(2^14 / frequency) in 1/4096, rounded: by squaring, since a library's log2 differs from machine to machine.
uint16_t cost_of(uint32_t frequency) {
  double ratio = static_cast<double>(kTotal) / frequency;
  uint32_t cost = 0;
  while (ratio >= 2.0) {
    ratio *= 0.5;
    ++cost;
  }
  for (int bit = 0; bit < 13; ++bit) {
    ratio *= ratio;
    cost = 2 * cost + (ratio >= 2.0 ? 1 : 0);
    if (ratio >= 2.0) ratio *= 0.5;
  }
  return static_cast<uint16_t>((cost + 1) / 2);
}

}  // namespace

const TrellisModel& TrellisModel::instance() {
  static const TrellisModel model;
  return model;
}

TrellisModel::TrellisModel() {
  for (unsigned c = 0; c < kTrellisClasses; ++c) {
    const double boundary = std::sqrt(middle_of(c) * middle_of(c + 1));
    upper_levels_[c] = static_cast<int64_t>(boundary * static_cast<double>(TrellisScale::kUnit * kTrellisGroup));
  }
  uint32_t used = 0;
  for (unsigned row = 0; row < kTrellisTableClasses; ++row) {
    const auto largest = static_cast<unsigned>(std::min<double>(kLargestMax, 5.0 + std::floor(4.0 * middle_of(row))));
    offsets_[row] = used;
    escapes_[row] = static_cast<uint8_t>(2 * largest + 1);
    used += escapes_[row] + 2U;
    RUNNEL_ASSERT(used <= kPool);
    for (size_t s = 0; s < kTrellisShapes; ++s) {
      const auto shape = static_cast<TrellisShape>(s);
      const double parameter = parameter_for(shape, middle_of(row));
      for (unsigned odd = 0; odd < 2; ++odd) fill(shape, row, odd, parameter);
    }
  }
}

void TrellisModel::fill(TrellisShape shape, unsigned row, unsigned odd, double parameter) {
  const unsigned escape = escapes_[row];
  // Weights by |i|; symbol s has k = 0, -1, 1, -2 .. and i = 2 k + odd.
  std::array<double, kPointMax + 1> weights{};
  Density density(shape, parameter);
  for (double& weight : weights) weight = density.next();
  double total = 0.0;
  for (unsigned i = odd; i <= kPointMax; i += 2) total += weights[i] * (i == 0 ? 1.0 : 2.0);
  double inside = 0.0;
  std::array<double, 2 * kLargestMax + 2> shares{};
  for (unsigned s = 0; s < escape; ++s) {
    const unsigned k = (s + 1) / 2;
    const unsigned point = (s & 1) != 0 ? 2 * k - odd : 2 * k + odd;
    shares[s] = total > 0.0 ? weights[point] / total : 0.0;
    inside += shares[s];
  }
  shares[escape] = std::max(0.0, 1.0 - inside);
  const TrellisTable to = table(shape, row, odd);
  const auto at = static_cast<size_t>(to.starts - starts_.data());
  std::array<uint32_t, 2 * kLargestMax + 2> frequencies{};
  uint32_t sum = 0;
  for (unsigned s = 0; s <= escape; ++s) {
    frequencies[s] = 1 + static_cast<uint32_t>(shares[s] * (kTotal - escape - 1));
    sum += frequencies[s];
  }
  frequencies[0] += kTotal - sum;
  uint32_t start = 0;
  for (unsigned s = 0; s <= escape; ++s) {
    starts_[at + s] = static_cast<uint16_t>(start);
    costs_[at + s] = cost_of(frequencies[s]);
    start += frequencies[s];
  }
  starts_[at + escape + 1] = static_cast<uint16_t>(kTotal);
  auto& pivots = pivots_[(static_cast<size_t>(shape) * kTrellisTableClasses + row) * 2 + odd];
  unsigned symbol = 0;
  for (unsigned cell = 0; cell < pivots.size(); ++cell) {
    while (starts_[at + symbol + 1] <= cell * (kTotal / pivots.size())) ++symbol;
    pivots[cell] = static_cast<uint8_t>(symbol);
  }
}

}  // namespace runnel::codec
