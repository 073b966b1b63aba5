// Gives buffers with known lifetimes their places in one block: two whose lifetimes meet never overlap.
//
// Greedy with best fit (Pisarchyk and Lee 2020): one buffer after the other into the smallest gap that holds it between
// the buffers that live at the same time, or else behind them. Three orders are tried, the largest first, the longest
// lived first, and by the product of the two; the smallest block wins. Optimal packing is NP-hard; the lower bound is
// the most that is alive at one moment. Time: quadratic in the buffers. Memory: none beyond the arguments and stack:
// 8 KB where models have up to 96 layers.
#pragma once

#include <cstdint>

#include "runtime/base/static_vector.h"
#include "runtime/plan/model_spec.h"

namespace runnel::train {

struct Buffer {
  uint64_t lines = 0;  // of Arena::kAlignment bytes
  uint64_t place = 0;  // the first of its lines; pack_buffers() writes it
  uint32_t first = 0;  // moment when it is first written
  uint32_t last = 0;   // and last looked at, inclusive
};
// A layer has up to 13: two copies of its value, what it saves, workspaces, gradients of it, its weights and inputs.
inline constexpr uint32_t kBuffersMax = plan::kLayersMax * 13 + 32;
using Buffers = StaticVector<Buffer, kBuffersMax>;

// Returns how many lines the block must have.
uint64_t pack_buffers(Buffers& buffers);

// The most lines that are alive at one moment: no packing can do with fewer.
uint64_t lines_alive_max(const Buffers& buffers);

}  // namespace runnel::train
