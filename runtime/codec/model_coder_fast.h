// Vector kernels of the model coder: sixteen rANS states at a time. Only with RUNNEL_FAST_KERNELS.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/codec/model_tables.h"

namespace runnel::codec {

// Decodes one symbol a state. `thresholds` is where those of k = 0 stand for position 0 of the group; the words are
// read from `words`, of which 32 bytes must be readable; `used` grows by how many were. True if no symbol is an
// outermost one.
bool take_group_fast(const uint16_t* thresholds, int reach, const uint8_t* words, uint32_t* x, int32_t* indices,
                     size_t& used);

// Encodes one symbol a state, given its first slot and their number. Words are written below `end`, of which 32 bytes
// must be writable. Returns how many bytes they are.
size_t put_group_fast(const uint32_t* starts, const uint32_t* sizes, uint32_t* x, uint8_t* end);

}  // namespace runnel::codec
