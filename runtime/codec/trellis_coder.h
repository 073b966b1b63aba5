// Indices of the trellis quantizer to bytes and back: interleaved asymmetric numeral systems (rANS, Duda 2013) of 32
// bits that move 16 bits at a time, driven by TrellisModel.
//
// There are four systems and coordinate n belongs to system n mod 4; fewer than 4096 coordinates have one, since what a
// system leaves behind counts there. What is coded: a byte with shape and rate of the model, a byte with the class to
// begin with, the systems' last states, then 16-bit words.
//
// Memory: 1 KiB of stack; predicting takes the search's 37 KiB too. Trust: unpack_trellis takes anyone's bytes.
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

// The size of what pack_trellis would return, within 1 %, by searching and costing the vector, or a sample of a large
// one: 2^17 coordinates, or 2^20 where less than 0.75 bit a coordinate makes a small one unreliable. 0 if all points
// are zero, or for no values. REQUIRES: finite values, |value * inverse_step| <= 2^20.
double predict_packed_trellis_bytes(std::span<const float> values, float inverse_step);

// values[n] = i_n, at most 2^22 in magnitude.
Failure unpack_trellis(ByteView payload, std::span<float> values);

}  // namespace runnel::codec
