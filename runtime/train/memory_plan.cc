#include "runtime/train/memory_plan.h"

#include <algorithm>
#include <cstdio>

#include "runtime/tensor/dense_deferred.h"
#include "runtime/train/optimizer.h"

namespace runnel::train {
namespace {

constexpr uint32_t kBatchSizeMax = 4096;  // as in plan::TrainingSpec
constexpr uint32_t kSliceMax = 32;
constexpr uint32_t kSliceWanted = 8;  // however large the activations are, unless there is a limit
constexpr uint32_t kBatchDeferred = tensor::kDeferredMax / 2;  // two steps together at least
constexpr uint64_t kActivationsWanted = 512 << 10;             // half of a core's second-level cache

Failure check_total(uint64_t bytes) {
  if (bytes <= PTRDIFF_MAX) return Error::kOk;
  return fail(Error::kLimit, "the model would need %llu bytes, more than this processor can address",
              static_cast<unsigned long long>(bytes));
}

// One way to arrange a step.
struct Arrangement {
  uint32_t slice = 1;
  uint32_t segments = 1;
  bool defers_steps = false;
};

class TrainingPlanner {
 public:
  TrainingPlanner(const plan::ModelSpec& spec, const plan::ModelLayout& layout, const plan::TrainingSpec& training,
                  const MemoryLimits& limits, Network& network)
      : training_(training), limits_(limits), layout_(layout), network_(network) {
    target_count_ = spec.loss.target == plan::TargetKind::kInput ? 0 : layout.target_count;
  }

  // Tries one arrangement after the other. When one is found, the network is laid out as it says.
  Failure choose(TrainingBlocks& blocks) {
    const uint32_t slice_max = std::min(training_.batch_size, kSliceMax);
    for (uint32_t slice = slice_max;; slice = (slice + 1) / 2) {
      for (const bool defers_steps : {true, false}) {
        const Arrangement arrangement{slice, 1, defers_steps};
        if (defers_steps && !may_defer(arrangement)) continue;
        RUNNEL_TRY(lay_out(arrangement, blocks));
        const bool small = blocks.memory.activation_bytes <= kActivationsWanted || slice <= kSliceWanted;
        if (limits_.bytes_max == 0 ? small : fits(blocks.memory)) return Error::kOk;
      }
      if (slice == 1) break;
    }
    for (uint32_t segments = 2; segments <= kSegmentsMax; ++segments) {
      const Arrangement arrangement{1, segments, false};
      RUNNEL_TRY(lay_out(arrangement, blocks));
      if (blocks.memory.segments != segments) break;  // there are no more places to cut
      if (fits(blocks.memory)) return Error::kOk;
    }
    const uint64_t needed = least_.total_bytes + limits_.bytes_beside;
    return fail(
        Error::kNoMemory, "training needs at least %llu bytes (%s), %llu are granted; a limit of %lluK would do",
        static_cast<unsigned long long>(needed), describe(least_).c_str(),
        static_cast<unsigned long long>(limits_.bytes_max), static_cast<unsigned long long>((needed + 1023) / 1024));
  }

 private:
  Failure lay_out(const Arrangement& arrangement, TrainingBlocks& blocks) {
    const bool one_slice = arrangement.slice >= training_.batch_size;
    blocks = {};
    MemoryPlan& memory = blocks.memory;
    memory.gradients = place_of_gradients(one_slice);
    ScheduleOptions options;
    options.batch_size = arrangement.slice;
    options.segments = arrangement.segments;
    options.layer_gradients = memory.gradients == GradientPlace::kLayer;
    options.defers_steps = arrangement.defers_steps;
    BlockLayout layout;
    RUNNEL_TRY(network_.reserve(options, layout));
    blocks.targets = layout.add<float>(uint64_t{arrangement.slice} * target_count_);
    const uint64_t network_end = layout.bytes();
    blocks.parameters = layout.add<float>(layout_.parameter_count);
    const uint64_t parameters_end = layout.bytes();
    const uint64_t trained = layout_.trained_count;
    blocks.gradient = layout.add<float>(memory.gradients == GradientPlace::kWhole ? trained : 0);
    const uint64_t gradient_end = layout.bytes();
    const uint32_t buffers = memory.gradients == GradientPlace::kVelocity ? 1 : optimizer_buffers(training_);
    blocks.first = layout.add<float>(buffers >= 1 ? trained : 0);
    blocks.second = layout.add<float>(buffers >= 2 ? trained : 0);
    RUNNEL_TRY(check_total(layout.bytes()));

    memory.activation_bytes = static_cast<size_t>(network_end);
    memory.parameter_bytes = static_cast<size_t>(parameters_end - network_end);
    memory.gradient_bytes = static_cast<size_t>(gradient_end - parameters_end);
    memory.optimizer_bytes = static_cast<size_t>(layout.bytes() - gradient_end);
    memory.total_bytes = static_cast<size_t>(layout.bytes());
    memory.alive_bytes = static_cast<size_t>(network_.alive_bytes());
    memory.slice_examples = arrangement.slice;
    memory.segments = network_.segment_count();
    return Error::kOk;
  }

  bool fits(const MemoryPlan& memory) {
    if (least_.total_bytes == 0 || memory.total_bytes < least_.total_bytes) least_ = memory;
    return memory.total_bytes + limits_.bytes_beside <= limits_.bytes_max;
  }

