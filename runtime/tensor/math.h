// The exponential and its relatives as plain arithmetic: the same bits on every machine and in every vector unit, which
// a C library does not promise, and loops over them become vector code.
//
// Accuracy, measured against long double over floats of every exponent (tests/unit/tensor/math_test.cc), in units of
// the last place: exp 1.1, tanh 1.3, sigmoid 2, erf 2.5; exp and log of double 1. NaN gives NaN. No function branches
// on its argument, but for log.
#pragma once

#include <bit>
#include <cstdint>

namespace runnel::tensor::math {

inline float magnitude_of(float x) {
  return std::bit_cast<float>(std::bit_cast<uint32_t>(x) & 0x7FFFFFFFU);
}

// `positive`, which is not negative, with the sign of x.
inline float with_sign_of(float x, float positive) {
  return std::bit_cast<float>((std::bit_cast<uint32_t>(x) & 0x80000000U) | std::bit_cast<uint32_t>(positive));
}

// Both values are worked out; a conditional operator would let a compiler branch around one of them.
inline float select(bool first, float a, float b) {
  const uint32_t mask = 0U - static_cast<uint32_t>(first);
  return std::bit_cast<float>((std::bit_cast<uint32_t>(a) & mask) | (std::bit_cast<uint32_t>(b) & ~mask));
}

// e^x; 0 below -104, infinity above 88.73.
inline float exp(float x) {
  // x = n ln 2 + r, |r| <= ln 2 / 2. Adding and taking away 1.5 * 2^23 rounds to a whole number, which then stands in
  // the low bits of the sum. ln 2 in two parts, the first with enough trailing zeros for an exact n * part.
  constexpr float kRound = 0x1.8p23F;
  constexpr float kLog2E = 1.44269504F;
  constexpr float kLn2High = 0.693359375F;
  constexpr float kLn2Low = -2.12194440e-4F;
  const float above = x < -104.0F ? -104.0F : x;
  const float clamped = above > 89.0F ? 89.0F : above;
  const float rounded = clamped * kLog2E + kRound;
  const float n = rounded - kRound;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float p = 0.00139413177F;
  p = p * r + 0.00836329495F;
  p = p * r + 0.041666373F;
  p = p * r + 0.166665763F;
  p = p * r + 0.500000003F;
  p = (p * r) * r + r + 1.0F;
  // 2^n as two factors, each a normal number, so that the smallest and largest results come out right.
  const uint32_t whole = std::bit_cast<uint32_t>(rounded) - std::bit_cast<uint32_t>(kRound) + 512U;  // n + 512 > 0
  const uint32_t half = whole >> 1;
  const float first = std::bit_cast<float>((half - 256U + 127U) << 23);
  const float second = std::bit_cast<float>((whole - half - 256U + 127U) << 23);
  return (p * first) * second;
}

inline float tanh(float x) {
  const float magnitude = magnitude_of(x);
  const float u = x * x;
  float p = -0.00611318708F;
  p = p * u + 0.021010078F;
  p = p * u - 0.053854069F;
  p = p * u + 0.133327945F;
  p = p * u - 0.333333292F;
  const float near_zero = (p * u) * x + x;
  const float far = 1.0F - 2.0F / (exp(2.0F * magnitude) + 1.0F);
  return select(magnitude < 0.625F, near_zero, with_sign_of(x, far));
}

// 1 / (1 + e^-x).
inline float sigmoid(float x) {
  return 1.0F / (1.0F + exp(-x));
}

// The error function 2 / sqrt(pi) * integral of e^-t^2 from 0 to x.
inline float erf(float x) {
  const float magnitude = magnitude_of(x);
  const float u = x * x;
  float p = -0.000588677268F;
  p = p * u + 0.00497311648F;
  p = p * u - 0.0267533342F;
  p = p * u + 0.112814665F;
  p = p * u - 0.376124627F;
  p = p * u + 1.12837915F;
  // 1 - erf(t) = e^-q(t); from 4 on it is below half a unit in the last place.
  const float t = magnitude > 4.0F ? 4.0F : magnitude;
  float q = -0.000198221072F;
  q = q * t + 0.00306550313F;
  q = q * t - 0.0223152602F;
  q = q * t + 0.104113769F;
  q = q * t + 0.636975989F;
  q = q * t + 1.12779729F;
  q = q * t + 0.000166436075F;
  const float far = 1.0F - exp(-q);
  return select(magnitude < 0.9375F, p * x, with_sign_of(x, far));
}

// e^x; 0 below -708 (no denormal results), infinity above 709.79.
inline double exp(double x) {
  constexpr double kRound = 0x1.8p52;
  constexpr double kLog2E = 1.4426950408889634;
  constexpr double kLn2High = 0x1.62E42FEEp-1;
  constexpr double kLn2Low = 0x1.A39EF35793C76p-33;
  const double above = x < -708.0 ? -708.0 : x;
  const double clamped = above > 710.0 ? 710.0 : above;
  const double rounded = clamped * kLog2E + kRound;
  const double n = rounded - kRound;
  const double r = (clamped - n * kLn2High) - n * kLn2Low;
  // Taylor to r^13 / 13!, whose first left-out term is below 5e-18.
  double p = 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r * r + r + 1.0;
  const uint64_t whole = std::bit_cast<uint64_t>(rounded) - std::bit_cast<uint64_t>(kRound) + 4096U;
  const uint64_t half = whole >> 1;
  const double first = std::bit_cast<double>((half - 2048U + 1023U) << 52);
  const double second = std::bit_cast<double>((whole - half - 2048U + 1023U) << 52);
  const double value = (p * first) * second;
  return x < -708.0 ? 0.0 : value;
}

// The natural logarithm; minus infinity of 0, NaN below.
inline double log(double x) {
  if (!(x > 0.0)) return x == 0.0 ? -std::bit_cast<double>(0x7FF0000000000000ULL) : (x - x) / (x - x);
  const double scaled = x < 0x1p-1000 ? x * 0x1p54 : x;
  const uint64_t bits = std::bit_cast<uint64_t>(scaled);
  if (bits >= 0x7FF0000000000000ULL) return x;
  // x = 2^n m with m in [sqrt(1/2), sqrt(2)); log m = 2 (s + s^3 / 3 + s^5 / 5 + ...), s = (m - 1) / (m + 1).
  constexpr uint64_t kRootHalf = 0x3FE6A09E667F3BCDULL;
  const int64_t n = static_cast<int64_t>(bits - kRootHalf) >> 52;
  const double m = std::bit_cast<double>(bits - (static_cast<uint64_t>(n) << 52));
  const double f = m - 1.0;
  const double s = f / (m + 1.0);
  const double u = s * s;
  double p = 2.0 / 23.0;
  p = p * u + 2.0 / 21.0;
  p = p * u + 2.0 / 19.0;
  p = p * u + 2.0 / 17.0;
  p = p * u + 2.0 / 15.0;
  p = p * u + 2.0 / 13.0;
  p = p * u + 2.0 / 11.0;
  p = p * u + 2.0 / 9.0;
  p = p * u + 2.0 / 7.0;
  p = p * u + 2.0 / 5.0;
  p = p * u + 2.0 / 3.0;
  const double power = static_cast<double>(n) - (x < 0x1p-1000 ? 54.0 : 0.0);
  // log(1 + f) = f - s (f - u p): the large part f is exact.
  constexpr double kLn2High = 0x1.62E42FEEp-1;
  constexpr double kLn2Low = 0x1.A39EF35793C76p-33;
  return power * kLn2High + (f - (s * (f - u * p) - power * kLn2Low));
}

}  // namespace runnel::tensor::math
