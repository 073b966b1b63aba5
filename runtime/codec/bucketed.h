// The bucketed schemes: a norm for every bucket, then one small integer for every value, in one of four codes.
//
// Which scheme: qsgd, qsgd_inf, nuqsgd, nuqsgd_inf, terngrad differ only in their Quantizer (quantizer.h). For `count`
// values in buckets of `bucket` (the last one may be shorter) a payload is, by tensor.coder,
//
//   raw      value{count}                                   # fp32, exact; when nothing else is shorter
//   auto     norm{buckets} elias{buckets with norm > 0} zero-bits up to a whole byte        # elias_bucket.h
//   fixed    norm{buckets} code{count}                      # fixed_width.h; those of zero buckets are there, and zero
//   rans     norm{buckets} [ lowest:i8  last:u8  table  words ]                             # rans.h
//   norm     = fp32, little-endian                          # >= 0 and not -0, at most the tensor's scale
//
// In a tensor `auto` means Elias, which these schemes began with. rans: symbols are q - lowest, 0 .. last; pieces are
// the symbols of buckets with norm > 0 in each chunk of 4096 coordinates; nothing follows the norms if all are zero;
// the number of states is rans_states(count, last + 1). A bucket of zeros costs its norm at most, and its values are
// not quantized.
//
// Coordinate i is rounded with number i mod 4096 of chunk i / 4096 of LaneRng(seed), so that chunks can be made in any
// order: an asymmetric numeral system wants the last one first. Symbols of 4 bits wait for it in the output buffer, as
// the fixed code; others are made twice, since there is no scratch to keep them in.
//
// Worked example, Elias. 22 values, bucket 8, qsgd with levels 5: {0 0 -3 0 4 0 0 0} {0 0 0 0 0 0 0 0} {0.5 0 0 0 0 0}.
// The norms are 5, 0 and 0.5; the symbols are {0 0 -3 0 4 0 0 0}, none, {5 0 0 0 0 0}, without any chance since all
// s v / norm are integers here.
//   00 00 A0 40  00 00 00 00  00 00 00 3F                   # norms
//   0  0 0 101000.1 0 101010.0 0 0 0                        # dense: 1 + 20 bits (a sparse code would take 20, too)
//   1  100 0.0.101010                                       # sparse: 1 + 11 bits (a dense code would take 12)
//   0000000                                                 # padding; the bits are the bytes 14 55 06 15 00
// The same with 4 bits a code (fixed, q + 5, too short for a group): 55 25 95 55 55 55 55 55 A5 55 55 behind the norms.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/codec/scheme.h"

namespace runnel::codec {

// For a coder that is asked for, the most it can take. For kAuto no more than fp32 and some bytes. Not what encoding
// with a coder that is not for these schemes needs, which fails.
uint64_t bucketed_bytes_max(const plan::CodecSpec& spec, uint32_t count);

// With kAuto takes the coder that makes this tensor shortest; Elias is left out of tensors of more than 65536 values if
// eight chunks of them say that another coder is shorter. kNotFinite names the first value that is not a number.
// kOutOfRange names a bucket whose norm is beyond fp32: an update of that size has diverged, and clamping it would hide
// that. kUnsupported for a coder that these schemes do not have, and for kRans if the symbols are beyond -127 .. 127.
Result<plan::EncodedTensor> encode_bucketed(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                                            MutableByteView out);

// Takes time O(count + payload bytes).
Failure decode_bucketed(const plan::EncodedTensor& tensor, std::span<float> values);

// acc[i] += weight * values[i] without the values in memory. After a failure acc is unspecified.
// REQUIRES: acc.size() == tensor.count; not the Elias code with buckets of more than 4096.
Failure accumulate_bucketed(const plan::EncodedTensor& tensor, float weight, std::span<float> acc);

// The header of a bucketed tensor: its levels, bucket and bits belong together.
Failure check_bucketed_header(const plan::EncodedTensor& tensor);
// The payload begins with as many norms as there are buckets, all finite, not negative and at most the scale.
// REQUIRES: a header that was checked.
Failure check_bucket_norms(const plan::EncodedTensor& tensor);

constexpr uint32_t bucket_count(uint32_t count, uint32_t bucket) {
  return static_cast<uint32_t>((uint64_t{count} + bucket - 1) / bucket);
}

}  // namespace runnel::codec
