#include "runtime/codec/scheme.h"

#include <cmath>

#include "runtime/codec/fp32.h"
#include "runtime/codec/qsgd.h"
#include "runtime/codec/step_codec.h"

namespace runnel::codec {
namespace {

constexpr Scheme kSchemes[] = {
    {plan::CodecId::kFp32, fp32_bytes_max, encode_fp32, decode_fp32},
    {plan::CodecId::kQsgd, qsgd_bytes_max, encode_qsgd, decode_qsgd},
    {plan::CodecId::kDithered, step_bytes_max, encode_step, decode_step, predict_step_bytes},
    {plan::CodecId::kDeadzone, step_bytes_max, encode_step, decode_step, predict_step_bytes},
};

}  // namespace

const Scheme* find_scheme(plan::CodecId id) {
  for (const Scheme& scheme : kSchemes) {
    if (scheme.id == id) return &scheme;
  }
  return nullptr;
}

Failure check_finite(std::span<const float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    return fail(Error::kNotFinite, "value %zu is %s", i, std::isnan(values[i]) ? "nan" : "infinite");
  }
  return Error::kOk;
}

bool valid_norm(float norm) {
  return std::isfinite(norm) && !std::signbit(norm);
}

}  // namespace runnel::codec
