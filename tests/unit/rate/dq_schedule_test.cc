// The schedule against the figures that its derivation was checked with, and against the exact optimum.
#include "runtime/rate/dq_schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace runnel::rate {
namespace {

constexpr double kInfinity = 1e300;

// ||g_t|| = decay^t.
std::vector<double> falling_norms(uint32_t rounds, double decay) {
  std::vector<double> norms(rounds);
  for (uint32_t t = 0; t < rounds; ++t) norms[t] = std::pow(decay, t);
  return norms;
}

double uniform_levels(double bits) {
  return std::exp2(bits - 1.0) - 1.0;
}

struct Bits {
  double mean = 0.0;
  double first = 0.0;
  double last = 0.0;
};

Bits bits_of(const std::vector<double>& levels) {
  Bits result{0.0, bits(levels.front()), bits(levels.back())};
  for (const double s : levels) result.mean += bits(s) / static_cast<double>(levels.size());
  return result;
}

// The positive root of s^3 / (s + 1) = y.
double exact_levels(double y) {
  double low = 0.0;
  double high = 1.0 + y + std::sqrt(y);
  for (int i = 0; i < 200; ++i) {
    const double s = 0.5 * (low + high);
    (s * s * s / (s + 1.0) < y ? low : high) = s;
  }
  return low;
}

// The levels that KKT's conditions ask for, with the error `eps_q`.
std::vector<double> exact_schedule(const Horizon& horizon, const std::vector<double>& norms, uint64_t d, double eps_q) {
  std::vector<double> levels(norms.size());
  double low = -60.0;
  double high = 60.0;
  for (int i = 0; i < 100; ++i) {
    const double log_lambda = 0.5 * (low + high);
    for (uint32_t t = 0; t < norms.size(); ++t) {
      levels[t] = exact_levels(std::exp(log_lambda + log_weight(horizon, t)) * norms[t] * norms[t]);
    }
    (weighted_error(horizon, norms, levels, d) > eps_q ? low : high) = log_lambda;
  }
  return levels;
}

struct Row {
  double contraction, decay, fixed_bits;
  double closed, exact, first, last;
};

constexpr Row kRows[] = {
    {0.98, 0.99, 4.0, 4.000, 4.000, 3.99, 4.01},
    {0.98, 0.998, 4.0, 3.768, 3.767, 2.83, 4.79},
    {0.98, 1.0, 5.0, 4.613, 4.613, 3.34, 5.97},
    {0.95, 0.995, 4.0, 3.027, 3.003, 1.41, 5.39},
};

TEST(DqSchedule, BitsAreThoseOfTheDerivation) {
  constexpr uint64_t kCoordinates = 1000;
  for (const Row& row : kRows) {
    const Horizon horizon{200, row.contraction, {}, false};
    const std::vector<double> norms = falling_norms(200, row.decay);
    const std::vector<double> fixed(200, uniform_levels(row.fixed_bits));
    const double eps_q = weighted_error(horizon, norms, fixed, kCoordinates);
    const double k = k_for_error(200, kCoordinates, eps_q);
    std::vector<double> closed(200);
    for (uint32_t t = 0; t < 200; ++t) closed[t] = levels(k, log_weight(horizon, t), norms[t]);
    const Bits got = bits_of(closed);
    EXPECT_NEAR(got.mean, row.closed, 0.001) << row.contraction;
    EXPECT_NEAR(got.first, row.first, 0.01) << row.contraction;
    EXPECT_NEAR(got.last, row.last, 0.01) << row.contraction;
    // The constraint is met with equality, not only kept.
    EXPECT_NEAR(weighted_error(horizon, norms, closed, kCoordinates) / eps_q, 1.0, 1e-9);
    const Bits optimum = bits_of(exact_schedule(horizon, norms, kCoordinates, eps_q));
    EXPECT_NEAR(optimum.mean, row.exact, 0.001) << row.contraction;
    EXPECT_GE(got.mean - optimum.mean, -1e-9);
    EXPECT_NEAR(got.mean - optimum.mean, row.closed - row.exact, 0.0015) << row.contraction;
  }
}

TEST(DqSchedule, SavesNothingWhereNormsFallAsErrorsDo) {
  const Horizon horizon{200, 0.98, {}, false};
  const std::vector<double> norms = falling_norms(200, std::sqrt(0.98));
  const double eps_q = weighted_error(horizon, norms, std::vector<double>(200, 7.0), 1);
  const double k = k_for_error(200, 1, eps_q);
  for (uint32_t t = 0; t < 200; ++t) EXPECT_NEAR(levels(k, log_weight(horizon, t), norms[t]), 7.0, 1e-6);
}

TEST(DqSchedule, LevelsAndStepsAreTheSameSchedule) {
  const Horizon horizon{50, 0.9, {}, false};
  for (uint32_t t = 0; t < 50; ++t) {
    const double log_c = log_weight(horizon, t);
    EXPECT_NEAR(log_c, (49.0 - t) * std::log(0.9), 1e-12);
    EXPECT_NEAR(levels(20.0, log_c, 3.0), 3.0 / step(1.0 / 20.0, log_c), 1e-9);
  }
  EXPECT_NEAR(step(0.5, log_weight(horizon, 49)), 0.5, 1e-12);
  EXPECT_NEAR(step(0.5, log_weight(horizon, 47)), 0.5 / 0.9, 1e-9);
}

TEST(DqSchedule, TheStepOfAnErrorCausesThatError) {
  const Horizon horizon{30, 0.93, {}, false};
  const double step_end = step_end_for_error(30, 5000, 0.7);
  double sum = 0.0;
  for (uint32_t t = 0; t < 30; ++t) {
    const double log_c = log_weight(horizon, t);
    sum += std::exp(log_c) * 5000.0 * std::pow(step(step_end, log_c), 2) / 12.0;
  }
  EXPECT_NEAR(sum, 0.7, 1e-9);
}

// A round with a small learning rate contracts less, and, for gradients, its errors weigh less.
TEST(DqSchedule, ATenthOfTheLearningRateCoarsensGradientsTenfoldAndUpdatesNot) {
  std::vector<double> rates(20, 0.5);
  for (size_t t = 10; t < 20; ++t) rates[t] = 0.05;
  const Horizon gradients{20, 1.0, rates, true};
  const Horizon updates{20, 1.0, rates, false};
  const double before = step(1.0, log_weight(gradients, 9));
  const double after = step(1.0, log_weight(gradients, 10));
  EXPECT_NEAR(after / before, 10.0, 1e-9);
  EXPECT_NEAR(step(1.0, log_weight(updates, 10)) / step(1.0, log_weight(updates, 9)), 1.0, 1e-12);

  const Horizon contracting{20, 0.9, rates, false};
  EXPECT_NEAR(log_weight(contracting, 18), 0.1 * std::log(0.9), 1e-12);
  EXPECT_NEAR(log_weight(contracting, 8), 1.0 * std::log(0.9) + 10 * 0.1 * std::log(0.9), 1e-12);
}

TEST(DqSchedule, ALearningRateOfZeroLeavesFiniteSteps) {
  const std::vector<double> rates = {0.1, 0.05, 0.0};
  const Horizon horizon{3, 0.9, rates, true};
  for (uint32_t t = 0; t < 3; ++t) EXPECT_TRUE(std::isfinite(step(1.0, log_weight(horizon, t))));
}

TEST(DqSchedule, BitsOfABudgetAddUpToIt) {
  const Horizon horizon{100, 0.97, {}, false};
  const std::vector<double> norms = falling_norms(100, 0.99);
  for (const uint32_t first : {0U, 40U, 99U}) {
    const std::vector<double> left(norms.begin() + first, norms.end());
    const double total = 4.2 * static_cast<double>(left.size());
    const double k = k_for_bits(horizon, first, left, total, 2.0, 16.0);
    double sum = 0.0;
    for (uint32_t t = first; t < 100; ++t) {
      sum += std::min(16.0, std::max(2.0, bits(levels(k, log_weight(horizon, t), norms[t]))));
    }
    EXPECT_NEAR(sum, total, 1e-6);
  }
  // What cannot be reached: the extreme, not a loop without end.
  EXPECT_LT(k_for_bits(horizon, 0, norms, 100.0, 2.0, 16.0), 1e-100);
  EXPECT_GT(k_for_bits(horizon, 0, norms, 1e9, 2.0, 16.0), 1e100);
}

// Links of 1 and 8, turn by turn, at the error of 5 bits: a time unit is one bit a coordinate over a link of 1.
TEST(DqSchedule, FinerOverFastLinksSavesTime) {
  constexpr uint32_t kRounds = 400;
  const Horizon horizon{kRounds, 0.9995, {}, false};
  const std::vector<double> norms = falling_norms(kRounds, 0.999);
  const auto bandwidth = [](uint32_t t) { return t % 2 == 0 ? 1.0 : 8.0; };
  const double eps_q = weighted_error(horizon, norms, std::vector<double>(kRounds, 15.0), 1);
  // Each round's share of the error is 1 / W_t, so the mean bandwidth of the factor is the harmonic one.
  double sum = 0.0;
  for (uint32_t t = 0; t < kRounds; ++t) sum += 1.0 / bandwidth(t);
  const double mean = kRounds / sum;
  const double k = k_for_error(kRounds, 1, eps_q);
  double fixed = 0.0;
  double unaware = 0.0;
  double aware = 0.0;
  double slow_bits = 0.0;
  double fast_bits = 0.0;
  std::vector<double> chosen(kRounds);
  for (uint32_t t = 0; t < kRounds; ++t) {
    const double s = levels(k, log_weight(horizon, t), norms[t]);
    chosen[t] = s / bandwidth_factor(bandwidth(t), mean);
    fixed += 5.0 / bandwidth(t);
    unaware += bits(s) / bandwidth(t);
    aware += bits(chosen[t]) / bandwidth(t);
    (t % 2 == 0 ? slow_bits : fast_bits) += bits(chosen[t]) / (kRounds / 2.0);
  }
  EXPECT_NEAR(weighted_error(horizon, norms, chosen, 1) / eps_q, 1.0, 0.01);
  EXPECT_NEAR(fixed, 1125.0, 1e-6);
  EXPECT_NEAR(unaware, 1122.8, 0.15);
  EXPECT_NEAR(aware, 1071.7, 0.15);
  EXPECT_NEAR(slow_bits, 4.60, 0.015);
  EXPECT_NEAR(fast_bits, 6.04, 0.015);
}

TEST(DqSchedule, TheBandwidthFactorIsBounded) {
  EXPECT_DOUBLE_EQ(bandwidth_factor(0.0, 100.0), 1.0);
  EXPECT_DOUBLE_EQ(bandwidth_factor(100.0, 0.0), 1.0);
  EXPECT_DOUBLE_EQ(bandwidth_factor(25.0, 100.0), 2.0);
  EXPECT_DOUBLE_EQ(bandwidth_factor(1.0, kInfinity), 8.0);
  EXPECT_DOUBLE_EQ(bandwidth_factor(kInfinity, 1.0), 0.125);
}

}  // namespace
}  // namespace runnel::rate
