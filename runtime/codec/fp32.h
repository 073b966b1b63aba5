// The exact scheme: every value as 32 bits, little-endian, in order. Also what a small tensor is sent as.
//
//   payload = value{count}        scale = the largest magnitude        bits = 32, levels = 0, bucket = 0
#pragma once

#include "runtime/codec/scheme.h"

namespace runnel::codec {

uint64_t fp32_bytes_max(const plan::CodecSpec& spec, uint32_t count);

// Takes nothing from `rng`. kNotFinite names the first value that is not a number.
Result<plan::EncodedTensor> encode_fp32(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                                        MutableByteView out);

// Refuses values that are not finite or larger than the scale.
Failure decode_fp32(const plan::EncodedTensor& tensor, std::span<float> values);

}  // namespace runnel::codec
