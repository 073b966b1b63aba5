#include "runtime/codec/quantizer.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "runtime/base/instruction_set.h"
#ifdef RUNNEL_FAST_KERNELS
#include "runtime/codec/quantizer_fast.h"
#endif

namespace runnel::codec {
namespace {

float sum_of_squares(std::span<const float> values) {
  float lanes[kNormLanes] = {};
  size_t i = 0;
  for (; i + kNormLanes <= values.size(); i += kNormLanes) {
    for (size_t lane = 0; lane < kNormLanes; ++lane) lanes[lane] += values[i + lane] * values[i + lane];
  }
  for (size_t lane = 0; i < values.size(); ++i, ++lane) lanes[lane] += values[i] * values[i];
  for (size_t width = kNormLanes / 2; width > 0; width /= 2) {
    for (size_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

// The bits of the largest magnitude; those of infinity or a NaN if there is one.
uint32_t largest_magnitude_bits(std::span<const float> values) {
  uint32_t largest = 0;
  for (const float value : values) largest = std::max(largest, std::bit_cast<uint32_t>(value) & 0x7FFFFFFFU);
  return largest;
}

void quantize_in_double(uint32_t levels, float norm, std::span<const float> values, std::span<const uint16_t> numbers,
                        std::span<int16_t> symbols) {
  constexpr double kAddend = 6755399441055744.0;  // 1.5 * 2^52
  const double factor = levels * 65536.0 / norm;
  for (size_t i = 0; i < values.size(); ++i) {
    const int64_t t = std::bit_cast<int64_t>(values[i] * factor + kAddend) - std::bit_cast<int64_t>(kAddend);
    symbols[i] = static_cast<int16_t>((t + numbers[i]) >> 16);
  }
}

void quantize_exponential(uint32_t levels, float norm, std::span<const float> values, std::span<const uint16_t> numbers,
                          std::span<int16_t> symbols) {
  const bool plain = norm >= kPlainNormMin && norm <= kPlainNormMax;
  const double top = static_cast<double>(uint64_t{1} << levels);
  const double exact_factor = top / norm;
  const float factor = static_cast<float>(top) / (plain ? norm : 1.0F);
  for (size_t i = 0; i < values.size(); ++i) {
    const float magnitude = std::fabs(values[i]);
    const float x = plain ? magnitude * factor : static_cast<float>(magnitude * exact_factor);
    const float z = x + std::max(x, 1.0F);
    const uint32_t carried = std::bit_cast<uint32_t>(z) + 64 + (uint32_t{numbers[i]} << 7);
    const auto index = static_cast<int32_t>(carried >> 23) - 127;
    symbols[i] = static_cast<int16_t>(std::signbit(values[i]) ? -index : index);
  }
}

}  // namespace

double l2_norm(std::span<const float> values) {
  double sums[4] = {};
  size_t i = 0;
  for (; i + 4 <= values.size(); i += 4) {
    for (size_t lane = 0; lane < 4; ++lane) {
      const double value = values[i + lane];
      sums[lane] += value * value;
    }
  }
  for (size_t lane = 0; i < values.size(); ++i, ++lane) {
    const double value = values[i];
    sums[lane] += value * value;
  }
  return std::sqrt((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

double bucket_norm(const Quantizer& quantizer, std::span<const float> values) {
#ifdef RUNNEL_FAST_KERNELS
  const bool plain = use_reference();
#endif
  if (quantizer.max_norm) {
#ifdef RUNNEL_FAST_KERNELS
    if (!plain) return std::bit_cast<float>(largest_magnitude_bits_fast(values));
#endif
    return std::bit_cast<float>(largest_magnitude_bits(values));
  }
  double sum = 0.0;
  for (size_t first = 0; first < values.size(); first += kNormPiece) {
    const std::span<const float> piece = values.subspan(first, std::min(kNormPiece, values.size() - first));
#ifdef RUNNEL_FAST_KERNELS
    if (!plain) {
      sum += sum_of_squares_fast(piece);
      continue;
    }
#endif
    sum += sum_of_squares(piece);
  }
  if (sum >= kPlainSumMin && sum <= kPlainSumMax) return std::sqrt(sum);
  return l2_norm(values);
}

void draw_numbers(const LaneRng& rng, uint64_t chunk, size_t count, std::span<uint16_t> out) {
  LaneRng::State state = rng.start(chunk);
#ifdef RUNNEL_FAST_KERNELS
  if (!use_reference()) return draw_numbers_fast(state, count, out);
#endif
  for (size_t i = 0; i < count; i += LaneRng::kStep) LaneRng::step(state, out.subspan(i).first<LaneRng::kStep>());
}

void quantize_reference(const Quantizer& quantizer, float norm, std::span<const float> values,
                        std::span<const uint16_t> numbers, std::span<int16_t> symbols) {
  const uint32_t levels = quantizer.levels;
  if (quantizer.exponential) return quantize_exponential(levels, norm, values, numbers, symbols);
  if (levels > kPlainLevelsMax || norm < kPlainNormMin || norm > kPlainNormMax) {
    return quantize_in_double(levels, norm, values, numbers, symbols);
  }
  const int fraction_bits = levels < 64 ? 16 : 15;
  const float factor = static_cast<float>(levels << fraction_bits) / norm;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto t =
        static_cast<int32_t>(std::bit_cast<uint32_t>(values[i] * factor + kRoundingAddend) - kRoundingAddendBits);
    symbols[i] = static_cast<int16_t>((t + (numbers[i] >> (16 - fraction_bits))) >> fraction_bits);
  }
}

void quantize(const Quantizer& quantizer, float norm, std::span<const float> values, std::span<const uint16_t> numbers,
              std::span<int16_t> symbols) {
#ifdef RUNNEL_FAST_KERNELS
  const bool plain_norm = norm >= kPlainNormMin && norm <= kPlainNormMax;
  if (!use_reference() && plain_norm && quantizer.levels <= kPlainLevelsMax) {
    return quantize_fast(quantizer, norm, values, numbers, symbols);
  }
#endif
  quantize_reference(quantizer, norm, values, numbers, symbols);
}

}  // namespace runnel::codec
