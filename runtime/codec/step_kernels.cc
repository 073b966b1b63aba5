#include "runtime/codec/step_kernels.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/instruction_set.h"
#include "runtime/codec/step_kernels_fast.h"

namespace runnel::codec {
namespace {

// u of position i of a chunk.
float dither_at(std::span<const uint16_t> numbers, size_t i) {
  const uint32_t rotation = numbers[i / 16 * 16] & 15U;
  const uint32_t v = rotation + 15 - static_cast<uint32_t>(i % 16);
  return static_cast<float>(2 * (v * 4096 + (numbers[i] >> 4)) + 1) * 0x1.0p-17F;
}

// How many of `count` coordinates the vector kernels take, in whole multiples of `unit`: the reference does the rest.
size_t fast_count([[maybe_unused]] size_t count, [[maybe_unused]] size_t unit) {
#ifdef RUNNEL_FAST_KERNELS
  return use_reference() ? 0 : count / unit * unit;
#else
  return 0;
#endif
}

}  // namespace

void chunk_numbers(const LaneRng& rng, uint64_t chunk, std::span<uint16_t> out) {
  LaneRng::State state = rng.start(chunk);
#ifdef RUNNEL_FAST_KERNELS
  // A tail shorter than a step is made with the rest: the numbers of a chunk are a stream.
  if (fast_count(out.size(), LaneRng::kStep) == out.size()) return chunk_numbers_fast(state, out.size(), out.data());
#endif
  uint16_t last[LaneRng::kStep];
  for (size_t first = 0; first < out.size(); first += LaneRng::kStep) {
    const size_t count = std::min(LaneRng::kStep, out.size() - first);
    LaneRng::step(state, last);
    std::copy_n(last, count, out.begin() + static_cast<std::ptrdiff_t>(first));
  }
}

void dither_indices(std::span<const float> values, float inverse_step, std::span<const uint16_t> numbers,
                    std::span<int16_t> indices) {
  const size_t fast = fast_count(values.size(), 16);
#ifdef RUNNEL_FAST_KERNELS
  if (fast > 0) dither_indices_fast(values.data(), fast, inverse_step, numbers.data(), indices.data());
#endif
  for (size_t i = fast; i < values.size(); ++i) {
    indices[i] = static_cast<int16_t>(std::floor(values[i] * inverse_step + dither_at(numbers, i)));
  }
}

void dither_values(std::span<const int16_t> indices, float step, std::span<const uint16_t> numbers,
                   std::span<float> values) {
  const size_t fast = fast_count(values.size(), 16);
#ifdef RUNNEL_FAST_KERNELS
  if (fast > 0) dither_values_fast(indices.data(), fast, step, numbers.data(), values.data());
#endif
  for (size_t i = fast; i < values.size(); ++i) {
    values[i] = (static_cast<float>(indices[i]) + (0.5F - dither_at(numbers, i))) * step;
  }
}

void deadzone_indices(std::span<const float> values, float inverse_step, float rounding, std::span<int16_t> indices) {
  const size_t fast = fast_count(values.size(), 16);
#ifdef RUNNEL_FAST_KERNELS
  if (fast > 0) deadzone_indices_fast(values.data(), fast, inverse_step, rounding, indices.data());
#endif
  for (size_t i = fast; i < values.size(); ++i) {
    const auto magnitude = static_cast<int16_t>(std::abs(values[i]) * inverse_step + rounding);
    indices[i] = std::signbit(values[i]) ? static_cast<int16_t>(-magnitude) : magnitude;
  }
}

void deadzone_values(std::span<const int16_t> indices, float step, float first, float rest, std::span<float> values) {
  const size_t fast = fast_count(values.size(), 16);
#ifdef RUNNEL_FAST_KERNELS
  if (fast > 0) deadzone_values_fast(indices.data(), fast, step, first, rest, values.data());
#endif
  for (size_t i = fast; i < values.size(); ++i) {
    const int magnitude = std::abs(int{indices[i]});
    const float shift = magnitude == 0 ? 0.0F : magnitude == 1 ? first : rest;
    const float value = (static_cast<float>(magnitude) + shift) * step;
    values[i] = indices[i] < 0 ? -value : value;
  }
}

void group_activities(std::span<const int16_t> indices, std::span<const uint16_t> numbers, bool dithered,
                      std::span<uint16_t> activities) {
  const size_t fast = fast_count(indices.size(), 16);
#ifdef RUNNEL_FAST_KERNELS
  if (fast > 0) group_activities_fast(indices.data(), fast, numbers.data(), dithered, activities.data());
#endif
  for (size_t first = fast; first < indices.size(); first += 16) {
    const uint32_t rotation = dithered ? numbers[first] & 15U : 0;
    uint32_t sum = 0;
    for (size_t i = first; i < std::min(first + 16, indices.size()); ++i) {
      const auto shift = static_cast<int>((rotation + 15 - (i - first)) >> 4);
      sum += static_cast<uint32_t>(std::min(std::abs(indices[i] - shift), 255));
    }
    activities[first / 16] = static_cast<uint16_t>(sum);
  }
}

float largest_magnitude(std::span<const float> values) {
  const size_t fast = fast_count(values.size(), 16);
  float largest = 0.0F;
#ifdef RUNNEL_FAST_KERNELS
  if (fast > 0) largest = largest_magnitude_fast(values.data(), fast);
  if (std::isnan(largest)) return largest;
#endif
  for (const float value : values.subspan(fast)) {
    // Not std::max: a NaN must stay.
    const float magnitude = std::abs(value);
    if (!(magnitude <= largest)) largest = magnitude;
    if (std::isnan(largest)) return largest;
  }
  return largest;
}

}  // namespace runnel::codec
