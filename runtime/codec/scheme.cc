#include "runtime/codec/scheme.h"

#include <bit>
#include <cmath>

#include "runtime/codec/bucketed.h"
#include "runtime/codec/eden.h"
#include "runtime/codec/fp16.h"
#include "runtime/codec/fp32.h"
#include "runtime/codec/sign.h"
#include "runtime/codec/step_codec.h"
#include "runtime/codec/trellis.h"

namespace runnel::codec {
namespace {

constexpr Scheme kSchemes[] = {
    {plan::CodecId::kFp32, fp32_bytes_max, encode_fp32, decode_fp32},
    {plan::CodecId::kQsgd, bucketed_bytes_max, encode_bucketed, decode_bucketed},
    {plan::CodecId::kQsgdInf, bucketed_bytes_max, encode_bucketed, decode_bucketed},
    {plan::CodecId::kNuqsgd, bucketed_bytes_max, encode_bucketed, decode_bucketed},
    {plan::CodecId::kNuqsgdInf, bucketed_bytes_max, encode_bucketed, decode_bucketed},
    {plan::CodecId::kTerngrad, bucketed_bytes_max, encode_bucketed, decode_bucketed},
    {plan::CodecId::kFp16, fp16_bytes_max, encode_fp16, decode_fp16},
    {plan::CodecId::kDithered, step_bytes_max, encode_step, decode_step, predict_step_bytes, guess_step},
    {plan::CodecId::kDeadzone, step_bytes_max, encode_step, decode_step, predict_step_bytes, guess_step},
    {plan::CodecId::kTrellis, trellis_bytes_max, encode_trellis, decode_trellis, predict_trellis_bytes},
    {plan::CodecId::kSign, sign_bytes_max, encode_sign, decode_sign},
    {plan::CodecId::kSignDithered, sign_bytes_max, encode_sign, decode_sign},
    {plan::CodecId::kEden, eden_bytes_max, encode_eden, decode_eden},
};

}  // namespace

const Scheme* find_scheme(plan::CodecId id) {
  for (const Scheme& scheme : kSchemes) {
    if (scheme.id == id) return &scheme;
  }
  return nullptr;
}

Failure check_finite(std::span<const float> values) {
  // Without a branch, so that the compiler makes vectors of it; where the value is matters only if there is one.
  uint32_t strange = 0;
  for (const float value : values)
    strange |= static_cast<uint32_t>((std::bit_cast<uint32_t>(value) & 0x7F800000U) == 0x7F800000U);
  if (strange == 0) return Error::kOk;
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
