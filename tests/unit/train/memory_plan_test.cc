#include "runtime/train/memory_plan.h"

#include <gtest/gtest.h>

#include "runtime/train/evaluator.h"
#include "runtime/train/trainer.h"
#include "tests/unit/train/test_models.h"

namespace runnel::train {
namespace {

size_t sum_of_parts(const MemoryPlan& memory) {
  return memory.parameter_bytes + memory.gradient_bytes + memory.optimizer_bytes + memory.activation_bytes;
}

std::vector<plan::ModelSpec> specs() {
  return {
      digits_cnn(), digits_mlp(), model({3}, 2, {dense(2)}),
      model({3, 9, 7}, 5, {max_pool({2, 2}, {1, 1}), conv(5, {2, 3}), relu(), avg_pool({7, 4}, {1, 1}), flatten()})};
}

TEST(TrainingMemory, IsExactlyWhatATrainerTakes) {
  for (const plan::ModelSpec& spec : specs()) {
    for (const uint32_t batch_size : {1U, 7U, 32U}) {
      plan::TrainingSpec training;
      training.batch_size = batch_size;
      const Result<MemoryPlan> memory = training_memory(spec, training);
      ASSERT_TRUE(memory.ok()) << memory.failure().text();
      EXPECT_EQ(sum_of_parts(*memory), memory->total_bytes);

      constexpr uint8_t kCanary = 0xA5;
      TestMemory exact(memory->total_bytes + 64);
      std::ranges::fill(exact.block(), kCanary);
      Arena arena(exact.block().first(memory->total_bytes));
      Result<Trainer> trainer = Trainer::create(spec, training, arena);
      ASSERT_TRUE(trainer.ok()) << trainer.failure().text();
      const auto examples =
          prototype_examples(static_cast<uint32_t>(spec.input.count()), spec.classes, 2 * batch_size + 1, 0.5, 1);
      const std::vector<float> global = initial_parameters(spec, 1);
      ASSERT_TRUE(trainer->start(global, examples, 1).ok());
      while (trainer->steps_done() < trainer->steps_total()) ASSERT_TRUE(trainer->step().ok());
      (void)trainer->update();
      EXPECT_EQ(arena.used_bytes(), memory->total_bytes);
      for (const uint8_t byte : exact.block().last(64)) ASSERT_EQ(byte, kCanary) << "written past the block's end";

      TestMemory short_by_one(memory->total_bytes - 1);
      const Result<Trainer> refused = Trainer::create(spec, training, short_by_one.arena());
      EXPECT_EQ(refused.error(), Error::kNoMemory);
      EXPECT_EQ(short_by_one.arena().used_bytes(), 0U);
    }
  }
}

TEST(EvaluationMemory, IsExactlyWhatAnEvaluatorTakes) {
  for (const plan::ModelSpec& spec : specs()) {
    for (const uint32_t batch_size : {1U, 7U, 32U}) {
      const Result<MemoryPlan> memory = evaluation_memory(spec, batch_size);
      ASSERT_TRUE(memory.ok()) << memory.failure().text();
      EXPECT_EQ(sum_of_parts(*memory), memory->total_bytes);
      EXPECT_EQ(memory->parameter_bytes, 0U);
      TestMemory exact(memory->total_bytes);
      EXPECT_TRUE(Evaluator::create(spec, batch_size, exact.arena()).ok());
      EXPECT_EQ(exact.arena().used_bytes(), memory->total_bytes);
      TestMemory short_by_one(memory->total_bytes - 1);
      EXPECT_EQ(Evaluator::create(spec, batch_size, short_by_one.arena()).error(), Error::kNoMemory);
    }
  }
}

TEST(TrainingMemory, IsSmallForASmallNetwork) {
  const plan::TrainingSpec training;  // batches of 32, with momentum
  const Result<MemoryPlan> memory = training_memory(digits_cnn(), training);
  ASSERT_TRUE(memory.ok());
  EXPECT_LT(memory->total_bytes, 1'200'000U);
  EXPECT_EQ(memory->parameter_bytes, Arena::aligned_bytes(52138 * sizeof(float)));
  EXPECT_EQ(memory->gradient_bytes, 0U);
  EXPECT_EQ(memory->optimizer_bytes, memory->parameter_bytes);
  EXPECT_LT(evaluation_memory(digits_cnn(), 32)->total_bytes, 1'200'000U);
}

TEST(TrainingMemory, MomentumCostsNothingWhenItIsOff) {
  plan::TrainingSpec training;
  training.momentum = 0.0F;
  const Result<MemoryPlan> memory = training_memory(digits_mlp(), training);
  ASSERT_TRUE(memory.ok());
  EXPECT_EQ(memory->optimizer_bytes, 0U);
}

TEST(TrainingMemory, PlansAddUpInOneArena) {
  const plan::TrainingSpec training;
  const size_t trainer_bytes = training_memory(digits_mlp(), training)->total_bytes;
  const size_t evaluator_bytes = evaluation_memory(digits_cnn(), 8)->total_bytes;
  TestMemory memory(trainer_bytes + evaluator_bytes);
  EXPECT_TRUE(Trainer::create(digits_mlp(), training, memory.arena()).ok());
  EXPECT_TRUE(Evaluator::create(digits_cnn(), 8, memory.arena()).ok());
  EXPECT_EQ(memory.arena().used_bytes(), trainer_bytes + evaluator_bytes);
}

TEST(TrainingMemory, RefusesWhatCannotBeTrained) {
  plan::TrainingSpec training;
  EXPECT_EQ(training_memory(model({3}, 2, {dense(3)}), training).error(), Error::kShape);
  training.batch_size = 0;
  EXPECT_EQ(training_memory(digits_mlp(), training).error(), Error::kOutOfRange);
  EXPECT_EQ(evaluation_memory(digits_mlp(), 0).error(), Error::kOutOfRange);
  EXPECT_EQ(evaluation_memory(digits_mlp(), 4097).error(), Error::kOutOfRange);
}

}  // namespace
}  // namespace runnel::train
