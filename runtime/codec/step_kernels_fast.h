// Vector versions of step_kernels.h, same bits. Only with RUNNEL_FAST_KERNELS.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/base/lane_rng.h"

namespace runnel::codec {

// `count` is a multiple of 32 in the first, of 16 in the others; the rest is the reference's.
void chunk_numbers_fast(const LaneRng::State& state, size_t count, uint16_t* out);
void dither_indices_fast(const float* values, size_t count, float inverse_step, const uint16_t* numbers,
                         int16_t* indices);
void dither_values_fast(const int16_t* indices, size_t count, float step, const uint16_t* numbers, float* values);
void deadzone_indices_fast(const float* values, size_t count, float inverse_step, float rounding, int16_t* indices);
void deadzone_values_fast(const int16_t* indices, size_t count, float step, float first, float rest, float* values);
float largest_magnitude_fast(const float* values, size_t count);
// One a group: the sum of |index - (v >> 4)|, at most 255 each.
void group_activities_fast(const int16_t* indices, size_t count, const uint16_t* numbers, bool dithered,
                           uint16_t* activities);

}  // namespace runnel::codec
