// A run of tensors of an update as it travels: the codec's parameters next to its bytes, so that it describes itself.
#pragma once

#include <cstdint>

#include "runtime/base/bytes.h"
#include "runtime/plan/round_plan.h"

namespace runnel::plan {

struct EncodedTensor {
  CodecId codec = CodecId::kFp32;
  uint32_t count = 0;   // coordinates
  uint8_t bits = 32;    // of one coordinate at fixed width: 32 for fp32, 1 + bit_width(levels) for qsgd; 0 = it varies
  uint32_t levels = 0;  // s of the schemes with levels, else 0
  uint32_t bucket = 0;  // coordinates that share a norm, else 0
  float scale = 0.0F;   // finite, >= 0: the step, or the largest norm among the buckets, or the largest magnitude
  ByteView payload;     // borrowed: lives as long as the buffer it was encoded into or received in
  Coder coder = Coder::kAuto;
  uint16_t tensors = 1;  // of the model's tensors, how many consecutive ones it holds
  bool rotated = false;
  float keep = 1.0F;  // share of the coordinates that were sent; which ones follows from `seed`
  uint64_t seed = 0;  // of dither, rotation and selection; 0 where none is used
};

}  // namespace runnel::plan
