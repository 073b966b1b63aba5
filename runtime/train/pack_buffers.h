// Gives buffers with known lifetimes their places in one block: two whose lifetimes meet never overlap.
//
// Greedy by size with best fit (Pisarchyk and Lee 2020): the largest buffer first, each into the smallest gap that
// holds it between the buffers that live at the same time, or else behind them. Optimal packing is NP-hard; this comes
// within a few percent of the lower bound, the most that is alive at one time, on the networks that were tried. Time:
// quadratic in the buffers. Memory: none beyond the arguments and the stack.
#pragma once

#include <cstdint>

#include "runtime/base/static_vector.h"

namespace runnel::train {

struct Buffer {
  uint64_t lines = 0;  // of Arena::kAlignment bytes
  uint64_t place = 0;  // the first of its lines; pack_buffers() writes it
  uint32_t first = 0;  // moment when it is first written
  uint32_t last = 0;   // and last looked at, inclusive
};
inline constexpr uint32_t kBuffersMax = 1280;
using Buffers = StaticVector<Buffer, kBuffersMax>;

// Returns how many lines the block must have.
uint64_t pack_buffers(Buffers& buffers);

// The most lines that are alive at one moment: no packing can do with fewer.
uint64_t lines_alive_max(const Buffers& buffers);

}  // namespace runnel::train
