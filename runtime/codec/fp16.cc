#include "runtime/codec/fp16.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace runnel::codec {
namespace {

constexpr uint32_t kHalfInfinity = 0x7C00;

bool is_finite_half(uint16_t bits) {
  return (bits & kHalfInfinity) != kHalfInfinity;
}

}  // namespace

uint16_t half_from_float(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude >= 0x477FF000) return static_cast<uint16_t>(sign | kHalfInfinity);  // 65520, halfway to 2^16
  if (magnitude < 0x38800000) {
    // Below 2^-14: a multiple of 2^-24, found by shifting the significand to where its last bit weighs that.
    if (magnitude < 0x33000000) return static_cast<uint16_t>(sign);  // below 2^-25
    const uint32_t shift = 126 - (magnitude >> 23);
    const uint32_t significand = (magnitude & 0x7FFFFF) | 0x800000;
    const uint32_t kept = significand >> shift;
    const uint32_t rest = significand & ((1U << shift) - 1);
    const uint32_t half = 1U << (shift - 1);
    const uint32_t up = rest > half || (rest == half && (kept & 1) != 0) ? 1 : 0;
    return static_cast<uint16_t>(sign | (kept + up));
  }
  // The exponent's bias goes from 127 to 15 and the significand from 23 bits to 10; a carry walks into the exponent.
  const uint32_t rebiased = magnitude - ((127U - 15U) << 23);
  const uint32_t rounded = rebiased + 0xFFF + (rebiased >> 13 & 1);
  return static_cast<uint16_t>(sign | rounded >> 13);
}

float float_from_half(uint16_t bits) {
  const uint32_t sign = (bits & 0x8000U) << 16;
  const uint32_t exponent = bits >> 10 & 0x1F;
  const uint32_t fraction = bits & 0x3FFU;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1.0p-24F;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000U | fraction << 13);
  return std::bit_cast<float>(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

uint64_t fp16_bytes_max(const plan::CodecSpec& /*spec*/, uint32_t count) {
  return uint64_t{count} * sizeof(uint16_t);
}

Result<plan::EncodedTensor> encode_fp16(const plan::CodecSpec& /*spec*/, std::span<const float> values,
                                        uint64_t /*seed*/, MutableByteView out) {
  uint16_t largest = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = half_from_float(values[i]);
    if (!is_finite_half(half)) {
      if (Failure failure = check_finite(values); !failure.ok()) return failure;
      return fail(Error::kOutOfRange, "value %zu is %g, beyond half precision", i, static_cast<double>(values[i]));
    }
    largest = std::max<uint16_t>(largest, half & 0x7FFF);
    store_le(out.data() + 2 * i, half);
  }
  plan::EncodedTensor tensor;
  tensor.codec = plan::CodecId::kFp16;
  tensor.count = static_cast<uint32_t>(values.size());
  tensor.bits = 16;
  tensor.scale = float_from_half(largest);
  tensor.payload = out.first(2 * values.size());
  return tensor;
}

Failure decode_fp16(const plan::EncodedTensor& tensor, std::span<float> values) {
  if (tensor.bits != 16 || tensor.levels != 0 || tensor.bucket != 0) {
    return fail(Error::kMalformed, "fp16 has 16 bits, no levels and no bucket, not %u, %u and %u",
                unsigned{tensor.bits}, tensor.levels, tensor.bucket);
  }
  if (tensor.payload.size() != 2 * values.size()) {
    return fail(tensor.payload.size() < 2 * values.size() ? Error::kTruncated : Error::kMalformed,
                "payload is %zu bytes, not %zu", tensor.payload.size(), 2 * values.size());
  }
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = float_from_half(load_le<uint16_t>(tensor.payload.data() + 2 * i));
    if (std::fabs(values[i]) <= tensor.scale) continue;
    return fail(std::isfinite(values[i]) ? Error::kOutOfRange : Error::kNotFinite,
                "value %zu is %g, larger than the scale %g", i, static_cast<double>(values[i]),
                static_cast<double>(tensor.scale));
  }
  return Error::kOk;
}

}  // namespace runnel::codec
