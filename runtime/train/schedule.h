// The order in which a network's passes run, and where each of their buffers stands: all of it known before the first
// step.
//
// A training step is: the forward passes in layer order, the loss, the backward passes in reverse. A buffer lives from
// the pass that writes it to the last that looks at it, and pack_buffers() lets buffers share memory whose lives do not
// meet: an activation that no backward pass needs is gone with the next layer, a layer's workspace lies where another's
// activations will be. With several segments, activations are not kept within a segment but made again from its inputs
// before its backward passes (recomputation; Chen et al. 2016): the same operations on the same values, so the same
// bits.
//
// Memory: a value without a heap; about 20 KB, and about 50 KB of stack while it is made (1 KB and 4 KB where models
// have up to 6 layers).
#pragma once

#include <array>
#include <cstdint>

#include "runtime/base/result.h"
#include "runtime/base/static_vector.h"
#include "runtime/train/graph.h"

namespace runnel::train {

// A line of the network's block, or nowhere.
using Place = uint32_t;
inline constexpr Place kNowhere = UINT32_MAX;

struct LayerPlaces {
  using Inputs = std::array<Place, plan::kJoinMax>;
  static constexpr Inputs kNoInputs{kNowhere, kNowhere, kNowhere, kNowhere};

  // Of the first forward pass.
  Inputs inputs = kNoInputs;
  Place output = kNowhere;
  Place saved = kNowhere;
  Place workspace = kNowhere;
  // As the backward pass, and a second forward pass, find them.
  Inputs kept_inputs = kNoInputs;
  Place kept_output = kNowhere;
  Place kept_saved = kNowhere;
  Place again_workspace = kNowhere;
  Place backward_workspace = kNowhere;
  Place output_gradient = kNowhere;
  Inputs input_gradients = kNoInputs;    // where they end up
  Inputs written_gradients = kNoInputs;  // where the backward pass writes them
  Place weight_gradient = kNowhere;
  bool again = false;  // the forward pass is made a second time
};

struct ScheduleOptions {
  uint32_t batch_size = 1;
  uint32_t segments = 1;         // 1 = nothing is made again
  bool layer_gradients = false;  // a buffer for the weight gradient of one layer at a time
  bool defers_steps = false;     // large dense layers let steps wait (Network); batches of up to half of kDeferredMax
};
inline constexpr uint32_t kSegmentsMax = 24;

struct Schedule {
  StaticVector<LayerPlaces, plan::kLayersMax> places;
  StaticVector<uint16_t, kSegmentsMax> segment_starts;  // layers; the first is 0
  Place input = kNowhere;
  Place output = kNowhere;
  Place output_gradient = kNowhere;
  uint64_t lines = 0;        // of the block
  uint64_t lines_alive = 0;  // the most that is alive at one moment: what the best packing could reach
};

// kLimit: the block would be more than 2^31 lines of 64 bytes; `schedule` is then of no use.
Failure make_schedule(const Graph& graph, const ScheduleOptions& options, Schedule& schedule);

}  // namespace runnel::train
