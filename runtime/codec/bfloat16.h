// The upper half of an fp32 number: its exponent and eight bits of significand, for factors that travel once a chunk.
//
// A factor that is off by 2^-9 adds 2^-18 of the squared norm to the squared error at most, and next to nothing where
// steps are fine: there the best factor is so close to 1 that it is rounded to 1.
#pragma once

#include <bit>
#include <cstdint>

namespace runnel::codec {

// The nearest, of two the even one. What is beyond the largest becomes infinite. REQUIRES: value is no NaN.
inline uint16_t to_bfloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}

inline float from_bfloat16(uint16_t half) {
  return std::bit_cast<float>(uint32_t{half} << 16);
}

}  // namespace runnel::codec
