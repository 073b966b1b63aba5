// What an update has to make up for, and updates as values: adding up what messages say.
//
// Threads: no state. Memory: adding takes one fp32 a parameter. Trust: messages come from this device's own outbox, and
// are decoded like anyone's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"
#include "runtime/plan/model_spec.h"

namespace runnel::device {

// What the next update has to make up for.
struct Carried {
  std::vector<float> residual;     // empty = none
  std::vector<uint64_t> returned;  // sequences of the updates in it that the coordinator did not take
};

// The layout of updates of the model in a Model message that decodes.
Result<plan::ModelLayout> update_layout_of(ByteView model_message);

// Adds what an Update message says to `sums`, one for each shared parameter. On failure nothing changed.
Failure add_update(ByteView update_message, const plan::ModelLayout& layout, std::span<float> sums);

}  // namespace runnel::device
