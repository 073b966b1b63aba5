// The schemes of a program for 128 KB: those whose encoders work in a stack of a few KB. This table takes the place of
// the library's (runtime/codec/scheme_table.cc). What is not in it takes no flash, is not in the board's Hello, and so
// is in no plan for it; and as it cannot read deltas, the board gets whole models.
#include "runtime/codec/fp16.h"
#include "runtime/codec/fp32.h"
#include "runtime/codec/scheme.h"
#include "runtime/codec/sign.h"

namespace runnel::codec {
namespace {

constexpr Scheme kSchemes[] = {
    {plan::CodecId::kFp32, fp32_bytes_max, encode_fp32, decode_fp32},
    {plan::CodecId::kFp16, fp16_bytes_max, encode_fp16, decode_fp16},
    {plan::CodecId::kSign, sign_bytes_max, encode_sign, decode_sign},
    {plan::CodecId::kSignDithered, sign_bytes_max, encode_sign, decode_sign},
};

}  // namespace

std::span<const Scheme> schemes() {
  return kSchemes;
}

}  // namespace runnel::codec
