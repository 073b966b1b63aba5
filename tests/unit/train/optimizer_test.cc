// The update rules against hand-written scalar simulations.
#include "runtime/train/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "runtime/train/example_order.h"
#include "runtime/train/trainer.h"
#include "tests/unit/train/test_models.h"

namespace runnel::train {
namespace {

using plan::Optimizer;

// One parameter, in double, as optimizer.h writes it down.
struct Simulated {
  double w = 0.0;
  double first = 0.0;
  double second = 0.0;

  void step(const plan::TrainingSpec& training, uint64_t t, double factor, double gradient, double global,
            double correction) {
    const double rate = training.learning_rate;
    const double decay = training.weight_decay;
    const bool decoupled = training.optimizer == Optimizer::kAdamW;
    double g = factor * gradient + correction + double{training.proximal_mu} * (w - global);
    if (!decoupled) g += decay * w;
    if (training.optimizer == Optimizer::kSgd || training.optimizer == Optimizer::kNesterov) {
      const double momentum = training.momentum;
      first = momentum * first + g;
      w -= rate * (training.optimizer == Optimizer::kNesterov ? g + momentum * first : first);
      return;
    }
    const double beta1 = training.beta1;
    const double beta2 = training.beta2;
    if (decoupled) w -= rate * decay * w;
    first = beta1 * first + (1.0 - beta1) * g;
    second = beta2 * second + (1.0 - beta2) * g * g;
    const double mean = first / (1.0 - std::pow(beta1, static_cast<double>(t)));
    const double square = second / (1.0 - std::pow(beta2, static_cast<double>(t)));
    w -= rate * mean / (std::sqrt(square) + double{training.epsilon});
  }
};

std::vector<float> normal_values(Rng& rng, size_t count) {
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

void follow(const plan::TrainingSpec& training, bool corrected) {
  SCOPED_TRACE(std::string(plan::optimizer_name(training.optimizer)) + ", momentum " +
               std::to_string(training.momentum) + ", decay " + std::to_string(training.weight_decay) + ", mu " +
               std::to_string(training.proximal_mu) + (corrected ? ", corrected" : ""));
  constexpr size_t kCount = 19;
  constexpr float kFactor = 0.5F;
  Rng rng(4);
  const std::vector<float> global = normal_values(rng, kCount);
  const std::vector<float> correction = corrected ? normal_values(rng, kCount) : std::vector<float>{};
  std::vector<float> parameters = global;
  const uint32_t buffers = optimizer_buffers(training);
  std::vector<float> first(buffers >= 1 ? kCount : 0);
  std::vector<float> second(buffers >= 2 ? kCount : 0);
  std::vector<Simulated> expected(kCount);
  for (size_t index = 0; index < kCount; ++index) expected[index].w = global[index];
  for (uint64_t step = 1; step <= 20; ++step) {
    const std::vector<float> gradient = normal_values(rng, kCount);
    const std::span<const float> anchor = training.proximal_mu == 0.0F ? std::span<const float>{} : global;
    ASSERT_TRUE(optimizer_step(training, step, kFactor, {gradient, anchor, correction, first, second, parameters}));
    for (size_t index = 0; index < kCount; ++index) {
      expected[index].step(training, step, kFactor, gradient[index], global[index],
                           corrected ? correction[index] : 0.0);
    }
  }
  for (size_t index = 0; index < kCount; ++index) EXPECT_NEAR(parameters[index], expected[index].w, 2e-5);
}

TEST(OptimizerStep, IsTheStatedFormula) {
  plan::TrainingSpec training;
  training.learning_rate = 0.1F;
  for (const Optimizer optimizer : {Optimizer::kSgd, Optimizer::kNesterov, Optimizer::kAdam, Optimizer::kAdamW}) {
    for (const float momentum : {0.0F, 0.9F}) {
      for (const float decay : {0.0F, 0.01F}) {
        for (const float mu : {0.0F, 0.5F}) {
          training.optimizer = optimizer;
          training.momentum = momentum;
          training.weight_decay = decay;
          training.proximal_mu = mu;
          training.epsilon = 1e-3F;  // without it, the first steps of adam are signs, and tell nothing
          follow(training, false);
          follow(training, true);
        }
      }
    }
  }
}

TEST(OptimizerStep, KeepsAsManyBuffersAsItSays) {
  plan::TrainingSpec training;
  EXPECT_EQ(optimizer_buffers(training), 1U);
  training.momentum = 0.0F;
  EXPECT_EQ(optimizer_buffers(training), 0U);
  training.optimizer = Optimizer::kNesterov;
  EXPECT_EQ(optimizer_buffers(training), 0U);
  training.optimizer = Optimizer::kAdam;
  EXPECT_EQ(optimizer_buffers(training), 2U);
  training.optimizer = Optimizer::kAdamW;
  EXPECT_EQ(optimizer_buffers(training), 2U);
}

TEST(OptimizerStep, SeesEveryValueThatIsNotFinite) {
  const std::vector<float> global(19, 1.0F);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    for (size_t index = 0; index < global.size(); ++index) {
      for (const Optimizer optimizer : {Optimizer::kSgd, Optimizer::kNesterov, Optimizer::kAdam, Optimizer::kAdamW}) {
        plan::TrainingSpec training;
        training.learning_rate = 1e-9F;
        training.optimizer = optimizer;
        std::vector<float> parameters = global;
        std::vector<float> first(global.size());
        std::vector<float> second(global.size());
        std::vector<float> gradient(global.size());
        const OptimizerSpans spans{gradient, {}, {}, first, second, parameters};
        EXPECT_TRUE(optimizer_step(training, 1, 1.0F, spans));
        gradient[index] = bad;
        EXPECT_FALSE(optimizer_step(training, 2, 1.0F, spans));
      }
    }
  }
}

TEST(ClipFactor, ScalesDownToTheNormAndNeverUp) {
  plan::TrainingSpec training;
  const std::vector<float> gradient(37, -2.0F);
  EXPECT_EQ(square_sum(gradient), 148.0);
  EXPECT_EQ(square_sum({}), 0.0);
  EXPECT_EQ(clip_factor(training, 148.0), 1.0F) << "no clipping";
  training.clip_norm = 3.0F;
  EXPECT_FLOAT_EQ(clip_factor(training, 144.0), 0.25F);
  EXPECT_EQ(clip_factor(training, 1.0), 1.0F);
  EXPECT_EQ(clip_factor(training, 0.0), 1.0F);
  EXPECT_TRUE(std::isnan(clip_factor(training, std::nan(""))));
  EXPECT_EQ(clip_factor(training, HUGE_VAL), 0.0F);
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
