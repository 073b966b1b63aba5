// How a step is arranged (slices, recomputation, where gradients go) decides the memory, not what is learnt; and what
// each optimizer setting makes of a step.
#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <string>

#include "runtime/train/evaluator.h"
#include "runtime/train/scaffold.h"
#include "runtime/train/trainer.h"
#include "tests/unit/train/graph_models.h"

namespace runnel::train {
namespace {

struct Trained {
  std::vector<float> parameters;
  MemoryPlan memory;
  float mean_loss = 0.0F;
};

Trained train(const GraphCase& one, const plan::TrainingSpec& training, const MemoryLimits& limits = {},
              std::span<const float> correction = {}, uint32_t examples = 21) {
  Trained trained;
  const Result<MemoryPlan> memory = training_memory(one.spec, training, limits);
  EXPECT_TRUE(memory.ok()) << memory.failure().text();
  trained.memory = *memory;
  TestMemory block(memory->total_bytes);
  std::ranges::fill(block.block(), uint8_t{0xC1});
  Result<Trainer> trainer = Trainer::create(one.spec, training, block.arena(), limits);
  EXPECT_TRUE(trainer.ok()) << trainer.failure().text();
  const CaseExamples source(one, examples, 7);
  const std::vector<float> global = one.parameters(8);
  const Failure started = trainer->start(global, source, 9, correction);
  EXPECT_TRUE(started.ok()) << started.text();
  while (trainer->steps_done() < trainer->steps_total()) {
    const Result<Progress> progress = trainer->step();
    EXPECT_TRUE(progress.ok()) << progress.failure().text();
    if (!progress.ok()) break;
  }
  const std::span<const float> parameters = trainer->parameters();
  trained.parameters.assign(parameters.begin(), parameters.end());
  trained.mean_loss = trainer->mean_loss();
  return trained;
}

void expect_near(const Trained& found, const Trained& expected, double bound) {
  ASSERT_EQ(found.parameters.size(), expected.parameters.size());
  for (size_t i = 0; i < expected.parameters.size(); ++i)
    ASSERT_NEAR(found.parameters[i], expected.parameters[i], bound) << i;
}

plan::TrainingSpec small_steps() {
  plan::TrainingSpec training;
  training.learning_rate = 0.02F;
  training.momentum = 0.0F;
  training.batch_size = 8;
  training.local_steps = 5;
  return training;
}

std::vector<GraphCase> without_batch_norm() {
  std::vector<GraphCase> cases;
  for (const auto& list : {chain_cases(), graph_cases()}) {
    for (const GraphCase& one : list) {
      if (one.name.find("batch norm") == std::string::npos && one.name != "frozen in the middle") cases.push_back(one);
    }
  }
  return cases;
}

// Gradients straight into the weights, through a layer's buffer, and through a velocity that slices add up in.
TEST(TrainerSteps, GradientsMayGoAnywhere) {
  for (const GraphCase& one : without_batch_norm()) {
    SCOPED_TRACE(one.name);
    const plan::TrainingSpec training = small_steps();
    const Trained weights = train(one, training);
    EXPECT_EQ(weights.memory.gradients, GradientPlace::kWeights);
    EXPECT_EQ(weights.memory.gradient_bytes + weights.memory.optimizer_bytes, 0U);
    MemoryLimits limits;
    limits.corrects = true;
    const Trained layer = train(one, training, limits);
    EXPECT_EQ(layer.memory.gradients, GradientPlace::kLayer);
    expect_near(layer, weights, 2e-5);
    limits = {};
    limits.bytes_max = 1;
    // The least that does, in slices.
    limits.bytes_max = weights.memory.total_bytes - 1;
    const Result<MemoryPlan> sliced = training_memory(one.spec, training, limits);
    if (!sliced.ok()) continue;
    EXPECT_LT(sliced->slice_examples, 8U);
    EXPECT_EQ(sliced->gradients, GradientPlace::kVelocity);
    const Trained velocity = train(one, training, limits);
    expect_near(velocity, weights, 2e-5);
    EXPECT_NEAR(velocity.mean_loss, weights.mean_loss, 1e-4);
  }
}

TEST(TrainerSteps, EveryOptimizerWorksInSlices) {
  const GraphCase one = graph_cases()[2];  // residual, group norms
  for (const plan::Optimizer optimizer :
       {plan::Optimizer::kSgd, plan::Optimizer::kNesterov, plan::Optimizer::kAdam, plan::Optimizer::kAdamW}) {
    for (const float clip : {0.0F, 0.05F}) {
      plan::TrainingSpec training = small_steps();
      training.optimizer = optimizer;
      training.momentum = 0.9F;
      training.weight_decay = 0.01F;
      training.proximal_mu = 0.1F;
      training.clip_norm = clip;
      training.epsilon = 1e-2F;  // so that a rounding error of a gradient near zero does not become a step
      const Trained whole = train(one, training);
      EXPECT_EQ(whole.memory.slice_examples, 8U);
      const bool to_velocity = optimizer == plan::Optimizer::kSgd && clip == 0.0F;
      EXPECT_EQ(whole.memory.gradients, clip != 0.0F  ? GradientPlace::kWhole
                                        : to_velocity ? GradientPlace::kVelocity
                                                      : GradientPlace::kLayer);
      // A batch of nine in slices of five and four: the first eight examples decide the slices, the steps do not.
      plan::TrainingSpec longer = training;
      longer.batch_size = 40;
      MemoryLimits limits;
      const Trained one_by_one = train(one, longer);
      for (const size_t less : {size_t{1}, one_by_one.memory.total_bytes / 3}) {
        limits.bytes_max = one_by_one.memory.total_bytes - less;
        const Result<MemoryPlan> plan = training_memory(one.spec, longer, limits);
        if (!plan.ok()) continue;
        EXPECT_LT(plan->slice_examples, one_by_one.memory.slice_examples);
        expect_near(train(one, longer, limits), one_by_one, 5e-4);
      }
    }
  }
}

TEST(TrainerSteps, AccumulatedMinibatchesMakeOneStep) {
  const GraphCase one = chain_cases()[2];
  for (const plan::Optimizer optimizer : {plan::Optimizer::kSgd, plan::Optimizer::kAdam}) {
    for (const float momentum : {0.0F, 0.9F}) {
      plan::TrainingSpec together = small_steps();
      together.optimizer = optimizer;
      together.momentum = momentum;
      together.epsilon = 1e-2F;
      together.local_steps = 2;
      plan::TrainingSpec apart = together;
      apart.batch_size = 4;
      apart.accumulate = 2;
      expect_near(train(one, apart, {}, {}, 32), train(one, together, {}, {}, 32), 2e-5);
    }
  }
}

TEST(TrainerSteps, ClippingBoundsAStep) {
  const GraphCase one = chain_cases()[2];
  plan::TrainingSpec training = small_steps();
  training.local_steps = 1;
  training.learning_rate = 1.0F;
  training.clip_norm = 0.01F;
  const std::vector<float> global = one.parameters(8);
  const Trained trained = train(one, training);
  double squares = 0.0;
  for (size_t i = 0; i < global.size(); ++i)
    squares += std::pow(static_cast<double>(trained.parameters[i]) - static_cast<double>(global[i]), 2);
  EXPECT_NEAR(std::sqrt(squares), 0.01, 1e-4);
}

TEST(TrainerSteps, ACorrectionIsAddedToEveryGradient) {
  const GraphCase one = chain_cases()[2];
  plan::TrainingSpec training = small_steps();
  training.local_steps = 1;
  MemoryLimits limits;
  limits.corrects = true;
  std::vector<float> correction(one.parameters(8).size());
  for (size_t i = 0; i < correction.size(); ++i) correction[i] = 0.01F * static_cast<float>(i % 7);
  const Trained with = train(one, training, limits, correction);
  const Trained without = train(one, training, limits);
  for (size_t i = 0; i < correction.size(); ++i)
    ASSERT_NEAR(with.parameters[i], without.parameters[i] - 0.02F * correction[i], 1e-6);

  TestMemory memory(training_memory(one.spec, training)->total_bytes);
  Result<Trainer> trainer = Trainer::create(one.spec, training, memory.arena());
  const CaseExamples source(one, 9, 7);
  const std::vector<float> global = one.parameters(8);
  EXPECT_EQ(trainer->start(global, source, 9, correction).error(), Error::kShape) << "it was not planned for";
}

TEST(TrainerSteps, ScaffoldsControlBecomesTheMeanGradient) {
  const std::vector<float> global_control{1.0F, -2.0F};
  std::vector<float> local_control{0.5F, 0.25F};
  std::vector<float> correction(2);
  scaffold_correction(global_control, local_control, correction);
  EXPECT_EQ(correction, (std::vector<float>{0.5F, -2.25F}));
  // Four steps of 0.1 along gradients 3 and -1, as corrected.
  const std::vector<float> update{-0.4F * 3.5F, -0.4F * -3.25F};
  std::vector<float> halfway = local_control;
  scaffold_local_control(global_control, update, 0.1 * scaffold_weight(4, 0.0F), 1.0, local_control);
  EXPECT_NEAR(local_control[0], 3.0F, 1e-5);
  EXPECT_NEAR(local_control[1], -1.0F, 1e-5);
  scaffold_local_control(global_control, update, 0.4, 0.5, halfway);
  EXPECT_NEAR(halfway[0], 1.75F, 1e-5);
  EXPECT_NEAR(halfway[1], -0.375F, 1e-5);
  EXPECT_EQ(scaffold_rate(update, update), 1.0);
  EXPECT_NEAR(scaffold_rate(std::array{3.0F, 4.0F}, std::array{0.0F, 0.0F}), 0.5, 1e-12) << "all of it is lost";
  EXPECT_NEAR(scaffold_rate(std::array{3.0F, 4.0F}, std::array{-5.0F, 10.0F}), 0.2, 1e-12);
}

TEST(TrainerSteps, ScaffoldKnowsHowFarMomentumCarries) {
  for (const float momentum : {0.0F, 0.5F, 0.9F, 0.9999F}) {
    for (const uint32_t steps : {1U, 2U, 7U, 1000U}) {
      double velocity = 0.0;
      double walked = 0.0;
      for (uint32_t step = 0; step < steps; ++step) {
        velocity = double{momentum} * velocity + 1.0;
        walked += velocity;
      }
      EXPECT_NEAR(scaffold_weight(steps, momentum) / walked, 1.0, 1e-6) << momentum << ", " << steps << " steps";
    }
  }
}

// The paper's line for the server, c <- c + |S| / N (mean gradient - c), once a round.
TEST(TrainerSteps, ScaffoldsFleetControlFollowsTheGlobalModel) {
  const std::vector<float> begin{0.5F, 1.0F};
  const std::vector<float> gradient{2.0F, -1.0F};
  std::vector<float> at_once{1.0F, 1.0F};
  std::vector<float> by_rounds = at_once;
  std::vector<float> expected = at_once;
  std::vector<float> before = begin;
  constexpr uint32_t kRounds = 3;
  for (uint32_t round = 0; round < kRounds; ++round) {
    std::vector<float> now = before;
    for (size_t i = 0; i < now.size(); ++i) {
      now[i] -= 0.25F * gradient[i];
      expected[i] += 0.5F * (gradient[i] - expected[i]);
    }
    scaffold_global_control(before, now, 0.25, 0.5, 1, by_rounds);
    before = now;
  }
  scaffold_global_control(begin, before, kRounds * 0.25, 0.5, kRounds, at_once);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(by_rounds[i], expected[i], 1e-6);
    EXPECT_NEAR(at_once[i], expected[i], 1e-6);
  }
}

TEST(TrainerSteps, FrozenLayersStayAndCostNoActivations) {
  for (const GraphCase& one : chain_cases()) {
    if (one.name.find("frozen") == std::string::npos) continue;
    SCOPED_TRACE(one.name);
    plan::TrainingSpec training = small_steps();
    training.momentum = 0.9F;
    training.weight_decay = 0.1F;
    const Trained trained = train(one, training);
    const plan::ModelLayout layout = *plan::make_layout(one.spec);
    const std::vector<float> global = one.parameters(8);
    bool moved = false;
    for (size_t i = 0; i < global.size(); ++i) {
      if (i < layout.trained_count) {
        moved = moved || trained.parameters[i] != global[i];
      } else {
        ASSERT_EQ(trained.parameters[i], global[i]) << i;
      }
    }
    EXPECT_TRUE(moved);
    EXPECT_LE(trained.memory.optimizer_bytes, Arena::aligned_bytes(layout.trained_count * sizeof(float)));
  }
  // Six wide frozen layers below a head: as much as inference needs, and not six times as much.
  const auto deep = [](plan::Sharing sharing) {
    const plan::LayerSpec wide = kept(conv(8, {3, 3}, {1, 1}, {1, 1}), sharing);
    return model({8, 12, 12}, 3,
                 {wide, relu(), wide, relu(), wide, relu(), wide, relu(), wide, relu(), wide, relu(),
                  plain(plan::LayerKind::kGlobalAvgPool), dense(3)});
  };
  const size_t frozen = training_memory(deep(plan::Sharing::kFrozen), small_steps())->alive_bytes;
  const size_t trained = training_memory(deep(plan::Sharing::kShared), small_steps())->alive_bytes;
  const size_t one_layer = size_t{8} * 8 * 144 * sizeof(float);
  EXPECT_LT(frozen, 4 * one_layer);
  EXPECT_GT(trained, 6 * one_layer);
}

TEST(TrainerSteps, LocalLayersAreTrainedAndNotSent) {
  for (const GraphCase& one : chain_cases()) {
    if (one.name != "local head") continue;
    const plan::TrainingSpec training = small_steps();
    const Trained trained = train(one, training);
    const plan::ModelLayout layout = *plan::make_layout(one.spec);
    ASSERT_LT(layout.shared_count, layout.trained_count);
    TestMemory memory(training_memory(one.spec, training)->total_bytes);
    Result<Trainer> trainer = Trainer::create(one.spec, training, memory.arena());
    const CaseExamples source(one, 21, 7);
    const std::vector<float> global = one.parameters(8);
    ASSERT_TRUE(trainer->start(global, source, 9).ok());
    while (*trainer->step() == Progress::kRunning) {
    }
    const std::span<const float> update = trainer->update();
    ASSERT_EQ(update.size(), layout.shared_count);
    for (size_t i = 0; i < update.size(); ++i) ASSERT_EQ(update[i], trained.parameters[i] - global[i]);
    const std::span<const float> local = trainer->local_parameters();
    ASSERT_EQ(local.size(), layout.trained_count - layout.shared_count);
    for (size_t i = 0; i < local.size(); ++i) {
      ASSERT_EQ(local[i], trained.parameters[layout.shared_count + i]);
      ASSERT_NE(local[i], global[layout.shared_count + i]);
    }
  }
}

TEST(TrainerSteps, DropoutDropsTheSameValuesInSlices) {
  const GraphCase one("dropout", model({40}, 3,
                                       {dense(400), relu(), plain(plan::LayerKind::kDropout, 0.5F), dense(400),
                                        plain(plan::LayerKind::kDropout, 0.3F), dense(3)}));
  const plan::TrainingSpec training = small_steps();
  const Trained whole = train(one, training);
  MemoryLimits limits;
  limits.bytes_max = whole.memory.total_bytes * 4;
  const Trained again = train(one, training, limits);
  EXPECT_EQ(again.parameters, whole.parameters);
  plan::TrainingSpec momentum = training;
  momentum.momentum = 0.9F;
  const Trained expected = train(one, momentum);
  limits.bytes_max = expected.memory.total_bytes - 1;
  const Trained sliced = train(one, momentum, limits);
  EXPECT_LT(sliced.memory.slice_examples, 8U);
  expect_near(sliced, expected, 2e-4);
}

TEST(TrainerSteps, RunningStatisticsTravelInTheUpdate) {
  for (const GraphCase& one : graph_cases()) {
    if (one.name != "batch norm, residual") continue;
    const Trained trained = train(one, small_steps());
    const std::vector<float> global = one.parameters(8);
    uint32_t moved = 0;
    const plan::ModelLayout layout = *plan::make_layout(one.spec);
    for (const plan::TensorInfo& tensor : layout.tensors) {
      if (tensor.trained) continue;
      for (uint32_t i = tensor.offset; i < tensor.offset + tensor.count; ++i)
        moved += trained.parameters[i] != global[i] ? 1U : 0U;
    }
    EXPECT_EQ(moved, 16U);
  }
}

TEST(TrainerSteps, LearnsSequencesValuesAndItself) {
  for (const char* name : {"gru, every step", "mse", "autoencoder", "labels at positions"}) {
    for (const GraphCase& one : chain_cases()) {
      if (one.name != name) continue;
      plan::TrainingSpec training;
      training.learning_rate = 0.05F;
      training.local_steps = 1;
      const float before = train(one, training).mean_loss;
      training.local_steps = 0;
      training.local_epochs = 60;
      EXPECT_LT(train(one, training).mean_loss, 0.9F * before) << name;
    }
  }
}

TEST(TrainerSteps, RefusesTargetsThatDoNotFit) {
  const GraphCase numbers = [] {
    for (const GraphCase& one : chain_cases()) {
      if (one.name == "mse") return one;
    }
    return chain_cases()[0];
  }();
  const GraphCase labels("labels", model({4}, 2, {dense(2)}));
  TestMemory memory(training_memory(labels.spec, {})->total_bytes + training_memory(numbers.spec, {})->total_bytes);
  Result<Trainer> of_labels = Trainer::create(labels.spec, {}, memory.arena());
  const std::vector<float> global = labels.parameters(1);
  EXPECT_EQ(of_labels->start(global, CaseExamples(numbers, 5, 1), 1).error(), Error::kShape);
  Result<Trainer> of_numbers = Trainer::create(numbers.spec, {}, memory.arena());
  const std::vector<float> other = numbers.parameters(1);
  EXPECT_EQ(of_numbers->start(other, CaseExamples(labels, 5, 1), 1).error(), Error::kShape);
}

}  // namespace
}  // namespace runnel::train
