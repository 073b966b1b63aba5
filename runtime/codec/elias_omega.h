// The Elias omega ("recursive") code of the integers from 1 up: short for small ones, no bound needed in advance.
//
// The code of k: start with "0"; while k > 1, put binary(k) in front and go on with k = bits of binary(k) - 1.
//   1: 0    2: 10 0    3: 11 0    4: 10 100 0    7: 10 111 0    8: 11 1000 0    16: 10 100 10000 0
// Lengths: 1, then 3 (2..3), 6 (4..7), 7 (8..15), 11 (16..31), 12, 13, 14, 16 (256..511), 17, 18 (1024..2047), ...
// Source: Elias 1975; used by QSGD (Alistarh et al. 2017, section 3). Each number has one code and each code one
// number.
//
// Here k < 2^21, so that a code always fits 32 bits: the largest number coded is one more than the largest bucket.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "runtime/codec/bit_reader.h"
#include "runtime/codec/bit_writer.h"

namespace runnel::codec {

struct OmegaCode {
  uint32_t bits = 0;  // in the low `length` bits
  uint32_t length = 0;
};

inline constexpr uint32_t kOmegaMax = (1U << 21) - 1;

// By the definition, step by step. REQUIRES: 1 <= k <= kOmegaMax.
constexpr OmegaCode make_omega_code(uint32_t k) {
  OmegaCode code{0, 1};
  while (k > 1) {
    const auto width = static_cast<uint32_t>(std::bit_width(k));
    code.bits |= k << code.length;
    code.length += width;
    k = width - 1;
  }
  return code;
}

inline constexpr uint32_t kOmegaTableSize = 64;

// Codes of 0 (unused) to kOmegaTableSize - 1: nearly all numbers that a quantized update contains.
inline constexpr auto kOmegaTable = [] {
  std::array<OmegaCode, kOmegaTableSize> table{};
  for (uint32_t k = 1; k < kOmegaTableSize; ++k) table[k] = make_omega_code(k);
  return table;
}();

// Length by bit_width(k). Numbers of the same width have codes of the same length.
inline constexpr auto kOmegaLengthByWidth = [] {
  std::array<uint8_t, 22> table{};
  for (uint32_t width = 1; width < 22; ++width) {
    table[width] = static_cast<uint8_t>(make_omega_code(1U << (width - 1)).length);
  }
  return table;
}();

// REQUIRES: 1 <= k <= kOmegaMax.
constexpr OmegaCode omega_code(uint32_t k) {
  if (k < kOmegaTableSize) return kOmegaTable[k];
  // binary(k) and the closing zero behind what the width's own code puts in front.
  const auto width = static_cast<uint32_t>(std::bit_width(k));
  const OmegaCode front = kOmegaTable[width - 1];
  return {((front.bits >> 1) << (width + 1)) | (k << 1), front.length + width};
}

// Bits of the code. REQUIRES: 1 <= k <= kOmegaMax.
constexpr uint32_t omega_length(uint32_t k) {
  return kOmegaLengthByWidth[static_cast<uint32_t>(std::bit_width(k))];
}

inline void put_omega(BitWriter& writer, uint32_t k) {
  const OmegaCode code = omega_code(k);
  writer.put(code.bits, code.length);
}

// The value 0 stands for a code beyond kOmegaMax; nothing is consumed then.
inline uint32_t take_omega(BitReader& reader) {
  const uint32_t word = reader.peek32();
  uint32_t k = 1;
  uint32_t used_bits = 0;
  while ((word << used_bits) >> 31 != 0) {
    if (k > 20) return 0;  // the next group would be longer than 21 bits
    const uint32_t group_bits = k + 1;
    k = (word << used_bits) >> (32 - group_bits);
    used_bits += group_bits;
  }
  reader.skip(used_bits + 1);
  return k;
}

}  // namespace runnel::codec
