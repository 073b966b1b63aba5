// Half precision: every value as an IEEE 754 binary16, rounded to nearest, ties to even, little-endian, in order.
//
//   payload = value{count}     scale = the largest magnitude after rounding      bits = 16, levels = 0, bucket = 0
//
// The conversion is integer arithmetic on the bits, so it is the same everywhere, denormals and zeros of both signs
// included. A value that would round to infinity is refused: an update of that size is not for 16 bits, and clamping
// would hide it.
#pragma once

#include "runtime/codec/scheme.h"

namespace runnel::codec {

// Infinity's bits, with the sign, for magnitudes from 65520 up and for NaN.
uint16_t half_from_float(float value);
// Exact.
float float_from_half(uint16_t bits);

uint64_t fp16_bytes_max(const plan::CodecSpec& spec, uint32_t count);

// kNotFinite names the first value that is not a number, kOutOfRange the first beyond half precision.
Result<plan::EncodedTensor> encode_fp16(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                                        MutableByteView out);

// Refuses values that are not finite or larger than the scale.
Failure decode_fp16(const plan::EncodedTensor& tensor, std::span<float> values);

}  // namespace runnel::codec
