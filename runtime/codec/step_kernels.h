// The arithmetic between values and the indices of one absolute step, a chunk at a time.
//
// Dither: coordinate i of a chunk belongs to group i / 16, whose rotation r is the low four bits of the group's first
// random number. At position j of the group, v = r + 15 - j, and u = (v + f) / 16 with f = (number >> 4, + 1/2) / 4096:
// over seeds, u modulo 1 is uniform, and inside a group the dithers are spread evenly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/lane_rng.h"

namespace runnel::codec {

inline constexpr size_t kStepChunk = LaneRng::kChunk;

// The random numbers of the first out.size() <= 4096 coordinates of a chunk.
void chunk_numbers(const LaneRng& rng, uint64_t chunk, std::span<uint16_t> out);

// index = floor(value / step + u). REQUIRES: |value * inverse_step| < 32000; all spans as long as `values`.
void dither_indices(std::span<const float> values, float inverse_step, std::span<const uint16_t> numbers,
                    std::span<int16_t> indices);

// value = (index + 1/2 - u) * step.
void dither_values(std::span<const int16_t> indices, float step, std::span<const uint16_t> numbers,
                   std::span<float> values);

// index = floor(|value| / step + rounding) with the value's sign. REQUIRES: as above.
void deadzone_indices(std::span<const float> values, float inverse_step, float rounding, std::span<int16_t> indices);

// value = (|index| + shift) * step with the index's sign, shift = first for 1, rest for 2 and above; 0 for 0.
void deadzone_values(std::span<const int16_t> indices, float step, float first, float rest, std::span<float> values);

// One number a group: the sum of its indices' magnitudes, each without the whole part of its dither and at most 255.
// `numbers` is not read without dither.
void group_activities(std::span<const int16_t> indices, std::span<const uint16_t> numbers, bool dithered,
                      std::span<uint16_t> activities);

// The largest |value|; not a number if any value is.
float largest_magnitude(std::span<const float> values);

}  // namespace runnel::codec
