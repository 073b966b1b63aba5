// Vector kernels of the model coder: sixteen rANS states at a time. Only with RUNNEL_FAST_KERNELS.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/codec/model_tables.h"

namespace runnel::codec {

// Decodes one symbol a state. `thresholds` is where those of k = 0 stand for position 0 of the group; the words are
// read from `words`, of which 32 bytes must be readable; `used` grows by how many were. True, and the group's activity,
// if no symbol is an outermost one.
bool take_group_fast(const uint16_t* thresholds, int reach, unsigned rotation, const uint8_t* words, uint32_t* x,
                     int16_t* indices, size_t& used, uint32_t& activity);

// A group to be encoded: thresholds as above.
struct PutRequest {
  const uint16_t* thresholds;
  int reach;
};
inline constexpr size_t kPutGroups = 8;

// Encodes `count` <= 8 groups, the last first, one symbol a state each: the first, third, ... with the sixteen states
// at `even`, the others with those at `odd`, which may be the same. Words are written below `end`, of which 32 bytes a
// group must be writable; `at` shrinks by how many bytes they are. False, and nothing done, if a symbol is an outermost
// one.
bool put_groups_fast(const PutRequest* groups, size_t count, const int16_t* indices, uint32_t* even, uint32_t* odd,
                     uint8_t* end, size_t& at);

}  // namespace runnel::codec
