#include "runtime/train/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>

#include "runtime/train/evaluator.h"
#include "tests/unit/train/test_models.h"

namespace runnel::train {
namespace {

plan::ModelSpec small_cnn() {
  return model(
      {1, 8, 8}, 4,
      {conv(4, {3, 3}, {1, 1}, {1, 1}), relu(), max_pool({2, 2}, {2, 2}), flatten(), dense(16), relu(), dense(4)});
}

plan::ModelSpec small_mlp() {
  return model({64}, 4, {dense(24), relu(), dense(4)});
}

// A trainer and the memory it needs, `shift` bytes into the arena.
struct Rig {
  Rig(const plan::ModelSpec& spec, const plan::TrainingSpec& training, size_t shift = 0)
      : memory(training_memory(spec, training)->total_bytes + shift + Arena::kAlignment) {
    (void)memory.arena().allocate<uint8_t>(shift);
    Result<Trainer> created = Trainer::create(spec, training, memory.arena());
    EXPECT_TRUE(created.ok()) << created.failure().text();
    trainer.emplace(std::move(created).value());
  }

  std::vector<float> train(std::span<const float> global, const data::ExampleSource& source, uint64_t seed) {
    const Failure started = trainer->start(global, source, seed);
    EXPECT_TRUE(started.ok()) << started.text();
    for (;;) {
      const Result<Progress> progress = trainer->step();
      EXPECT_TRUE(progress.ok()) << progress.failure().text();
      if (!progress.ok() || *progress == Progress::kDone) break;
    }
    return {trainer->parameters().begin(), trainer->parameters().end()};
  }

