// The update rule against hand-written scalar simulations.
#include "runtime/train/sgd.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "runtime/train/example_order.h"
#include "runtime/train/trainer.h"
#include "tests/unit/train/test_models.h"

namespace runnel::train {
namespace {

TEST(SgdStep, IsTheStatedFormula) {
  plan::TrainingSpec training;
  training.learning_rate = 0.1F;
  for (const float momentum : {0.0F, 0.9F}) {
    for (const float decay : {0.0F, 0.01F}) {
      for (const float mu : {0.0F, 0.5F}) {
        training.momentum = momentum;
        training.weight_decay = decay;
        training.proximal_mu = mu;
        constexpr size_t kCount = 19;
        Rng rng(4);
        std::vector<float> global(kCount);
        for (float& value : global) value = static_cast<float>(rng.normal());
        std::vector<float> parameters = global;
        std::vector<float> velocity(kCount);
        std::vector<double> expected(global.begin(), global.end());
        std::vector<double> expected_velocity(kCount);
        for (int step = 0; step < 20; ++step) {
          std::vector<float> gradient(kCount);
          for (float& value : gradient) value = static_cast<float>(rng.normal());
          ASSERT_TRUE(
              sgd_step(training, gradient, global, momentum == 0.0F ? std::span<float>{} : velocity, parameters));
          for (size_t index = 0; index < kCount; ++index) {
            expected_velocity[index] = static_cast<double>(momentum) * expected_velocity[index] + gradient[index] +
                                       static_cast<double>(decay) * expected[index] +
                                       static_cast<double>(mu) * (expected[index] - global[index]);
            expected[index] -= static_cast<double>(training.learning_rate) * expected_velocity[index];
          }
        }
        for (size_t index = 0; index < kCount; ++index) EXPECT_NEAR(parameters[index], expected[index], 2e-5);
      }
    }
  }
}

TEST(SgdStep, SeesEveryValueThatIsNotFinite) {
  const std::vector<float> global(13, 1.0F);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    for (size_t index = 0; index < global.size(); ++index) {
      for (const float momentum : {0.0F, 0.5F}) {
        plan::TrainingSpec training;
        training.learning_rate = 1e-9F;
        training.momentum = momentum;
        std::vector<float> parameters = global;
        std::vector<float> velocity(global.size());
        std::vector<float> gradient(global.size());
        EXPECT_TRUE(sgd_step(training, gradient, global, velocity, parameters));
        gradient[index] = bad;
        EXPECT_FALSE(sgd_step(training, gradient, global, velocity, parameters));
      }
    }
  }
}

// A linear model of two inputs and two classes, trained by hand; values are w[class][input], then b[class].
TEST(Trainer, FollowsAHandWrittenSimulation) {
  plan::TrainingSpec training;
  training.learning_rate = 0.2F;
  training.momentum = 0.8F;
  training.weight_decay = 0.05F;
  training.proximal_mu = 0.3F;
  training.batch_size = 3;
  training.local_epochs = 4;
  const plan::ModelSpec spec = model({2}, 2, {dense(2)});
  const TestExamples examples = prototype_examples(2, 2, 7, 0.7, 8);  // minibatches of 3, 3 and 1
  const std::vector<float> global{0.5F, -0.25F, 0.125F, 0.75F, 0.1F, -0.2F};
  constexpr uint64_t kSeed = 12;

  TestMemory memory(training_memory(spec, training)->total_bytes);
  Result<Trainer> trainer = Trainer::create(spec, training, memory.arena());
  ASSERT_TRUE(trainer.ok());
  ASSERT_TRUE(trainer->start(global, examples, kSeed).ok());
  ASSERT_EQ(trainer->steps_total(), 12U);

  double values[6];
  double velocity[6] = {};
  for (size_t index = 0; index < 6; ++index) values[index] = global[index];
  double loss_sum = 0.0;
  for (uint32_t epoch = 0; epoch < 4; ++epoch) {
    const ExampleOrder order(7, derive_key(kSeed, epoch));
    loss_sum = 0.0;
    for (uint32_t start = 0; start < 7; start += 3) {
      const uint32_t count = std::min(3U, 7 - start);
      double gradient[6] = {};
      for (uint32_t position = start; position < start + count; ++position) {
        float x[2];
        const uint32_t label = examples.read_labelled(order.at(position), x);
        double logits[2];
        for (size_t c = 0; c < 2; ++c) logits[c] = values[2 * c] * x[0] + values[2 * c + 1] * x[1] + values[4 + c];
        const double total = std::exp(logits[0]) + std::exp(logits[1]);
        loss_sum -= std::log(std::exp(logits[label]) / total);
        for (size_t c = 0; c < 2; ++c) {
          const double error = (std::exp(logits[c]) / total - (c == label ? 1.0 : 0.0)) / count;
          gradient[2 * c] += error * x[0];
          gradient[2 * c + 1] += error * x[1];
          gradient[4 + c] += error;
        }
      }
      for (size_t index = 0; index < 6; ++index) {
        const double direction = gradient[index] + 0.05 * values[index] + 0.3 * (values[index] - global[index]);
        velocity[index] = 0.8 * velocity[index] + direction;
        values[index] -= 0.2 * velocity[index];
      }
      ASSERT_TRUE(trainer->step().ok());
      for (size_t index = 0; index < 6; ++index) ASSERT_NEAR(trainer->parameters()[index], values[index], 1e-5);
    }
  }
  EXPECT_NEAR(trainer->mean_loss(), loss_sum / 7, 1e-5);
  const std::span<const float> update = trainer->update();
  ASSERT_EQ(update.size(), 6U);
  for (size_t index = 0; index < 6; ++index) EXPECT_NEAR(update[index], values[index] - global[index], 1e-5);
}

}  // namespace
}  // namespace runnel::train
