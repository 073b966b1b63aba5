// One bit a coordinate. `sign` sends the sign, and the receiver has it times the mean magnitude of the bucket: the
// least squared error that one bit can have with such a scale, and biased (Bernstein et al. 2018). `sign_dithered`
// sends the sign of the value plus uniform noise as wide as the bucket's largest magnitude m, and the receiver has it
// times m:
//   P(x + u > 0) = (1 + x / m) / 2,  u uniform in (-m, m),  hence  E x^ = x.
// The noise needs not be known to the receiver.
//
// Payload: the buckets' scales as fp32, then a bit for each coordinate, the lowest bits of a byte first, 1 for
// negative.
#pragma once

#include "runtime/codec/scheme.h"

namespace runnel::codec {

// spec.codec tells which of the two is meant, in a tensor tensor.codec.
uint64_t sign_bytes_max(const plan::CodecSpec& spec, uint32_t count);
Result<plan::EncodedTensor> encode_sign(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                                        MutableByteView out);
Failure decode_sign(const plan::EncodedTensor& tensor, std::span<float> values);

}  // namespace runnel::codec