  TestMemory memory;
  std::optional<Trainer> trainer;
};

double accuracy(const plan::ModelSpec& spec, std::span<const float> parameters, const data::ExampleSource& source) {
  TestMemory memory(evaluation_memory(spec, 16)->total_bytes);
  Result<Evaluator> evaluator = Evaluator::create(spec, 16, memory.arena());
  EXPECT_TRUE(evaluator.ok());
  EXPECT_TRUE(evaluator->start(parameters, source).ok());
  while (*evaluator->step() == Progress::kRunning) {
  }
  return evaluator->metrics().accuracy();
}

TEST(Trainer, LearnsASmallProblem) {
  for (const plan::ModelSpec& spec : {small_mlp(), small_cnn()}) {
    plan::TrainingSpec training;
    training.local_epochs = 6;
    training.batch_size = 16;
    training.learning_rate = 0.02F;
    Rig rig(spec, training);
    const TestExamples examples = prototype_examples(64, 4, 200, 1.0, 1);
    const std::vector<float> global = initial_parameters(spec, 2);
    const std::vector<float> trained = rig.train(global, examples, 3);
    EXPECT_GT(accuracy(spec, trained, prototype_examples(64, 4, 200, 1.0, 4)), 0.95);
    EXPECT_LT(rig.trainer->mean_loss(), 0.1F);
  }
}

TEST(Trainer, UpdateIsTheDifferenceToTheGlobalModel) {
  Rig rig(small_mlp(), {});
  const std::vector<float> global = initial_parameters(small_mlp(), 2);
  const std::vector<float> trained = rig.train(global, prototype_examples(64, 4, 50, 1.0, 1), 3);
  for (int time = 0; time < 2; ++time) {  // asking again changes nothing
    const std::span<const float> update = rig.trainer->update();
    ASSERT_EQ(update.size(), global.size());
    for (size_t index = 0; index < global.size(); ++index) ASSERT_EQ(update[index], trained[index] - global[index]);
  }
}

TEST(Trainer, TheSameSeedGivesTheSameBits) {
  for (const plan::ModelSpec& spec : {small_mlp(), small_cnn()}) {
    plan::TrainingSpec training;
    training.local_epochs = 2;
    training.proximal_mu = 0.1F;
    const TestExamples examples = prototype_examples(64, 4, 75, 1.0, 1);
    const TestExamples others = prototype_examples(64, 4, 31, 2.0, 5);
    const std::vector<float> global = initial_parameters(spec, 2);
    Rig first(spec, training);
    const std::vector<float> expected = first.train(global, examples, 3);
    EXPECT_NE(expected, first.train(global, examples, 4)) << "another seed, another order";

    const std::vector<float> other_global = initial_parameters(spec, 9);
    (void)first.train(other_global, others, 8);
    EXPECT_EQ(expected, first.train(global, examples, 3)) << "after another round";

    EXPECT_TRUE(first.trainer->start(global, others, 5).ok());
    EXPECT_TRUE(first.trainer->step().ok());
    EXPECT_EQ(expected, first.train(global, examples, 3)) << "after a round that was given up";

    Rig shifted(spec, training, 1000);
    EXPECT_EQ(expected, shifted.train(global, examples, 3)) << "elsewhere in memory";

    Trainer moved = std::move(*shifted.trainer);
    shifted.trainer.emplace(std::move(moved));
    EXPECT_EQ(expected, shifted.train(global, examples, 3)) << "after a move";
  }
}

TEST(Trainer, TheOrderOfConstructionDoesNotMatter) {
  const plan::TrainingSpec training;
  const TestExamples examples = prototype_examples(64, 4, 40, 1.0, 1);
  const plan::ModelSpec specs[2] = {small_mlp(), small_cnn()};
  std::vector<float> results[2][2];
  for (size_t order = 0; order < 2; ++order) {
    TestMemory memory(1 << 20);
    std::vector<Trainer> trainers;
    for (size_t index = 0; index < 2; ++index) {
      Result<Trainer> trainer = Trainer::create(specs[index ^ order], training, memory.arena());
      ASSERT_TRUE(trainer.ok());
      trainers.push_back(std::move(trainer).value());
    }
    const std::vector<float> globals[2] = {initial_parameters(specs[order], 2),
                                           initial_parameters(specs[1 ^ order], 2)};
    for (size_t index = 0; index < 2; ++index) ASSERT_TRUE(trainers[index].start(globals[index], examples, 3).ok());
    for (uint32_t step = 0; step < 2; ++step) {  // interleaved
      for (Trainer& trainer : trainers) ASSERT_TRUE(trainer.step().ok());
    }
    for (size_t index = 0; index < 2; ++index) {
      const std::span<const float> update = trainers[index].update();
      results[order][index ^ order].assign(update.begin(), update.end());
    }
  }
  EXPECT_EQ(results[0][0], results[1][0]);
  EXPECT_EQ(results[0][1], results[1][1]);
}

TEST(Trainer, CountsEpochsStepsAndExamples) {
  const std::vector<float> global = initial_parameters(small_mlp(), 2);
  const TestExamples examples = prototype_examples(64, 4, 50, 1.0, 1);
  plan::TrainingSpec training;
  training.batch_size = 16;
  training.local_epochs = 3;
  Rig epochs(small_mlp(), training);
  ASSERT_TRUE(epochs.trainer->start(global, examples, 1).ok());
  EXPECT_EQ(epochs.trainer->steps_total(), 12U) << "three epochs of 16 + 16 + 16 + 2";
  EXPECT_EQ(epochs.trainer->sample_count(), 0U);
  for (uint32_t step = 1; step <= 12; ++step) {
    const Result<Progress> progress = epochs.trainer->step();
    ASSERT_TRUE(progress.ok());
    EXPECT_EQ(*progress, step == 12 ? Progress::kDone : Progress::kRunning);
    EXPECT_EQ(epochs.trainer->steps_done(), step);
    EXPECT_EQ(epochs.trainer->sample_count(), std::min(50U, 16 * step));
  }
  EXPECT_EQ(*epochs.trainer->step(), Progress::kDone);
  EXPECT_EQ(epochs.trainer->steps_done(), 12U);

  for (const uint32_t steps : {1U, 2U, 4U, 9U}) {
    training.local_steps = steps;
    Rig rig(small_mlp(), training);
    (void)rig.train(global, examples, 1);
    EXPECT_EQ(rig.trainer->steps_done(), steps);
    EXPECT_EQ(rig.trainer->sample_count(), std::min(50U, 16 * steps));
  }
}

// Epochs and steps are two ways to say the same: the examples come in the same order.
TEST(Trainer, StepsModeVisitsTheExamplesAsEpochsModeDoes) {
  const std::vector<float> global = initial_parameters(small_mlp(), 2);
  const TestExamples examples = prototype_examples(64, 4, 50, 1.0, 1);
  plan::TrainingSpec training;
  training.batch_size = 16;
  training.local_epochs = 2;
  Rig epochs(small_mlp(), training);
  training.local_steps = 8;
  Rig steps(small_mlp(), training);
  EXPECT_EQ(epochs.train(global, examples, 6), steps.train(global, examples, 6));
}

TEST(Trainer, RefusesWhatDoesNotFitAndKeepsTheRound) {
  plan::TrainingSpec training;
  training.local_steps = 3;
  const TestExamples examples = prototype_examples(64, 4, 40, 1.0, 1);
  const std::vector<float> global = initial_parameters(small_mlp(), 2);
  Rig undisturbed(small_mlp(), training);
  const std::vector<float> expected = undisturbed.train(global, examples, 3);

  Rig rig(small_mlp(), training);
  EXPECT_EQ(rig.trainer->step().error(), Error::kInvalidArgument) << "not started";
  ASSERT_TRUE(rig.trainer->start(global, examples, 3).ok());
  ASSERT_TRUE(rig.trainer->step().ok());
  EXPECT_EQ(rig.trainer->start(global, prototype_examples(63, 4, 5, 1.0, 1), 3).error(), Error::kShape);
  EXPECT_EQ(rig.trainer->start(std::span(global).first(global.size() - 1), examples, 3).error(), Error::kShape);
  EXPECT_EQ(rig.trainer->start(global, prototype_examples(64, 5, 5, 1.0, 1), 3).error(), Error::kOutOfRange);
  EXPECT_EQ(rig.trainer->start(global, TestExamples(64, 4), 3).error(), Error::kInvalidArgument);
  std::vector<float> broken = global;
  broken.back() = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(rig.trainer->start(broken, examples, 3).error(), Error::kNotFinite);
  EXPECT_EQ(*rig.trainer->step(), Progress::kRunning);
  EXPECT_EQ(*rig.trainer->step(), Progress::kDone);
  EXPECT_EQ(std::vector<float>(rig.trainer->parameters().begin(), rig.trainer->parameters().end()), expected);
}

TEST(Trainer, FewerClassesThanTheModelHasAreFine) {
  Rig rig(small_mlp(), {});
  const TestExamples examples = prototype_examples(64, 2, 10, 1.0, 1);
  const std::vector<float> global = initial_parameters(small_mlp(), 2);
  EXPECT_TRUE(rig.trainer->start(global, examples, 3).ok());
}

TEST(Trainer, ReportsInputsThatAreNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    plan::TrainingSpec training;
    training.batch_size = 4;
    TestExamples examples = prototype_examples(64, 4, 12, 1.0, 1);
    examples.values(7)[63] = bad;
    const std::vector<float> global = initial_parameters(small_cnn(), 2);
    Rig rig(small_cnn(), training);
    ASSERT_TRUE(rig.trainer->start(global, examples, 3).ok());
    Result<Progress> progress = rig.trainer->step();
    while (progress.ok() && *progress == Progress::kRunning) {
      const Result<Progress> next = rig.trainer->step();
      if (!next.ok()) {
        EXPECT_EQ(next.error(), Error::kNotFinite);
        EXPECT_NE(std::string(next.failure().text()).find("example 7"), std::string::npos) << next.failure().text();
        break;
      }
      ASSERT_EQ(*next, Progress::kRunning) << "the round must not end well";
    }
    if (!progress.ok()) {
      EXPECT_EQ(progress.error(), Error::kNotFinite);
    }
    EXPECT_EQ(rig.trainer->step().error(), Error::kInvalidArgument) << "a failed round stays failed";

    examples.values(7)[63] = 0.0F;
    EXPECT_EQ(rig.train(global, examples, 3).size(), global.size()) << "and another can start";
  }
}

TEST(Trainer, ReportsDivergenceWithTheStep) {
  plan::TrainingSpec training;
  training.learning_rate = 100.0F;
  training.local_steps = 1000;
  training.weight_decay = 1.0F;
  Rig rig(small_mlp(), training);
  const TestExamples examples = prototype_examples(64, 4, 40, 1.0, 1);
  const std::vector<float> global = initial_parameters(small_mlp(), 2);
  ASSERT_TRUE(rig.trainer->start(global, examples, 3).ok());
  Error error = Error::kOk;
  std::string text;
  while (error == Error::kOk && rig.trainer->steps_done() < 1000) {
    const Result<Progress> progress = rig.trainer->step();
    error = progress.error();
    if (!progress.ok()) text = progress.failure().text();
  }
  EXPECT_EQ(error, Error::kNotFinite);
  EXPECT_EQ(text.find("step " + std::to_string(rig.trainer->steps_done() + 1) + ": "), 0U) << text;
}

TEST(Trainer, ReportsALabelThatIsOutOfRange) {
  TestExamples examples = prototype_examples(64, 4, 12, 1.0, 1);
  examples.labels()[5] = 4;
  Rig rig(small_mlp(), {});
  const std::vector<float> global = initial_parameters(small_mlp(), 2);
  ASSERT_TRUE(rig.trainer->start(global, examples, 3).ok());
  EXPECT_EQ(rig.trainer->step().error(), Error::kOutOfRange);
}

}  // namespace
}  // namespace runnel::train
