// The vector kernels behind rotate() and rotate_back(): one flip and one transform of a part of a chunk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace runnel::codec {

inline constexpr size_t kFastTransformMin = 64;  // eight vectors of eight lanes

// Values whose bit in `signs` is set are negated, then the orthonormal Walsh-Hadamard transform of a power of two is
// taken, in place; or the other way round. The bits are those of the plain reference. `signs` has a bit for each value.
// REQUIRES: at least kFastTransformMin values.
void flip_and_transform_fast(std::span<float> values, const uint16_t* signs);
void transform_and_flip_fast(std::span<float> values, const uint16_t* signs);

}  // namespace runnel::codec
