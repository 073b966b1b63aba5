// EDEN (Vargaftik et al. 2022): the coordinates of a rotated vector look Gaussian, so each takes the nearest of the
// 2^b Lloyd-Max centroids of N(0, 1), at fixed width; one factor S = ||x||^2 / <c, x> for the tensor makes the whole
// unbiased over the rotations. update_codec.h rotates; this scheme quantizes.
//
// Widths may be fractions. Above one bit, a share bits - floor(bits) of the coordinates, drawn from the seed, takes one
// bit more. Below one bit, that share of the coordinates is sent with one bit and stands for all: S grows by 1 / bits,
// and the rest is zero.
//
// Payload: the width in bits as fp32, then the indices one after the other, the highest bit first: the sign, then the
// centroid. Nothing at all if every value is zero. The factor is the tensor's scale.
#pragma once

#include "runtime/codec/scheme.h"

namespace runnel::codec {

uint64_t eden_bytes_max(const plan::CodecSpec& spec, uint32_t count);
Result<plan::EncodedTensor> encode_eden(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                                        MutableByteView out);
Failure decode_eden(const plan::EncodedTensor& tensor, std::span<float> values);

}  // namespace runnel::codec
