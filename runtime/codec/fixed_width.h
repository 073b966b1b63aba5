// Symbols of equal width: a symbol q in -m .. m becomes the code q + m in bit_width(2 m) bits, at a place that its
// index alone determines.
//
// For widths that divide 32, groups of 256 / width symbols are eight 32-bit little-endian words, where field k of word
// j (fields from the low end) holds symbol 8 k + j: a vector of eight words and one shift are eight symbols in a row.
// The symbols behind the last whole group, and all symbols of the other widths, are packed one after another, the most
// significant bit first, with zero bits up to a whole byte.
//
// Trust: unpacking takes anyone's bytes; a code beyond 2 m, or padding that is not zero, is refused.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/bytes.h"
#include "runtime/base/error.h"
#include "runtime/codec/quantizer.h"

namespace runnel::codec {

// Bits of a symbol in -symbol_max .. symbol_max: 2 for 1, 4 for 7, 16 for 32767.
constexpr uint32_t fixed_width(uint32_t symbol_max) {
  return static_cast<uint32_t>(std::bit_width(2 * symbol_max));
}

// Symbols of a group of eight words; 0 for widths without groups.
constexpr size_t fixed_group(uint32_t width) {
  return 32 % width == 0 ? 256 / width : 0;
}

constexpr uint64_t fixed_bytes(uint32_t width, uint64_t count) {
  return (count * width + 7) / 8;
}

// Writes fixed_bytes(...) bytes. REQUIRES: |symbol| <= symbol_max, room.
void pack_fixed(uint32_t symbol_max, std::span<const int16_t> symbols, MutableByteView out);

// REQUIRES: in.size() == fixed_bytes(width, symbols.size()). kOutOfRange names the symbol, by its index in the span.
Failure unpack_fixed(uint32_t symbol_max, ByteView in, std::span<int16_t> symbols);

// quantize() and pack_fixed() in one.
// REQUIRES: as there, and values that begin and end at a whole group.
void quantize_and_pack(const Quantizer& quantizer, float norm, std::span<const float> values,
                       std::span<const uint16_t> numbers, MutableByteView out);

// counts[c] += how often c is among these codes of 4 bits, in whole groups.
void count_nibbles(ByteView groups, std::span<uint32_t, 16> counts);

}  // namespace runnel::codec
