// QSGD (Alistarh, Grubic, Li, Tomioka, Vojnovic 2017): a bucket of values as one fp32 norm and small integers in Elias
// codes.
//
// The integers come from qsgd_quantizer.h; this file is their bytes. Grammar of a payload, for `count` values in
// buckets of `bucket` (the last one may be shorter), with bits packed most significant first and norms little-endian:
//
//   payload = norm{buckets} code{buckets with norm > 0} zero-bits up to a whole byte
//   norm    = fp32                                          # >= 0 and not -0, at most the tensor's scale
//   code    = 0 dense | 1 sparse                            # the shorter one; dense if they tie
//   dense   = level{values in the bucket}
//   level   = omega(z + 1), then sign if z > 0
//   sparse  = omega(nonzero + 1) entry{nonzero}             # nonzero = how many z > 0 there are
//   entry   = omega(gap) sign omega(z)                      # gap from the entry before; the first counts from position
//   -1 sign    = 1 for negative
//
// The paper leaves open how a sparse code ends; here the number of entries comes first. A bucket of zeros costs only
// its norm.
//
// Worked example. 22 values, bucket 8, levels 5: {0 0 -3 0 4 0 0 0} {0 0 0 0 0 0 0 0} {0.5 0 0 0 0 0}. The norms are 5,
// 0 and 0.5; the levels are {0 0 3 0 4 0 0 0}, none, {5 0 0 0 0 0}, without any chance since all s |v| / norm are
// integers here.
//   00 00 A0 40  00 00 00 00  00 00 00 3F                   # norms
//   0  0 0 101000.1 0 101010.0 0 0 0                        # dense: 1 + 20 bits (a sparse code would take 20, too)
//   1  100 0.0.101010                                       # sparse: 1 + 11 bits (a dense code would take 12)
//   0000000                                                 # padding; the bits are the bytes 14 55 06 15 00
#pragma once

#include <cstdint>
#include <span>

#include "runtime/codec/scheme.h"

namespace runnel::codec {

// The length of one bucket's code in either form, in bits and without the bit that tells the forms apart. Levels are
// added in order, in as many pieces as the caller likes.
class QsgdCodeLength {
 public:
  void add(std::span<const uint16_t> levels);
  uint64_t dense_bits() const { return dense_bits_; }
  uint64_t sparse_bits() const;
  uint32_t nonzero_count() const { return nonzero_count_; }

 private:
  uint64_t dense_bits_ = 0;
  uint64_t entry_bits_ = 0;
  uint32_t nonzero_count_ = 0;
  uint32_t gap_ = 1;  // of the next coordinate, should it be nonzero
};

// All values at the highest level in dense form.
uint64_t qsgd_bytes_max(const plan::CodecSpec& spec, uint32_t count);

// kNotFinite names the first value that is not a number. kOutOfRange names a bucket whose norm is beyond fp32: an
// update of that size has diverged, and clamping it would hide that.
Result<plan::EncodedTensor> encode_qsgd(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                                        MutableByteView out);

// Takes time O(count + payload bytes).
Failure decode_qsgd(const plan::EncodedTensor& tensor, std::span<float> values);

}  // namespace runnel::codec
