// How much memory training and evaluation take, known before the first step and before any of it exists.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/base/result.h"
#include "runtime/plan/model_spec.h"
#include "runtime/plan/round_plan.h"
#include "runtime/train/block_layout.h"
#include "runtime/train/network.h"

namespace runnel::train {

// Each part includes the padding that puts its buffers on cache lines, so the parts add up to the total.
// Examples that go through the network together. A larger minibatch is worked off in slices whose gradients add up: the
// same step, with the activations of a few examples instead of all.
inline constexpr uint32_t kSliceExamples = 8;

struct MemoryPlan {
  size_t parameter_bytes =
      0;  // the local model and the global one it started from; 0 for evaluation, which borrows them
  size_t gradient_bytes = 0;    // of the parameters; holds the update in the end
  size_t optimizer_bytes = 0;   // momentum; 0 without
  size_t activation_bytes = 0;  // a batch of inputs and labels, activations and their gradients
  size_t workspace_bytes = 0;   // unfolded patches and packed panels
  size_t total_bytes = 0;       // what an arena must have left when its next free byte is aligned to Arena::kAlignment
};

// For Trainer. Fails as plan::make_layout and plan::check do, and with kLimit when the total is more than this
// processor can address.
Result<MemoryPlan> training_memory(const plan::ModelSpec& spec, const plan::TrainingSpec& training);

// For Evaluator with batches of 1..4096 examples (kOutOfRange beyond).
Result<MemoryPlan> evaluation_memory(const plan::ModelSpec& spec, uint32_t batch_size);

// The layouts behind the two functions above, for Trainer and Evaluator.
struct TrainingBlocks {
  MemoryPlan memory;
  Network network;
  Piece<float> parameters;
  Piece<float> global;
  Piece<float> gradient;
  Piece<float> velocity;
  Piece<uint32_t> labels;
};
Result<TrainingBlocks> lay_out_training(const plan::ModelSpec& spec, const plan::TrainingSpec& training);

struct EvaluationBlocks {
  MemoryPlan memory;
  Network network;
  Piece<uint32_t> labels;
};
Result<EvaluationBlocks> lay_out_evaluation(const plan::ModelSpec& spec, uint32_t batch_size);

// The whole block that a plan asks for, or kNoMemory and an unchanged arena.
Result<MutableByteView> take_block(const MemoryPlan& memory, Arena& arena);

}  // namespace runnel::train
