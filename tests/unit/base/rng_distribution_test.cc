// That the numbers are spread as they should be. Seeds are fixed, and each bound is about five standard errors wide.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "runtime/base/rng.h"

namespace runnel {
namespace {

struct Moments {
  double mean = 0.0;
  double variance = 0.0;
};

template <typename Draw>
Moments moments_of(size_t count, Draw draw) {
  double sum = 0.0;
  double squares = 0.0;
  for (size_t i = 0; i < count; ++i) {
    const double value = draw(i);
    sum += value;
    squares += value * value;
  }
  const double mean = sum / static_cast<double>(count);
  return {mean, squares / static_cast<double>(count) - mean * mean};
}

// Pearson's statistic for equally likely cells.
double chi_square(const std::vector<uint32_t>& counts) {
  double total = 0.0;
  for (const uint32_t count : counts) total += count;
  const double expected = total / static_cast<double>(counts.size());
  double statistic = 0.0;
  for (const uint32_t count : counts) statistic += (count - expected) * (count - expected) / expected;
  return statistic;
}

constexpr size_t kDraws = 200000;

TEST(RngDistribution, UniformHasTheRightMoments) {
  Rng rng(1);
  const Moments moments = moments_of(kDraws, [&](size_t) {
    const double value = rng.uniform();
    EXPECT_GE(value, 0.0);
    EXPECT_LT(value, 1.0);
    return value;
  });
  EXPECT_NEAR(moments.mean, 0.5, 0.0033);
  EXPECT_NEAR(moments.variance, 1.0 / 12.0, 0.001);
}

TEST(RngDistribution, BelowFillsItsCellsEvenly) {
  Rng rng(2);
  std::vector<uint32_t> counts(101);
  for (size_t i = 0; i < kDraws; ++i) ++counts[static_cast<size_t>(rng.below(101))];
  // 100 degrees of freedom: mean 100, standard deviation 14.
  EXPECT_LT(chi_square(counts), 170.0);
  EXPECT_GT(chi_square(counts), 45.0);
}

TEST(RngDistribution, BelowHasNoModuloBias) {
  // With bound 3 * 2^62, a plain modulo would give the lowest third twice as often as it may.
  constexpr uint64_t kThird = 1ULL << 62;
  Rng rng(3);
  std::vector<uint32_t> counts(3);
  for (size_t i = 0; i < kDraws; ++i) ++counts[static_cast<size_t>(rng.below(3 * kThird) / kThird)];
  EXPECT_LT(chi_square(counts), 25.0);
}

TEST(RngDistribution, EveryBitIsSetHalfOfTheTime) {
  Rng rng(4);
  const CounterRng counter(4);
  std::array<uint32_t, 64> stream{};
  std::array<uint32_t, 32> indexed{};
  for (uint32_t i = 0; i < kDraws; ++i) {
    const uint64_t word = rng.next_u64();
    const uint32_t half = counter.at(i);
    for (size_t bit = 0; bit < 64; ++bit) stream[bit] += static_cast<uint32_t>((word >> bit) & 1U);
    for (size_t bit = 0; bit < 32; ++bit) indexed[bit] += (half >> bit) & 1U;
  }
  for (const uint32_t count : stream) EXPECT_NEAR(count, kDraws / 2.0, 1200.0);
  for (const uint32_t count : indexed) EXPECT_NEAR(count, kDraws / 2.0, 1200.0);
}

TEST(RngDistribution, CountersOfNeighbouringIndicesAndKeysAreUnrelated) {
  const CounterRng first(10);
  const CounterRng second(11);
  double by_index = 0.0;
  double by_key = 0.0;
  for (uint32_t i = 0; i < kDraws; ++i) {
    by_index += (double{first.uniform_at(i)} - 0.5) * (double{first.uniform_at(i + 1)} - 0.5);
    by_key += (double{first.uniform_at(i)} - 0.5) * (double{second.uniform_at(i)} - 0.5);
  }
  // The product of two centred uniforms has standard deviation 1/12.
  EXPECT_NEAR(by_index / kDraws, 0.0, 0.00095);
  EXPECT_NEAR(by_key / kDraws, 0.0, 0.00095);
}

TEST(RngDistribution, NormalHasTheRightMomentsAndTails) {
  Rng rng(5);
  size_t beyond_two = 0;
  const Moments moments = moments_of(kDraws, [&](size_t) {
    const double value = rng.normal();
    if (std::abs(value) > 2.0) ++beyond_two;
    return value;
  });
  EXPECT_NEAR(moments.mean, 0.0, 0.012);
  EXPECT_NEAR(moments.variance, 1.0, 0.017);
  EXPECT_NEAR(static_cast<double>(beyond_two) / kDraws, 0.0455, 0.0025);
}

TEST(RngDistribution, GammaHasMeanAndVarianceOfItsShape) {
  for (const double shape : {0.1, 0.5, 1.0, 2.5, 30.0}) {
    Rng rng(derive_key(6, static_cast<uint64_t>(shape * 10)));
    const Moments moments = moments_of(kDraws, [&](size_t) {
      const double value = rng.gamma(shape);
      EXPECT_GE(value, 0.0);
      return value;
    });
    const double count = kDraws;
    EXPECT_NEAR(moments.mean, shape, 5.0 * std::sqrt(shape / count)) << shape;
    // Of the sample variance: (fourth central moment - variance^2) / n, and that moment is 3 shape^2 + 6 shape.
    EXPECT_NEAR(moments.variance, shape, 5.0 * std::sqrt((2.0 * shape * shape + 6.0 * shape) / count)) << shape;
  }
}

}  // namespace
}  // namespace runnel
