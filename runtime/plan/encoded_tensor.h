// One tensor of an update as it travels: the codec's parameters next to its bytes, so that it describes itself.
#pragma once

#include <cstdint>

#include "runtime/base/bytes.h"
#include "runtime/plan/round_plan.h"

namespace runnel::plan {

struct EncodedTensor {
  CodecId codec = CodecId::kFp32;
  uint32_t count = 0;   // coordinates
  uint8_t bits = 32;    // of one coordinate at fixed width: 32 for fp32, 1 + bit_width(levels) for qsgd
  uint32_t levels = 0;  // s; 0 for fp32
  uint32_t bucket = 0;  // coordinates that share a norm; 0 for fp32
  float scale = 0.0F;   // the largest norm among the buckets, or the largest magnitude for fp32: finite, >= 0
  ByteView payload;     // borrowed: lives as long as the buffer it was encoded into or received in
};

}  // namespace runnel::plan
