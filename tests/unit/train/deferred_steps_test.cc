// Minibatches of few examples with a layer so large that its steps wait (tensor/dense_deferred.h).
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>

#include "runtime/train/trainer.h"
#include "tests/unit/train/test_models.h"

namespace runnel::train {
namespace {

constexpr uint32_t kInputs = 300;

plan::TrainingSpec small_batches(uint32_t batch_size) {
  plan::TrainingSpec training;
  training.learning_rate = 0.01F;
  training.momentum = 0.0F;
  training.batch_size = batch_size;
  training.local_steps = 45;  // 21 examples: what waits together is cut short by epochs, and by the end
  return training;
}

// Its first layer reads the input, its second another layer's output; both are large enough.
plan::ModelSpec two_large_layers() {
  return model({kInputs}, 4, {dense(160), relu(), dense(120), relu(), dense(4)});
}

struct Rig {
  explicit Rig(uint32_t batch_size, const MemoryLimits& limits = {})
      : spec(two_large_layers()),
        plan(*training_memory(spec, small_batches(batch_size), limits)),
        memory(plan.total_bytes),
        examples(prototype_examples(kInputs, 4, 21, 0.7, 1)),
        global(initial_parameters(spec, 2)) {
    Result<Trainer> created = Trainer::create(spec, small_batches(batch_size), memory.arena(), limits);
    EXPECT_TRUE(created.ok()) << created.failure().text();
    trainer.emplace(std::move(created).value());
  }

  // Looks at the parameters after every `look` steps.
  std::vector<float> train(uint32_t look = 1000) {
    EXPECT_TRUE(trainer->start(global, examples, 3).ok());
    while (*trainer->step() == Progress::kRunning) {
      if (trainer->steps_done() % look == 0) seen.assign(trainer->parameters().begin(), trainer->parameters().end());
    }
    return {trainer->parameters().begin(), trainer->parameters().end()};
  }

  plan::ModelSpec spec;
  MemoryPlan plan;
  TestMemory memory;
  TestExamples examples;
  std::vector<float> global;
  std::optional<Trainer> trainer;
  std::vector<float> seen;
};

// All the memory that is needed, but none for steps that wait.
MemoryLimits without_waiting(uint32_t batch_size) {
  MemoryLimits limits;
  limits.bytes_max = training_memory(two_large_layers(), small_batches(batch_size))->total_bytes - 1;
  return limits;
}

double largest_difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0.0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(double{a[i]} - double{b[i]}));
  return largest;
}

TEST(DeferredSteps, LeadToTheSameModel) {
  for (const uint32_t batch : {1U, 3U, 8U}) {
    SCOPED_TRACE(batch);
    Rig waiting(batch);
    Rig at_once(batch, without_waiting(batch));
    EXPECT_GT(waiting.plan.total_bytes, at_once.plan.total_bytes) << "nothing waits in this test";
    const std::vector<float> found = waiting.train();
    const std::vector<float> expected = at_once.train();
    EXPECT_LT(largest_difference(found, expected), 2e-5);
    EXPECT_GT(largest_difference(found, waiting.global), 1e-2) << "nothing was learnt";
  }
}

TEST(DeferredSteps, ALimitDecidesWhetherThereAreAny) {
  const size_t waiting = training_memory(two_large_layers(), small_batches(8))->total_bytes;
  MemoryLimits limits;
  limits.bytes_max = waiting;
  EXPECT_EQ(training_memory(two_large_layers(), small_batches(8), limits)->total_bytes, waiting);
  const MemoryPlan at_once = *training_memory(two_large_layers(), small_batches(8), without_waiting(8));
  EXPECT_LT(at_once.total_bytes, waiting);
  EXPECT_EQ(at_once.slice_examples, 8U);
  // Nine examples are too many for two steps to wait together.
  EXPECT_LT(training_memory(two_large_layers(), small_batches(9))->total_bytes, waiting);
}

TEST(DeferredSteps, TheSameRoundTwiceGivesTheSameBits) {
  Rig rig(1);
  const std::vector<float> first = rig.train();
  ASSERT_TRUE(rig.trainer->start(rig.global, rig.examples, 5).ok());
  for (int step = 0; step < 3; ++step) ASSERT_TRUE(rig.trainer->step().ok());  // three wait, and are forgotten
  EXPECT_EQ(first, rig.train());
}

TEST(DeferredSteps, WhoLooksSeesAllStepsUpToNow) {
  for (const uint32_t look : {1U, 5U}) {
    const uint32_t batch = 2;
    Rig waiting(batch);
    Rig at_once(batch, without_waiting(batch));
    const std::vector<float> found = waiting.train(look);
    const std::vector<float> expected = at_once.train(look);
    EXPECT_LT(largest_difference(waiting.seen, at_once.seen), 2e-5);
    EXPECT_LT(largest_difference(found, expected), 2e-5);
  }
}

TEST(DeferredSteps, TheUpdateHasAllOfThem) {
  Rig rig(1);
  const std::vector<float> local = rig.train();
  const std::span<const float> update = rig.trainer->update();
  ASSERT_EQ(update.size(), local.size());
  for (size_t i = 0; i < update.size(); ++i) ASSERT_EQ(update[i], local[i] - rig.global[i]);
}

TEST(DeferredSteps, AnExampleThatIsNotFiniteFailsAtItsOwnStep) {
  Rig rig(1);
  Rig clean(1);
  rig.examples.values(4)[7] = std::numeric_limits<float>::quiet_NaN();
  ASSERT_TRUE(rig.trainer->start(rig.global, rig.examples, 3).ok());
  ASSERT_TRUE(clean.trainer->start(clean.global, clean.examples, 3).ok());
  for (;;) {
    const Result<Progress> progress = rig.trainer->step();
    if (!progress.ok()) {
      EXPECT_EQ(progress.error(), Error::kNotFinite);
      EXPECT_NE(std::string(progress.failure().text()).find("example 4"), std::string::npos);
      break;
    }
    ASSERT_LE(rig.trainer->steps_done(), 21U);
    ASSERT_TRUE(clean.trainer->step().ok());
    ASSERT_EQ(rig.trainer->mean_loss(), clean.trainer->mean_loss()) << "it was seen before its step";
  }
}

}  // namespace
}  // namespace runnel::train
