// What a quantization scheme is to the rest of this room: three functions in a table, keyed by the codec's number.
//
// A new scheme is one file that defines a Scheme, one line in scheme_table.cc and one number in plan::CodecId; callers
// of update_codec.h do not change. Inside a scheme a failure's text starts at the value or the bucket; update_codec.cc
// puts the tensor's name in front.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"
#include "runtime/plan/encoded_tensor.h"
#include "runtime/plan/round_plan.h"

namespace runnel::codec {

struct Scheme {
  plan::CodecId id;

  // Upper bound of the payload of `count` values, in bytes. `spec` is valid.
  uint64_t (*bytes_max)(const plan::CodecSpec& spec, uint32_t count);

  // `spec` is valid, its step is set if the scheme has one, and out.size() >= bytes_max(spec, values.size()); the
  // values may be anything. All randomness derives from `seed`, which tensor.seed must repeat if decoding needs it.
  Result<plan::EncodedTensor> (*encode)(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                                        MutableByteView out);

  // values.size() == tensor.count and the scale is finite and >= 0; everything else is unchecked.
  Failure (*decode)(const plan::EncodedTensor& tensor, std::span<float> values);

  // Schemes with a step only: the payload's size in bytes, without encoding. The values are finite.
  double (*predict_bytes)(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed) = nullptr;

  // Schemes with a step, optional: a step whose payload is near `bytes_max`, found faster than by predict_bytes alone.
  float (*guess_step)(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                      double bytes_max) = nullptr;
};

// Those of this program: scheme_table.cc, or a board's own table in its place.
std::span<const Scheme> schemes();

// Null for a number that none of them has.
const Scheme* find_scheme(plan::CodecId id);

// kNotFinite with the index of the first NaN or infinity, kOk if there is none.
Failure check_finite(std::span<const float> values);

// True for zero and every positive finite number; false for -0, so that a norm has one representation.
bool valid_norm(float norm);

}  // namespace runnel::codec
