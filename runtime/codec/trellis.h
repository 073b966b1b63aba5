// Trellis-coded quantization with one absolute step, entropy coded (Fischer and Wang 1992): about 0.05 bit a coordinate
// above the rate-distortion limit of Gaussian values, where entropy-coded scalar quantization is 0.25 above it.
//
// The receiver scales what it decodes. Rotated values without error feedback have the factor ||x||^2 / <x^, x>, which
// makes a deterministic quantizer unbiased over the rotations (Vargaftik et al. 2022), for each chunk of 4096 that is
// rotated together; chunks are unlike each other in real updates. A chunk that quantizes to zeros stays zero, and one
// of which hardly anything is left has a factor of 8 at most: so much bias is better than an error many times as large.
// All others get <x^, x> / <x^, x^>, which has the least squared error: one for the tensor, or one for a rotated chunk.
//
// Payload: the factors as bfloat16 and what pack_trellis makes; nothing if every value is decoded as zero; or the
// values as fp32 (Coder::kRaw) where that is shorter or an index would exceed 2^20.
#pragma once

#include "runtime/codec/scheme.h"

namespace runnel::codec {

uint64_t trellis_bytes_max(const plan::CodecSpec& spec, uint32_t count);
Result<plan::EncodedTensor> encode_trellis(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                                           MutableByteView out);
Failure decode_trellis(const plan::EncodedTensor& tensor, std::span<float> values);
double predict_trellis_bytes(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed);

}  // namespace runnel::codec
