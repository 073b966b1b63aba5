// A training step, and an evaluation step, never reach the heap.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "runtime/train/evaluator.h"
#include "runtime/train/trainer.h"
#include "tests/unit/train/graph_models.h"

namespace {

std::atomic<uint64_t> allocation_count = 0;

}  // namespace

// The linker sends every call of our objects here (--wrap); operator new is replaced below and counted the same way.
// NOLINTBEGIN(bugprone-reserved-identifier): the linker makes these names.
extern "C" {
void* __real_malloc(size_t bytes);
void* __real_calloc(size_t count, size_t bytes);
void* __real_realloc(void* memory, size_t bytes);
int __real_posix_memalign(void** memory, size_t alignment, size_t bytes);
void* __real_aligned_alloc(size_t alignment, size_t bytes);

void* __wrap_malloc(size_t bytes) {
  return ++allocation_count, __real_malloc(bytes);
}
void* __wrap_calloc(size_t count, size_t bytes) {
  return ++allocation_count, __real_calloc(count, bytes);
}
void* __wrap_realloc(void* memory, size_t bytes) {
  return ++allocation_count, __real_realloc(memory, bytes);
}
int __wrap_posix_memalign(void** memory, size_t alignment, size_t bytes) {
  return ++allocation_count, __real_posix_memalign(memory, alignment, bytes);
}
void* __wrap_aligned_alloc(size_t alignment, size_t bytes) {
  return ++allocation_count, __real_aligned_alloc(alignment, bytes);
}
}
// NOLINTEND(bugprone-reserved-identifier)

// Not inlined: gcc would otherwise see malloc's memory given to delete, and warn.
#define NOT_INLINED __attribute__((noinline))
NOT_INLINED void* operator new(size_t bytes) {
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  std::abort();
}
NOT_INLINED void* operator new(size_t bytes, std::align_val_t alignment) {
  const auto unit = static_cast<size_t>(alignment);
  if (void* memory = std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit)) return memory;
  std::abort();
}
NOT_INLINED void operator delete(void* memory) noexcept {
  std::free(memory);
}
NOT_INLINED void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}
NOT_INLINED void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
NOT_INLINED void operator delete(void* memory, size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace runnel::train {
namespace {

void check(const plan::ModelSpec& spec, const plan::TrainingSpec& training, const data::ExampleSource& examples,
           const std::vector<float>& parameters, const MemoryLimits& limits = {}) {
  const Result<MemoryPlan> plan = training_memory(spec, training, limits);
  ASSERT_TRUE(plan.ok()) << plan.failure().text();
  TestMemory memory(plan->total_bytes + evaluation_memory(spec, 32)->total_bytes);
  const uint32_t shared = plan::make_layout(spec)->shared_count;

  const uint64_t before = allocation_count;
  Result<Trainer> trainer = Trainer::create(spec, training, memory.arena(), limits);
  Result<Evaluator> evaluator = Evaluator::create(spec, 32, memory.arena());
  bool good = trainer.ok() && evaluator.ok() && trainer->start(parameters, examples, 1).ok();
  while (good && trainer->steps_done() < trainer->steps_total()) good = trainer->step().ok();
  good = good && evaluator->start(trainer->parameters(), examples).ok();
  while (good && evaluator->metrics().examples < examples.example_count()) good = evaluator->step().ok();
  good = good && trainer->update().size() == shared;
  const uint64_t after = allocation_count;

  EXPECT_TRUE(good);
  EXPECT_EQ(after - before, 0U);
}

void check(const plan::ModelSpec& spec, const plan::TrainingSpec& training) {
  check(spec, training, prototype_examples(static_cast<uint32_t>(spec.input.count()), spec.classes, 70, 0.5, 1),
        initial_parameters(spec, 1));
}

TEST(Allocation, TheCounterCounts) {
  const uint64_t before = allocation_count;
  void* volatile raw = std::malloc(10);
  std::free(raw);
  auto* volatile made = new int(3);
  delete made;
  EXPECT_GE(allocation_count - before, 2U);
}

TEST(Allocation, AnMlpTrainsAndEvaluatesWithoutTheHeap) {
  check(digits_mlp(), {});
}

TEST(Allocation, ACnnTrainsAndEvaluatesWithoutTheHeap) {
  check(digits_cnn(), {});
}

// Also in slices, with activations made again.
TEST(Allocation, EveryKindOfLayerAndEveryLossTrainsWithoutTheHeap) {
  for (const auto& cases : {chain_cases(), graph_cases()}) {
    for (const GraphCase& one : cases) {
      SCOPED_TRACE(one.name);
      plan::TrainingSpec training;
      training.learning_rate = 0.001F;
      training.batch_size = 16;
      const CaseExamples examples(one, 40, 1);
      check(one.spec, training, examples, one.parameters(2));
      MemoryLimits limits;
      limits.bytes_max = training_memory(one.spec, training)->total_bytes / 2;
      training.optimizer = plan::Optimizer::kAdam;
      if (training_memory(one.spec, training, limits).ok())
        check(one.spec, training, examples, one.parameters(2), limits);
    }
  }
}

TEST(Allocation, NorDoSizesFarAboveABlock) {
  plan::TrainingSpec training;
  training.batch_size = 70;
  training.local_steps = 2;
  check(model({1200}, 5, {dense(700), relu(), dense(5)}), training);
}

}  // namespace
}  // namespace runnel::train
