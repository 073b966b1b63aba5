// Indices of the trellis quantizer to bytes and back: four interleaved asymmetric numeral systems (rANS, Duda 2013) of
// 32 bits that move 16 bits at a time, driven by TrellisModel.
//
// Coordinate n belongs to system n mod 4. What is coded: a byte with shape and rate of the model, a byte with the class
// to begin with, the four systems' last states, then 16-bit words.
//
// Memory: 1 KiB of stack. Trust: unpack_trellis takes anyone's bytes.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/base/bytes.h"
#include "runtime/base/error.h"
#include "runtime/codec/trellis_model.h"

namespace runnel::codec {

inline constexpr int32_t kTrellisIndexMax = 1 << 20;  // |k| that a decoder takes; an encoder makes half of it

struct TrellisModelChoice {
  TrellisShape shape = TrellisShape::kGaussian;
  uint8_t rate = 4;  // the scale follows with weight 2^-rate a group; 1..7
  uint8_t first_class = 0;
  double bits = 0.0;  // what the coordinates will take
};

// The model with the fewest bits for symbols as search_trellis writes them.
TrellisModelChoice choose_trellis_model(ByteView symbols, size_t count);

// Codes `count` symbols, which lie at the start of `buffer` and are overwritten. The result is left at the end of the
// buffer; empty if it would not fit beside the symbols not yet coded, which takes more than 32 bits a coordinate.
// REQUIRES: buffer.size() >= 4 * count + kTrellisPackSlackBytes.
inline constexpr size_t kTrellisPackSlackBytes = 192;
ByteView pack_trellis(const TrellisModelChoice& choice, MutableByteView buffer, size_t count);

// About the size of what pack_trellis would return, without the search: every value counts as its
// nearest even or its nearest odd point, in turn. Within 1 % from 1.5 bits a coordinate up; at one bit up to 5 % and at
// half a bit up to 20 % off, where the paths stay at zero more often than single values tell. 0 for no values.
// REQUIRES: finite values.
double predict_packed_trellis_bytes(std::span<const float> values, float inverse_step);

// values[n] = i_n * unit. REQUIRES: unit * 2^22 is finite.
Failure unpack_trellis(ByteView payload, float unit, std::span<float> values);

}  // namespace runnel::codec
