#include "runtime/codec/model_tables.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/error.h"

namespace runnel::codec {
namespace {

// The standard normal distribution function for z = 0, 1/64, ..., 8: Simpson's rule over the density, which follows
// from its own ratios.
constexpr size_t kNormalPoints = 8 * 64 + 1;
constexpr double kRatioOfRatios = 0.9999389667063573;  // exp(-h^2), h = 1/128
constexpr double kFirstRatio = 0.9999694828875315;     // exp(-h^2 / 2)

constexpr std::array<double, kNormalPoints> make_normal() {
  std::array<double, kNormalPoints> table{};
  double density = 0.39894228040143268;
  double ratio = kFirstRatio;
  double sum = 0.5;
  for (size_t i = 0; i < kNormalPoints; ++i) {
    table[i] = sum;
    const double middle = density * ratio;
    ratio *= kRatioOfRatios;
    const double next = middle * ratio;
    ratio *= kRatioOfRatios;
    sum += (density + 4.0 * middle + next) / (6.0 * 64.0);
    density = next;
  }
  return table;
}

constexpr std::array<double, kNormalPoints> kNormal = make_normal();

double normal(double z) {
  const double distance = std::abs(z) * 64.0;
  double value = 1.0;
  if (distance < static_cast<double>(kNormalPoints - 1)) {
    const auto i = static_cast<size_t>(distance);
    value = kNormal[i] + (distance - static_cast<double>(i)) * (kNormal[i + 1] - kNormal[i]);
  }
  return z < 0.0 ? 1.0 - value : value;
}

// A Gaussian whose scale is uncertain: exp(spread * t) for t = -2 .. 2 with normal weights.
constexpr size_t kParts = 5;
constexpr double kWeights[kParts] = {0.05448868, 0.24420134, 0.40261996, 0.24420134, 0.05448868};
constexpr double kScales[kShapes][kParts] = {
    {1.0, 1.0, 1.0, 1.0, 1.0},
    {0.5488116361, 0.7408182207, 1.0, 1.349858808, 1.8221188},       // spread 0.3
    {0.3328710837, 0.5769498104, 1.0, 1.733253018, 3.004166024},     // spread 0.55
    {0.201896518, 0.4493289641, 1.0, 2.225540928, 4.953032424},      // spread 0.8
    {0.1108031584, 0.3328710837, 1.0, 3.004166024, 9.025013499},     // spread 1.1
    {0.04978706837, 0.2231301601, 1.0, 4.48168907, 20.08553692},     // spread 1.5
    {0.01831563889, 0.1353352832, 1.0, 7.389056099, 54.59815003},    // spread 2
    {0.005516564421, 0.07427357821, 1.0, 13.46373804, 181.2722419},  // spread 2.6
};
constexpr double kMeanOfHalfNormal = 0.79788456080286536;

class Density {
 public:
  // `mean` of |x|.
  Density(unsigned shape, double mean) : parts_(shape == 0 ? 1 : kParts) {
    double factor = 0.0;
    for (size_t i = 0; i < kParts; ++i) factor += kWeights[i] * kScales[shape][i];
    for (size_t i = 0; i < kParts; ++i) inverse_[i] = factor * kMeanOfHalfNormal / mean / kScales[shape][i];
  }
  double below(double x) const {
    if (parts_ == 1) return normal(x * inverse_[0]);
    double sum = 0.0;
    for (size_t i = 0; i < kParts; ++i) sum += kWeights[i] * normal(x * inverse_[i]);
    return sum;
  }

 private:
  double inverse_[kParts];
  size_t parts_;
};

// The means of |x| in steps: octaves from 2^-9, half octaves from 2^-4, quarter octaves from 1/4 to below 8.
double mean_of_class(unsigned c) {
  constexpr double kQuarter[4] = {1.0, 1.1892071150027210, 1.4142135623730951, 1.6817928305074292};
  if (c < 5) return std::ldexp(1.0, static_cast<int>(c) - 9);
  if (c < 5 + 4) return std::ldexp(kQuarter[(c - 5) % 2 * 2], -4 + static_cast<int>(c - 5) / 2);
  return std::ldexp(kQuarter[(c - 9) % 4], -2 + static_cast<int>(c - 9) / 4);
}

constexpr double kTail = 1.0 / 8192;  // indices rarer than this, all together, share the outermost symbols

}  // namespace

ModelTables::ModelTables(unsigned shape, const Cells& cells) : shape_(shape), cells_(cells) {
  std::array<float, kClassesAll> means;
  for (unsigned c = 0; c < kClasses; ++c) {
    // With dither the index is right on average: E|index| = E|x|.
    double mean = mean_of_class(c);
    if (!cells.dithered) {
      // E|index| is the sum of P(|index| >= k) over k > 0.
      const Density density(shape, mean_of_class(c));
      mean = 0.0;
      for (int k = 1; k <= 4 * kReachMax; ++k) {
        const double above = 2.0 * (1.0 - density.below(k - double{cells.rounding}));
        mean += above;
        if (above < 1e-6) break;
      }
      mean = std::max(mean, std::ldexp(1.0, static_cast<int>(c) - 40));  // still ascending where it vanishes
    }
    means[c] = static_cast<float>(mean);
  }
  for (unsigned c = kClasses; c < kClassesAll; ++c) means[c] = means[c - 4] * 2.0F;
  for (unsigned c = 0; c + 1 < kClassesAll; ++c) upper_[c] = std::sqrt(means[c] * means[c + 1]);
  upper_[kClassesAll - 1] = 3e38F;
}

void ModelTables::make(unsigned table) {
  const Density density(shape_, mean_of_class(table));
  int reach = 1;
  while (reach < kReachMax && 1.0 - density.below(reach) > kTail) ++reach;
  const int first = -16 * reach - 16 + 1;  // of k = -reach + 1 at v = 31, to k = reach + 1 at v = 0
  const int last = 16 * reach + 16 - 1;
  const auto length = static_cast<size_t>(last - first + 1);
  RUNNEL_ASSERT(used_ + length <= pool_.size());
  classes_[table] = {static_cast<uint16_t>(used_ + static_cast<size_t>(-first)), static_cast<int16_t>(reach)};
  // One more every sixteen keeps every symbol possible.
  const int room = static_cast<int>(kProbabilityOne) - (last - first) / 16 - 2;
  uint16_t* const zero = &pool_[classes_[table].zero];
  const auto put = [&](int m, double below) {
    if (m < first) return;  // the mirror of the last
    zero[m] = static_cast<uint16_t>(1 + (m - first) / 16 + static_cast<int>(below * room));
  };
  if (cells_.dithered) {
    // The distribution is symmetric: what is below -x is above x.
    for (int m = 0; m <= last; ++m) {
      const double below = density.below((m + 0.5) / 16.0);
      put(m, below);
      put(-1 - m, 1.0 - below);
    }
  } else {
    // All dithers of a row have the same threshold: row k is m = 16k - 16 .. 16k - 1.
    for (int k = 1; k <= reach + 1; ++k) {
      const double below = density.below(k - double{cells_.rounding});
      for (int m = 16 * k - 16; m < 16 * k; ++m) {
        put(m, below);
        put(-1 - m, 1.0 - below);
      }
    }
  }
  used_ += length;
}

unsigned ModelTables::class_of(float mean) const {
  const auto* const end = upper_.data() + kClassesAll - 1;
  return static_cast<unsigned>(std::upper_bound(upper_.data(), end, mean) - upper_.data());
}

}  // namespace runnel::codec
