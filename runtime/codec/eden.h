// EDEN (Vargaftik et al. 2022): the coordinates of a rotated vector look Gaussian, so each takes the nearest of the
// 2^b Lloyd-Max centroids of N(0, 1), at fixed width; a factor S = ||x||^2 / <c, x> makes it unbiased over the
// rotations. update_codec.h rotates; this scheme quantizes. What is rotated together, a chunk of 4096, has a norm and a
// factor of its own: one for the whole tensor is badly biased where the chunks of an update differ in energy.
//
// Widths may be fractions. Above one bit, a share bits - floor(bits) of the coordinates, drawn from the seed, takes one
// bit more. Below one bit, that share of the coordinates is sent with one bit and stands for all: S grows by 1 / bits,
// and the rest is zero.
//
// Payload: the width in bits as fp32, the factor of every chunk as bfloat16, then the indices one after the other, the
// highest bit first: the sign, then the centroid. A chunk of zeros has the factor 0 and no indices; a tensor of zeros
// has no payload. The tensor's scale is the largest factor.
//
// Memory: 17 KiB of stack.
#pragma once

#include "runtime/codec/scheme.h"

namespace runnel::codec {

uint64_t eden_bytes_max(const plan::CodecSpec& spec, uint32_t count);
Result<plan::EncodedTensor> encode_eden(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                                        MutableByteView out);
Failure decode_eden(const plan::EncodedTensor& tensor, std::span<float> values);

}  // namespace runnel::codec
