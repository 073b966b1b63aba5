// How much memory training and evaluation take, known before the first step and before any of it exists; and how a step
// is arranged so that it fits what a device grants.
//
// Three things can give way. A minibatch is worked off in slices whose gradients add up: the same step, with the
// activations of a few examples instead of all. Activations can be made again instead of kept (schedule.h). And weight
// gradients are only kept as a whole where a step needs them as a whole.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/base/fixed_string.h"
#include "runtime/base/result.h"
#include "runtime/plan/model_spec.h"
#include "runtime/plan/round_plan.h"
#include "runtime/train/block_layout.h"
#include "runtime/train/network.h"

namespace runnel::train {

// Where the backward passes add a weight's gradient.
enum class GradientPlace : uint8_t {
  kWeights,   // straight to the weights, times -learning_rate: plain SGD, one slice a step
  kVelocity,  // straight to the velocity: SGD with momentum, or with several slices
  kLayer,     // to a buffer for one layer at a time, whose step follows its backward pass: one slice a step
  kWhole,     // to a buffer of all: clipping needs the norm of all before any can move
};

struct MemoryLimits {
  uint64_t bytes_max = 0;     // 0 = no limit
  uint64_t bytes_beside = 0;  // what the caller needs under the same limit
  bool corrects = false;      // Trainer::start() will be given a correction (SCAFFOLD)
};

// Each part includes the padding that puts its buffers on cache lines, so the parts add up to the total.
struct MemoryPlan {
  size_t parameter_bytes = 0;  // the local model; 0 for evaluation, which borrows it
  size_t gradient_bytes = 0;   // of all parameters; 0 unless kWhole
  size_t optimizer_bytes = 0;  // velocity, or Adam's two moments
  size_t activation_bytes =
      0;                   // a batch of inputs and targets, activations, their gradients and workspaces, overlapped
  size_t total_bytes = 0;  // what an arena must have left when its next free byte is aligned to Arena::kAlignment
  size_t alive_bytes = 0;  // of activation_bytes, the most that is in use at one moment
  uint32_t slice_examples = 0;  // that go through the network together
  uint32_t segments = 1;        // of layers; with more than one, activations within a segment are made again
  GradientPlace gradients = GradientPlace::kWhole;
};

// "slices of 8 examples, activations made again in 3 segments, gradients straight into the velocity".
FixedString<127> describe(const MemoryPlan& memory);

// For Trainer. Without a limit, the largest slice up to 32 examples whose activations stay in a core's own cache, at
// least 8, or the minibatch. With one, the largest slice that fits; if none does, slices of one example with as few
// segments as fit. Fails as plan::make_layout and plan::check do; kNoMemory, with what would do, when nothing fits;
// kLimit when the total is more than this processor can address.
Result<MemoryPlan> training_memory(const plan::ModelSpec& spec, const plan::TrainingSpec& training,
                                   const MemoryLimits& limits = {});

// For Evaluator with batches of 1..4096 examples (kOutOfRange beyond).
Result<MemoryPlan> evaluation_memory(const plan::ModelSpec& spec, uint32_t batch_size);

// The layouts behind the two functions above, for Trainer and Evaluator: what is beside the network, which is made
// where it will stay. `layout` is make_layout's of `spec`. On failure `network` is of no use.
struct TrainingBlocks {
  MemoryPlan memory;
  Piece<float> targets;  // none where the loss compares with the input
  Piece<float> parameters;
  Piece<float> gradient;
  Piece<float> first;  // of the optimizer's buffers
  Piece<float> second;
};
Result<TrainingBlocks> lay_out_training(const plan::ModelSpec& spec, const plan::ModelLayout& layout,
                                        const plan::TrainingSpec& training, const MemoryLimits& limits,
                                        Network& network);

struct EvaluationBlocks {
  MemoryPlan memory;
  Piece<float> targets;
};
Result<EvaluationBlocks> lay_out_evaluation(const plan::ModelSpec& spec, const plan::ModelLayout& layout,
                                            uint32_t batch_size, Network& network);

// The whole block that a plan asks for, or kNoMemory and an unchanged arena.
Result<MutableByteView> take_block(const MemoryPlan& memory, Arena& arena);

}  // namespace runnel::train
