#include "runtime/train/memory_plan.h"

#include <algorithm>

namespace runnel::train {
namespace {

constexpr uint32_t kBatchSizeMax = 4096;  // as in plan::TrainingSpec

Failure check_total(uint64_t bytes) {
  if (bytes <= PTRDIFF_MAX) return Error::kOk;
  return fail(Error::kLimit, "the model would need %llu bytes, more than this processor can address",
              static_cast<unsigned long long>(bytes));
}

}  // namespace

Result<TrainingBlocks> lay_out_training(const plan::ModelSpec& spec, const plan::TrainingSpec& training) {
  RUNNEL_TRY(plan::check(training));
  BlockLayout layout;
  const uint32_t slice = std::min(training.batch_size, kSliceExamples);
  Result<Network> network = Network::plan(spec, slice, Network::Use::kTraining, layout);
  if (!network) return network.failure();
  const uint32_t count = network->parameter_count();
  TrainingBlocks blocks;
  const uint64_t network_bytes = layout.bytes();
  blocks.labels = layout.add<uint32_t>(slice);
  const uint64_t labels_end = layout.bytes();
  blocks.parameters = layout.add<float>(count);
  blocks.global = layout.add<float>(count);
  const uint64_t parameters_end = layout.bytes();
  blocks.gradient = layout.add<float>(count);
  const uint64_t gradient_end = layout.bytes();
  blocks.velocity = layout.add<float>(training.momentum == 0.0F ? 0 : count);
  RUNNEL_TRY(check_total(layout.bytes()));

  MemoryPlan& memory = blocks.memory;
  memory.activation_bytes = static_cast<size_t>(network->activation_bytes() + (labels_end - network_bytes));
  memory.workspace_bytes = static_cast<size_t>(network->workspace_bytes());
  memory.parameter_bytes = static_cast<size_t>(parameters_end - labels_end);
  memory.gradient_bytes = static_cast<size_t>(gradient_end - parameters_end);
  memory.optimizer_bytes = static_cast<size_t>(layout.bytes() - gradient_end);
  memory.total_bytes = static_cast<size_t>(layout.bytes());
  blocks.network = *network;
  return blocks;
}

Result<EvaluationBlocks> lay_out_evaluation(const plan::ModelSpec& spec, uint32_t batch_size) {
  if (batch_size < 1 || batch_size > kBatchSizeMax) {
    return fail(Error::kOutOfRange, "batch_size must be 1..%u, not %u", kBatchSizeMax, batch_size);
  }
  BlockLayout layout;
  Result<Network> network = Network::plan(spec, batch_size, Network::Use::kInference, layout);
  if (!network) return network.failure();
  EvaluationBlocks blocks;
  blocks.labels = layout.add<uint32_t>(batch_size);
  RUNNEL_TRY(check_total(layout.bytes()));
  blocks.memory.workspace_bytes = static_cast<size_t>(network->workspace_bytes());
  blocks.memory.total_bytes = static_cast<size_t>(layout.bytes());
  blocks.memory.activation_bytes = blocks.memory.total_bytes - blocks.memory.workspace_bytes;
  blocks.network = *network;
  return blocks;
}

Result<MemoryPlan> training_memory(const plan::ModelSpec& spec, const plan::TrainingSpec& training) {
  const Result<TrainingBlocks> blocks = lay_out_training(spec, training);
  if (!blocks) return blocks.failure();
  return blocks->memory;
}

Result<MemoryPlan> evaluation_memory(const plan::ModelSpec& spec, uint32_t batch_size) {
  const Result<EvaluationBlocks> blocks = lay_out_evaluation(spec, batch_size);
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
