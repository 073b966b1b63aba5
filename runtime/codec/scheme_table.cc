// Which schemes a program has. In a file of its own: a board's program may bring another table, and what that does not
// name is not in its flash (device/port/mps2/few_codecs.cc).
#include "runtime/codec/bucketed.h"
#include "runtime/codec/eden.h"
#include "runtime/codec/fp16.h"
#include "runtime/codec/fp32.h"
#include "runtime/codec/scheme.h"
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
#ifndef RUNNEL_FEW_CODECS
    {plan::CodecId::kTrellis, trellis_bytes_max, encode_trellis, decode_trellis, predict_trellis_bytes},
#endif
    {plan::CodecId::kSign, sign_bytes_max, encode_sign, decode_sign},
    {plan::CodecId::kSignDithered, sign_bytes_max, encode_sign, decode_sign},
#ifndef RUNNEL_FEW_CODECS
    {plan::CodecId::kEden, eden_bytes_max, encode_eden, decode_eden},
#endif
};

}  // namespace

std::span<const Scheme> schemes() {
  return kSchemes;
}

}  // namespace runnel::codec
