// The schemes of one absolute step behind one entropy coder: `dithered` (subtractive dither; unbiased, error uniform
// and independent of the values) and `deadzone` (deterministic; least error for the bits, biased unless rotated).
//
// Payload, coder `model`: one byte (bits 0..2 the shape of the model, 3..5 log2 of the rANS states); for deadzone the
// rounding offset in 1/256 and the two centroid shifts in 1/256, signed; if rotated a factor for each 4096
// values, the upper half of an fp32; the rANS states and words. Coder `raw`: fp32. An update of zeros has an empty
// payload and step 0.
//
// While it encodes, the output buffer also holds the indices: encoding takes no other memory.
#pragma once

#include "runtime/codec/scheme.h"

namespace runnel::codec {

uint64_t step_bytes_max(const plan::CodecSpec& spec, uint32_t count);
Result<plan::EncodedTensor> encode_step(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                                        MutableByteView out);
Failure decode_step(const plan::EncodedTensor& tensor, std::span<float> values);
double predict_step_bytes(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed);
float guess_step(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed, double bytes_max);

}  // namespace runnel::codec
