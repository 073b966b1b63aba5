#include "runtime/codec/fp32.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace runnel::codec {

uint64_t fp32_bytes_max(const plan::CodecSpec& /*spec*/, uint32_t count) {
  return uint64_t{count} * sizeof(float);
}

Result<plan::EncodedTensor> encode_fp32(const plan::CodecSpec& /*spec*/, std::span<const float> values,
                                        uint64_t /*seed*/, MutableByteView out) {
  if (Failure failure = check_finite(values); !failure.ok()) return failure;
  float scale = 0.0F;
  for (const float value : values) scale = std::max(scale, std::abs(value));
  if (!values.empty()) std::memcpy(out.data(), values.data(), values.size_bytes());
  plan::EncodedTensor tensor;
  tensor.codec = plan::CodecId::kFp32;
  tensor.count = static_cast<uint32_t>(values.size());
  tensor.scale = scale;
  tensor.payload = out.first(values.size_bytes());
  return tensor;
}

Failure decode_fp32(const plan::EncodedTensor& tensor, std::span<float> values) {
  if (tensor.bits != 32 || tensor.levels != 0 || tensor.bucket != 0) {
    return fail(Error::kMalformed, "fp32 has 32 bits, no levels and no bucket, not %u, %u and %u",
                unsigned{tensor.bits}, tensor.levels, tensor.bucket);
  }
  if (tensor.payload.size() != values.size_bytes()) {
    return fail(tensor.payload.size() < values.size_bytes() ? Error::kTruncated : Error::kMalformed,
                "payload is %zu bytes, not %zu", tensor.payload.size(), values.size_bytes());
  }
  if (!values.empty()) std::memcpy(values.data(), tensor.payload.data(), values.size_bytes());
  RUNNEL_TRY(check_finite(values));
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::abs(values[i]) <= tensor.scale) continue;
    return fail(Error::kOutOfRange, "value %zu is %g, larger than the scale %g", i, static_cast<double>(values[i]),
                static_cast<double>(tensor.scale));
  }
  return Error::kOk;
}

}  // namespace runnel::codec
