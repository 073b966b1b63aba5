// The arithmetic of QSGD without its bytes: norms, and stochastic rounding to levels (Alistarh et al. 2017,
// section 3.1).
//
// For a bucket with norm N = ||v||_2 and s levels, x_i = s |v_i| / N is rounded to z_i = floor(x_i) + [u_i < frac(x_i)]
// with u_i uniform; the receiver has sign(v_i) N z_i / s. Then E z_i = x_i, hence E Q(v) = v, and with f_i = frac(x_i)
// exactly
//   E ||Q(v) - v||^2 = (N^2 / s^2) sum f_i (1 - f_i) <= min(n / (4 s^2), sqrt(n) / s) N^2,     E nnz = sum min(1, x_i).
//
// Resolution. u_i has 24 bits, so the probability of rounding up is frac(x_i) rounded up to a multiple of 2^-24: exact
// for x_i >= 1/2, and otherwise E z_i is too large by less than 2^-24. x_i itself is computed in fp32 with two
// roundings, a relative error of at most 2^-23. Together |E Q(v_i) - v_i| < 2^-23 |v_i| + 2^-24 N / s: no larger than
// what fp32 itself does to numbers of the size of N.
//
// Range. z_i <= s needs |v_i| <= N for the N that is sent, which is rounded to fp32. It holds without any clamp:
// rounding is monotone, so the sum of squares in double is at least every single square (which double holds exactly),
// its root at least |v_i|, and rounding that root to fp32 cannot fall below |v_i|, which is an fp32 number. Likewise
// |v_i| / N <= 1 and s |v_i| / N <= s after rounding.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>

#include "runtime/base/rng.h"

namespace runnel::codec {

// sqrt(sum v_i^2) in double; NaN or infinite exactly if a value is. The order of the summation is fixed, so that the
// result is the same on every machine with IEEE arithmetic.
double l2_norm(std::span<const float> values);

// z_i of each value into `out`, which has the same size. Coordinate i uses rng.uniform_at(first_index + i).
// REQUIRES: 1 <= levels <= 32767, norm > 0, every |v_i| <= norm.
void quantize_levels(std::span<const float> values, float norm, uint32_t levels, const CounterRng& rng,
                     uint32_t first_index, std::span<uint16_t> out);

// The distance between two levels, N / s, kept in double: a level times this rounds to fp32 once.
inline double level_step(float norm, uint32_t levels) {
  return static_cast<double>(norm) / levels;
}

// What a receiver makes of a level: at most the norm for z <= s.
inline float dequantize(uint32_t level, bool negative, double step) {
  const auto magnitude = static_cast<float>(level * step);
  return negative ? -magnitude : magnitude;
}

}  // namespace runnel::codec
