#include "runtime/codec/rotation.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "runtime/base/instruction_set.h"
#include "runtime/base/lane_rng.h"
#ifdef RUNNEL_FAST_KERNELS
#include "runtime/codec/rotation_fast.h"
#endif

namespace runnel::codec {
namespace {

constexpr uint64_t kRounds = 2;

// Bit i of the result's words is the sign of coordinate i.
using Signs = std::array<uint16_t, kRotationChunk / 16>;

Signs signs_of(uint64_t seed, uint64_t chunk, uint64_t pass, size_t count) {
  Signs signs{};
  LaneRng::State state = LaneRng(derive_key(seed, pass)).start(chunk);
  for (size_t first = 0; first * 16 < count; first += LaneRng::kStep) {
    LaneRng::step(state, std::span<uint16_t>(signs).subspan(first).first<LaneRng::kStep>());
  }
  return signs;
}

void flip(std::span<float> values, const Signs& signs) {
  for (size_t i = 0; i < values.size(); ++i) {
    if ((signs[i / 16] >> (i % 16) & 1) != 0) values[i] = -values[i];
  }
}

// Fast Walsh-Hadamard transform, orthonormal. REQUIRES: the length is a power of two.
void transform(std::span<float> values) {
  for (size_t half = 1; half < values.size(); half *= 2) {
    for (size_t block = 0; block < values.size(); block += 2 * half) {
      for (size_t i = block; i < block + half; ++i) {
        const float a = values[i];
        const float b = values[i + half];
        values[i] = a + b;
        values[i + half] = a - b;
      }
    }
  }
  const float norm = 1.0F / std::sqrt(static_cast<float>(values.size()));
  for (float& value : values) value *= norm;
}

void flip_and_transform(std::span<float> values, const Signs& signs) {
#ifdef RUNNEL_FAST_KERNELS
  if (!use_reference() && values.size() >= kFastTransformMin) return flip_and_transform_fast(values, signs.data());
#endif
  flip(values, signs);
  transform(values);
}

void transform_and_flip(std::span<float> values, const Signs& signs) {
#ifdef RUNNEL_FAST_KERNELS
  if (!use_reference() && values.size() >= kFastTransformMin) return transform_and_flip_fast(values, signs.data());
#endif
  transform(values);
  flip(values, signs);
}

// The passes of one chunk: each is a part of it, flipped and transformed. Pass p of a power of two is round p; else the
// even passes take the head and the odd ones the tail.
template <typename Visitor>
void for_each_pass(std::span<float> chunk, bool backwards, Visitor&& visit) {
  const size_t part = std::bit_floor(chunk.size());
  const bool whole = part == chunk.size();
  const uint64_t passes = whole ? kRounds : 2 * kRounds;
  for (uint64_t k = 0; k < passes; ++k) {
    const uint64_t pass = backwards ? passes - 1 - k : k;
    visit(pass, whole || pass % 2 == 0 ? chunk.first(part) : chunk.last(part));
  }
}

template <typename Visitor>
void for_each_chunk(std::span<float> values, Visitor&& visit) {
  for (size_t first = 0; first < values.size(); first += kRotationChunk) {
    visit(first / kRotationChunk, values.subspan(first, std::min(kRotationChunk, values.size() - first)));
  }
}

}  // namespace

void rotate(std::span<float> values, uint64_t seed) {
  for_each_chunk(values, [&](uint64_t index, std::span<float> chunk) {
    for_each_pass(chunk, false, [&](uint64_t pass, std::span<float> part) {
      flip_and_transform(part, signs_of(seed, index, pass, part.size()));
    });
  });
}

void rotate_back(std::span<float> values, uint64_t seed) {
  for_each_chunk(values, [&](uint64_t index, std::span<float> chunk) {
    for_each_pass(chunk, true, [&](uint64_t pass, std::span<float> part) {
      transform_and_flip(part, signs_of(seed, index, pass, part.size()));
    });
  });
}

}  // namespace runnel::codec
