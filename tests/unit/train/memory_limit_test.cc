// `--ram-max`: whatever is granted either fits, or the error says what would.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "runtime/train/trainer.h"
#include "tests/unit/train/graph_models.h"

namespace runnel::train {
namespace {

// A dozen convolutions: large activations, few parameters.
plan::ModelSpec deep() {
  const plan::LayerSpec wide = conv(6, {3, 3}, {1, 1}, {1, 1});
  return model({1, 16, 16}, 4,
               {wide,
                relu(),
                wide,
                relu(),
                wide,
                relu(),
                wide,
                relu(),
                wide,
                relu(),
                wide,
                relu(),
                wide,
                relu(),
                wide,
                relu(),
                wide,
                relu(),
                plain(plan::LayerKind::kGlobalAvgPool),
                dense(4)});
}

std::vector<float> train_within(const plan::ModelSpec& spec, const plan::TrainingSpec& training, uint64_t bytes_max) {
  MemoryLimits limits;
  limits.bytes_max = bytes_max;
  const Result<MemoryPlan> memory = training_memory(spec, training, limits);
  EXPECT_TRUE(memory.ok()) << memory.failure().text();
  EXPECT_LE(memory->total_bytes, bytes_max);
  TestMemory block(memory->total_bytes);
  Result<Trainer> trainer = Trainer::create(spec, training, block.arena(), limits);
  EXPECT_TRUE(trainer.ok());
  const TestExamples examples = prototype_examples(static_cast<uint32_t>(spec.input.count()), spec.classes, 40, 0.5, 1);
  const std::vector<float> global = initial_parameters(spec, 2);
  EXPECT_TRUE(trainer->start(global, examples, 3).ok());
  while (*trainer->step() == Progress::kRunning) {
  }
  return {trainer->parameters().begin(), trainer->parameters().end()};
}

TEST(MemoryLimit, EverythingBetweenTheLeastAndTheMostFits) {
  plan::TrainingSpec training;
  training.batch_size = 16;
  training.local_steps = 3;
  const size_t most = training_memory(deep(), training)->total_bytes;
  MemoryLimits limits;
  limits.bytes_max = 1;
  const Result<MemoryPlan> refused = training_memory(deep(), training, limits);
  ASSERT_EQ(refused.error(), Error::kNoMemory);
  const std::string text = refused.failure().text();
  const size_t least = std::strtoull(text.c_str() + text.find("least ") + 6, nullptr, 10);
  EXPECT_NE(text.find("slices of 1, activations made again in "), std::string::npos) << text;
  EXPECT_NE(text.find("a limit of " + std::to_string((least + 1023) / 1024) + "K would do"), std::string::npos) << text;
  ASSERT_LT(least, most / 6);

  const std::vector<float> expected = train_within(deep(), training, most);
  uint32_t slices_before = 16;
  uint32_t segments_seen = 0;
  for (int part = 8; part >= 0; --part) {
    const size_t granted = least + (most - least) * static_cast<size_t>(part) / 8 / 4;
    limits.bytes_max = granted;
    const Result<MemoryPlan> memory = training_memory(deep(), training, limits);
    ASSERT_TRUE(memory.ok()) << memory.failure().text();
    EXPECT_LE(memory->slice_examples, slices_before);
    slices_before = memory->slice_examples;
    segments_seen = std::max(segments_seen, memory->segments);
    const std::vector<float> found = train_within(deep(), training, granted);
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(found[i], expected[i], 1e-4);
  }
  EXPECT_EQ(slices_before, 1U);
  EXPECT_GT(segments_seen, 1U);
  limits.bytes_max = least - 1;
  EXPECT_EQ(training_memory(deep(), training, limits).error(), Error::kNoMemory);
}

// Slices of one example, with and without recomputation.
TEST(MemoryLimit, RecomputationChangesNoBitOfTheModel) {
  plan::TrainingSpec training;
  training.batch_size = 1;
  training.local_steps = 20;
  const size_t most = training_memory(deep(), training)->total_bytes;
  MemoryLimits limits;
  limits.bytes_max = most - 1;
  const Result<MemoryPlan> less = training_memory(deep(), training, limits);
  ASSERT_TRUE(less.ok());
  EXPECT_GT(less->segments, 1U);
  EXPECT_EQ(train_within(deep(), training, most), train_within(deep(), training, less->total_bytes));
}

TEST(MemoryLimit, CountsWhatTheCallerNeedsBeside) {
  const size_t bytes = training_memory(deep(), {})->total_bytes;
  MemoryLimits limits;
  limits.bytes_beside = 64;
  limits.bytes_max = 2 * bytes;
  const uint32_t slices = training_memory(deep(), {}, limits)->slice_examples;
  limits.bytes_max = 64 + training_memory(deep(), {}, limits)->total_bytes;
  EXPECT_EQ(training_memory(deep(), {}, limits)->slice_examples, slices);
  --limits.bytes_max;
  EXPECT_LT(training_memory(deep(), {}, limits)->slice_examples, slices);
}

TEST(MemoryLimit, ThePlanSaysWhatWasChosen) {
  plan::TrainingSpec training;
  training.batch_size = 4;
  EXPECT_STREQ(describe(*training_memory(digits_mlp(), training)).c_str(),
               "slices of 4, gradients straight into the velocity");
  training.momentum = 0.0F;
  EXPECT_STREQ(describe(*training_memory(digits_mlp(), training)).c_str(),
               "slices of 4, gradients straight into the weights");
  training.clip_norm = 1.0F;
  EXPECT_STREQ(describe(*training_memory(digits_mlp(), training)).c_str(), "slices of 4");
}

// What overlapping lifetimes are worth: less than the sum of all activations and gradients, close to what is alive.
TEST(MemoryLimit, ThePackingIsCloseToWhatIsAlive) {
  for (const plan::ModelSpec& spec : {deep(), digits_cnn(), digits_mlp()}) {
    const Result<MemoryPlan> memory = training_memory(spec, {});
    ASSERT_TRUE(memory.ok());
    EXPECT_LT(static_cast<double>(memory->activation_bytes), 1.05 * static_cast<double>(memory->alive_bytes) + 4096);
  }
}

}  // namespace
}  // namespace runnel::train
