// Which codecs this build has: all of them, but on a board whose memory is too small for kTrellis (tables of
// 70 KB) and kEden (one fp32 a parameter).
//
// Threads: no state.
#pragma once

#include "runtime/plan/round_plan.h"

namespace runnel::codec {

// A device says in its Hello what it can encode with, and gets no plan with anything else.
bool is_available(plan::CodecId id);

}  // namespace runnel::codec
