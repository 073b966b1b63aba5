#include "runtime/tensor/math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "runtime/base/crc32c.h"
#include "runtime/base/rng.h"

namespace runnel::tensor {
namespace {

// The distance in units of the last place of the correctly rounded result, or of the smallest normal number's.
template <typename Float>
double ulps(Float actual, long double expected) {
  const long double magnitude =
      std::max(std::abs(expected), static_cast<long double>(std::numeric_limits<Float>::min()));
  const int exponent = std::ilogb(magnitude);
  const long double unit = std::ldexp(1.0L, exponent - (std::numeric_limits<Float>::digits - 1));
  return static_cast<double>(std::abs(static_cast<long double>(actual) - expected) / unit);
}

// Finite floats of every exponent and both signs; the step is odd, so that the low bits vary.
template <typename F>
void for_floats(F f) {
  for (uint64_t bits = 0; bits < 0x100000000ULL; bits += 40009) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (std::isfinite(x)) f(x);
  }
}

// Where the functions change most.
template <typename F>
void for_near_floats(F f) {
  Rng rng(7);
  for (int index = 0; index < 200000; ++index) f(static_cast<float>(24.0 * rng.uniform() - 12.0));
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(Math, ExpOfFloat) {
  double worst = 0.0;
  const auto check = [&worst](float x) {
    if (x > 88.722F || x < -103.9F) return;
    worst = std::max(worst, ulps(math::exp(x), std::exp(static_cast<long double>(x))));
  };
  for_floats(check);
  for_near_floats(check);
  for (float x = -104.0F; x < 89.0F; x += 0.00137F) check(x);
  EXPECT_LE(worst, 1.1);
  EXPECT_EQ(math::exp(0.0F), 1.0F);
  EXPECT_EQ(math::exp(-kInfinity), 0.0F);
  EXPECT_EQ(math::exp(-1000.0F), 0.0F);
  EXPECT_EQ(math::exp(kInfinity), kInfinity);
  EXPECT_EQ(math::exp(88.73F), kInfinity);
  EXPECT_LT(math::exp(88.72F), kInfinity);
  EXPECT_TRUE(std::isnan(math::exp(kNan)));
}

TEST(Math, TanhSigmoidAndErf) {
  double worst_tanh = 0.0;
  double worst_sigmoid = 0.0;
  double worst_erf = 0.0;
  const auto check = [&](float x) {
    const auto wide = static_cast<long double>(x);
    worst_tanh = std::max(worst_tanh, ulps(math::tanh(x), std::tanh(wide)));
    if (x > -87.0F) worst_sigmoid = std::max(worst_sigmoid, ulps(math::sigmoid(x), 1.0L / (1.0L + std::exp(-wide))));
    worst_erf = std::max(worst_erf, ulps(math::erf(x), std::erf(wide)));
  };
  for_floats(check);
  for_near_floats(check);
  EXPECT_LE(worst_tanh, 1.3);
  EXPECT_LE(worst_sigmoid, 2.0);
  EXPECT_LE(worst_erf, 2.5);
}

TEST(Math, AreOddAndBounded) {
  for_floats([](float x) {
    ASSERT_EQ(math::tanh(-x), -math::tanh(x));
    ASSERT_EQ(math::erf(-x), -math::erf(x));
    ASSERT_LE(std::abs(math::tanh(x)), 1.0F);
    ASSERT_LE(std::abs(math::erf(x)), 1.0F);
    ASSERT_GE(math::sigmoid(x), 0.0F);
    ASSERT_LE(math::sigmoid(x), 1.0F);
  });
  EXPECT_EQ(math::tanh(0.0F), 0.0F);
  EXPECT_EQ(math::erf(kInfinity), 1.0F);
  EXPECT_EQ(math::tanh(-kInfinity), -1.0F);
  EXPECT_EQ(math::sigmoid(0.0F), 0.5F);
  EXPECT_EQ(math::sigmoid(kInfinity), 1.0F);
  EXPECT_EQ(math::sigmoid(-kInfinity), 0.0F);
  for (float (*function)(float) : {&math::tanh, &math::sigmoid, &math::erf}) EXPECT_TRUE(std::isnan(function(kNan)));
}

TEST(Math, ExpAndLogOfDouble) {
  Rng rng(9);
  double worst_exp = 0.0;
  double worst_log = 0.0;
  for (int index = 0; index < 200000; ++index) {
    const double x = 1416.0 * rng.uniform() - 707.0;
    worst_exp = std::max(worst_exp, ulps(math::exp(x), std::exp(static_cast<long double>(x))));
    const double y = std::bit_cast<double>(rng.next_u64() >> 1);
    if (std::isfinite(y) && y > 0.0)
      worst_log = std::max(worst_log, ulps(math::log(y), std::log(static_cast<long double>(y))));
    const double near_one = 0.5 + 1.5 * rng.uniform();
    worst_log = std::max(worst_log, ulps(math::log(near_one), std::log(static_cast<long double>(near_one))));
  }
  EXPECT_LE(worst_exp, 1.0);
  EXPECT_LE(worst_log, 1.0);
  EXPECT_EQ(math::exp(0.0), 1.0);
  EXPECT_EQ(math::exp(-709.0), 0.0);
  EXPECT_EQ(math::exp(-HUGE_VAL), 0.0);
  EXPECT_EQ(math::exp(HUGE_VAL), HUGE_VAL);
  EXPECT_EQ(math::exp(709.8), HUGE_VAL);
  EXPECT_TRUE(std::isnan(math::exp(std::nan(""))));
  EXPECT_EQ(math::log(1.0), 0.0);
  EXPECT_EQ(math::log(0.0), -HUGE_VAL);
  EXPECT_EQ(math::log(HUGE_VAL), HUGE_VAL);
  EXPECT_TRUE(std::isnan(math::log(-1.0)));
  EXPECT_TRUE(std::isnan(math::log(std::nan(""))));
  EXPECT_NEAR(math::log(std::numeric_limits<double>::denorm_min()), -744.4400719213812, 1e-12);
}

// Arithmetic only, so every machine gives these bits.
TEST(Math, BitsAreFixed) {
  uint32_t checksum = 0;
  const auto add = [&checksum](float value) {
    uint8_t bytes[8] = {};
    for (unsigned index = 0; index < 4; ++index) {
      bytes[index] = static_cast<uint8_t>(checksum >> (8 * index));
      bytes[4 + index] = static_cast<uint8_t>(std::bit_cast<uint32_t>(value) >> (8 * index));
    }
    checksum = crc32c(bytes);
  };
  for (int index = -500; index <= 500; ++index) {
    const float x = 0.0173F * static_cast<float>(index);
    for (const float value : {math::exp(x), math::tanh(x), math::sigmoid(x), math::erf(x)}) add(value);
    add(static_cast<float>(math::exp(static_cast<double>(x))));
    add(static_cast<float>(math::log(std::abs(static_cast<double>(x)) + 0.1)));
  }
  EXPECT_EQ(checksum, 0xBF8A45F3U);
}

}  // namespace
}  // namespace runnel::tensor
