// The vector forms of quantizer.cc and fixed_width.cc: the same bits as the plain loops there. Called through the
// functions of quantizer.h and fixed_width.h only, which know when these may run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/bytes.h"
#include "runtime/base/lane_rng.h"
#include "runtime/codec/quantizer.h"

namespace runnel::codec {

float sum_of_squares_fast(std::span<const float> values);
uint32_t largest_magnitude_bits_fast(std::span<const float> values);
void draw_numbers_fast(LaneRng::State& state, size_t count, std::span<uint16_t> out);

// REQUIRES: norm within kPlainNormMin .. kPlainNormMax, levels <= kPlainLevelsMax.
void quantize_fast(const Quantizer& quantizer, float norm, std::span<const float> values,
                   std::span<const uint16_t> numbers, std::span<int16_t> symbols);

// Quantizes and packs groups of 64 values with 4..7 uniform levels into nibbles, as fixed_width.h lays them out: 32
// bytes a group. REQUIRES: values.size() is a multiple of 64, norm as above.
void quantize_nibbles_fast(uint32_t levels, float norm, std::span<const float> values,
                           std::span<const uint16_t> numbers, uint8_t* out);

void count_nibbles_fast(ByteView groups, std::span<uint32_t, 16> counts);

}  // namespace runnel::codec