  // Only gradients that go straight to the weights can wait.
  bool may_defer(const Arrangement& arrangement) const {
    const bool one_slice = arrangement.slice >= training_.batch_size;
    return training_.batch_size <= kBatchDeferred && place_of_gradients(one_slice) == GradientPlace::kWeights;
  }

  GradientPlace place_of_gradients(bool one_slice) const {
    const bool clips = training_.clip_norm != 0.0F;
    const bool at_once = one_slice && training_.accumulate == 1 && !clips;
    if (training_.optimizer == plan::Optimizer::kSgd && !clips) {
      const bool moves_nothing_else =
          training_.weight_decay == 0.0F && training_.proximal_mu == 0.0F && !limits_.corrects;
      if (training_.momentum != 0.0F || !at_once) return GradientPlace::kVelocity;
      return moves_nothing_else ? GradientPlace::kWeights : GradientPlace::kLayer;
    }
    return at_once ? GradientPlace::kLayer : GradientPlace::kWhole;
  }

  const plan::TrainingSpec& training_;
  const MemoryLimits& limits_;
  const plan::ModelLayout& layout_;
  Network& network_;
  uint32_t target_count_ = 0;
  MemoryPlan least_;  // of what was tried
};

}  // namespace

FixedString<127> describe(const MemoryPlan& memory) {
  char segments[64] = "";
  if (memory.segments > 1)
    std::snprintf(segments, sizeof segments, ", activations made again in %u segments", memory.segments);
  const char* gradients = "";
  switch (memory.gradients) {
    case GradientPlace::kWeights:
      gradients = ", gradients straight into the weights";
      break;
    case GradientPlace::kVelocity:
      gradients = ", gradients straight into the velocity";
      break;
    case GradientPlace::kLayer:
      gradients = ", gradients of one layer at a time";
      break;
    case GradientPlace::kWhole:
      break;
  }
  char text[128];
  std::snprintf(text, sizeof text, "slices of %u%s%s", memory.slice_examples, segments, gradients);
  FixedString<127> result;
  RUNNEL_ASSERT(result.assign(text));
  return result;
}

Result<TrainingBlocks> lay_out_training(const plan::ModelSpec& spec, const plan::ModelLayout& layout,
                                        const plan::TrainingSpec& training, const MemoryLimits& limits,
                                        Network& network) {
  RUNNEL_TRY(plan::check(training));
  RUNNEL_TRY(network.take(spec, layout, Network::Use::kTraining));
  TrainingPlanner planner(spec, layout, training, limits, network);
  TrainingBlocks blocks;
  RUNNEL_TRY(planner.choose(blocks));
  return blocks;
}

Result<EvaluationBlocks> lay_out_evaluation(const plan::ModelSpec& spec, const plan::ModelLayout& layout,
                                            uint32_t batch_size, Network& network) {
  if (batch_size < 1 || batch_size > kBatchSizeMax) {
    return fail(Error::kOutOfRange, "batch_size must be 1..%u, not %u", kBatchSizeMax, batch_size);
  }
  RUNNEL_TRY(network.take(spec, layout, Network::Use::kInference));
  BlockLayout block_layout;
  ScheduleOptions options;
  options.batch_size = batch_size;
  RUNNEL_TRY(network.reserve(options, block_layout));
  EvaluationBlocks blocks;
  // Where the loss compares with the input, one number for what the source says of an example.
  const uint32_t targets = spec.loss.target == plan::TargetKind::kInput ? 1 : layout.target_count;
  blocks.targets = block_layout.add<float>(uint64_t{batch_size} * targets);
  RUNNEL_TRY(check_total(block_layout.bytes()));
  blocks.memory.total_bytes = static_cast<size_t>(block_layout.bytes());
  blocks.memory.activation_bytes = blocks.memory.total_bytes;
  blocks.memory.alive_bytes = static_cast<size_t>(network.alive_bytes());
  blocks.memory.slice_examples = batch_size;
  return blocks;
}

Result<MemoryPlan> training_memory(const plan::ModelSpec& spec, const plan::TrainingSpec& training,
                                   const MemoryLimits& limits) {
  RUNNEL_TRY(plan::check(training));
  const Result<plan::ModelLayout> layout = plan::make_layout(spec);
  if (!layout) return layout.failure();
  Network network;
  const Result<TrainingBlocks> blocks = lay_out_training(spec, *layout, training, limits, network);
  if (!blocks) return blocks.failure();
  return blocks->memory;
}

Result<MemoryPlan> evaluation_memory(const plan::ModelSpec& spec, uint32_t batch_size) {
  const Result<plan::ModelLayout> layout = plan::make_layout(spec);
  if (!layout) return layout.failure();
  Network network;
  const Result<EvaluationBlocks> blocks = lay_out_evaluation(spec, *layout, batch_size, network);
  if (!blocks) return blocks.failure();
  return blocks->memory;
}

Result<MutableByteView> take_block(const MemoryPlan& memory, Arena& arena) {
  const std::span<uint8_t> block = arena.allocate<uint8_t>(memory.total_bytes);
  if (block.empty()) {
    return fail(Error::kNoMemory, "%zu bytes are needed; the arena has %zu left", memory.total_bytes,
                arena.capacity_bytes() - arena.used_bytes());
  }
  return block;
}

}  // namespace runnel::train
