// Two rounds of the randomized Hadamard transform: an orthogonal map that makes the coordinates of any vector look like
// independent Gaussians, so that one quantizer fits all data and a deterministic one becomes unbiased on average.
//
// One round is not enough: a vector with two large coordinates stays visibly structured after it, and a deterministic
// quantizer is then biased (docs/quantization.md). The vector is taken in chunks of 4096; a chunk whose length n is no
// power of two is covered by two overlapping transforms of the largest power below, over its head and over its tail, so
// that nothing is padded and nothing more is sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace runnel::codec {

inline constexpr size_t kRotationChunk = 4096;

// In place; the norm stays the same up to rounding. Any length, 0 too. Same seed, same values, same bits everywhere.
void rotate(std::span<float> values, uint64_t seed);

// The way back: rotate_back(rotate(x)) is x up to rounding.
void rotate_back(std::span<float> values, uint64_t seed);

}  // namespace runnel::codec
