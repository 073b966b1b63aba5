// The arithmetic of the bucketed schemes without their bytes: norms, stochastic rounding to integer symbols, and what a
// symbol stands for (Alistarh et al. 2017, section 3.1; Ramezani-Kebrya et al. 2021; Wen et al. 2017).
//
// A bucket with norm N (its L2 norm or its largest magnitude) and s levels turns each v_i into a symbol q_i, a signed
// level index, with one number r_i of 16 random bits:
//   uniform      t_i = v_i s 2^F / N rounded to the nearest integer,  q_i = floor((t_i + r_i) / 2^F),  |q_i| <= s.
//   exponential  levels 0, 2^-s, ..., 1/2, 1 with indices 0 .. s + 1; x_i = |v_i| 2^s / N is rounded to one of its two
//                neighbours: with z = x + max(x, 1) as fp32, adding r_i to the mantissa carries into the exponent with
//                the probability wanted, and the exponent is the index.
// Both have E Q(v) = v. With f_i = frac(x_i), x_i = s |v_i| / N, the uniform levels have exactly
//   E ||Q(v) - v||^2 = (N^2 / s^2) sum f_i (1 - f_i),     E nnz = sum min(1, x_i).
//
// Resolution. F is 16, and 15 for 64 <= s <= 127; the probability of rounding up is a multiple of 2^-F, wrong by at
// most 2^-(F+1) besides what fp32 rounds. For more levels, and norms near the ends of fp32, t_i is computed in double.
// Values that lie on a level stay there, whatever r_i is: t_i is then off by less than 1/2 before it is rounded.
//
// Range. |q_i| never exceeds its maximum because no |v_i| exceeds the N that is sent: rounding is monotone, so a sum of
// squares is at least every single one, and the root of a rounded square is the number itself (when nothing under- or
// overflows; where that could matter the sum is made in double). One unit of |q| more would take t_i >= s 2^F + 1/2.
//
// The arithmetic is defined to the last bit, whatever the vector unit: a bucket's squares are summed in 32 lanes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/lane_rng.h"
#include "runtime/plan/round_plan.h"

namespace runnel::codec {

// What distinguishes the bucketed schemes.
struct Quantizer {
  bool max_norm = false;     // the largest magnitude of a bucket instead of its L2 norm
  bool exponential = false;  // levels 2^-s .. 1 instead of 1/s .. 1
  uint32_t levels = 1;       // s

  // The largest level index, s'.
  constexpr uint32_t symbol_max() const { return exponential ? levels + 1 : levels; }
};

// The quantizer of a codec id with `levels` levels; terngrad has one, whatever is asked for.
constexpr Quantizer quantizer_of(plan::CodecId codec, uint32_t levels) {
  switch (codec) {
    case plan::CodecId::kQsgdInf:
      return {true, false, levels};
    case plan::CodecId::kNuqsgd:
      return {false, true, levels};
    case plan::CodecId::kNuqsgdInf:
      return {true, true, levels};
    case plan::CodecId::kTerngrad:
      return {true, false, 1};
    default:
      return {false, false, levels};
  }
}

// sqrt(sum v_i^2) in double, in four lanes; NaN or infinite exactly if a value is.
double l2_norm(std::span<const float> values);

// The norm of one bucket: not finite exactly if a value is not; beyond FLT_MAX if fp32 cannot hold it.
double bucket_norm(const Quantizer& quantizer, std::span<const float> values);

// The random numbers of the first `count` coordinates of a chunk. REQUIRES: out.size() >= count rounded up to 32.
void draw_numbers(const LaneRng& rng, uint64_t chunk, size_t count, std::span<uint16_t> out);

// The symbols of values that share `norm`. REQUIRES: norm > 0, every |v_i| <= norm, spans of equal size.
void quantize(const Quantizer& quantizer, float norm, std::span<const float> values, std::span<const uint16_t> numbers,
              std::span<int16_t> symbols);

// The same arithmetic as quantize() and in the same order, by the plain loop.
void quantize_reference(const Quantizer& quantizer, float norm, std::span<const float> values,
                        std::span<const uint16_t> numbers, std::span<int16_t> symbols);

// What symbols of one bucket stand for.
class LevelValues {
 public:
  LevelValues(const Quantizer& quantizer, float norm)
      : step_(quantizer.exponential ? double{norm} : double{norm} / quantizer.levels),
        exponential_(quantizer.exponential),
        levels_(quantizer.levels) {}

  // At most the norm in magnitude for |symbol| <= s'; +0 for 0.
  float operator()(int32_t symbol) const {
    if (!exponential_) return symbol == 0 ? 0.0F : static_cast<float>(symbol * step_);
    if (symbol == 0) return 0.0F;
    const uint32_t index = static_cast<uint32_t>(symbol < 0 ? -symbol : symbol);
    const auto magnitude = static_cast<float>(step_ / static_cast<double>(uint64_t{1} << (levels_ + 1 - index)));
    return symbol < 0 ? -magnitude : magnitude;
  }

 private:
  double step_;
  bool exponential_;
  uint32_t levels_;
};

// The range of norms that the single-precision paths take: their factors neither overflow nor become denormal.
inline constexpr float kPlainNormMin = 0x1.0p-95F;
inline constexpr float kPlainNormMax = 0x1.0p95F;
inline constexpr uint32_t kPlainLevelsMax = 127;
// Added to a float below 2^22 in magnitude, this leaves the nearest integer in the low bits of the sum.
inline constexpr float kRoundingAddend = 12582912.0F;  // 1.5 * 2^23
inline constexpr uint32_t kRoundingAddendBits = 0x4B400000;
// A sum of squares outside this range is made again in double.
inline constexpr double kPlainSumMin = 0x1.0p-80;
inline constexpr double kPlainSumMax = 0x1.0p120;
// Squares are summed in this many lanes of fp32, anew for every 4096 values of a bucket.
inline constexpr size_t kNormLanes = 32;
inline constexpr size_t kNormPiece = 4096;

}  // namespace runnel::codec
