#include "runtime/train/evaluator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "tests/unit/train/double_network.h"
#include "tests/unit/train/test_models.h"

namespace runnel::train {
namespace {

plan::ModelSpec spec() {
  return model({1, 6, 6}, 3, {conv(3, {3, 3}), relu(), max_pool({2, 2}, {2, 2}), flatten(), dense(3)});
}

Evaluator::Metrics evaluate(uint32_t batch_size, std::span<const float> parameters, const TestExamples& examples) {
  TestMemory memory(evaluation_memory(spec(), batch_size)->total_bytes);
  Result<Evaluator> evaluator = Evaluator::create(spec(), batch_size, memory.arena());
  EXPECT_TRUE(evaluator.ok());
  EXPECT_TRUE(evaluator->start(parameters, examples).ok());
  uint32_t steps = 1;
  while (*evaluator->step() == Progress::kRunning) ++steps;
  EXPECT_EQ(steps, (examples.example_count() + batch_size - 1) / batch_size);
  EXPECT_EQ(*evaluator->step(), Progress::kDone);
  return evaluator->metrics();
}

TEST(Evaluator, AgreesWithTheModelInDouble) {
  const TestExamples examples = prototype_examples(36, 3, 41, 2.0, 1);
  const std::vector<float> parameters = initial_parameters(spec(), 2);
  const std::vector<double> exact(parameters.begin(), parameters.end());
  const Result<plan::ModelLayout> layout = plan::make_layout(spec());
  double loss = 0.0;
  uint32_t correct = 0;
  for (uint32_t index = 0; index < examples.example_count(); ++index) {
    std::vector<float> input(36);
    const uint32_t label = examples.read_labelled(index, input);
    double losses[3];  // the smallest is that of the predicted class
    for (uint32_t choice = 0; choice < 3; ++choice) losses[choice] = double_loss(spec(), *layout, exact, input, choice);
    loss += losses[label];
    correct += std::min_element(losses, losses + 3) - losses == label ? 1U : 0U;
  }
  for (const uint32_t batch_size : {1U, 8U, 41U, 64U}) {
    const Evaluator::Metrics metrics = evaluate(batch_size, parameters, examples);
    EXPECT_EQ(metrics.examples, 41U);
    EXPECT_EQ(metrics.correct, correct);
    EXPECT_NEAR(metrics.loss, loss / 41, 1e-5);
    EXPECT_DOUBLE_EQ(metrics.accuracy(), correct / 41.0);
  }
}

TEST(Evaluator, CanBeUsedAgain) {
  TestMemory memory(evaluation_memory(spec(), 8)->total_bytes);
  Result<Evaluator> evaluator = Evaluator::create(spec(), 8, memory.arena());
  ASSERT_TRUE(evaluator.ok());
  EXPECT_EQ(evaluator->metrics().examples, 0U);
  EXPECT_EQ(evaluator->metrics().accuracy(), 0.0);
  EXPECT_EQ(evaluator->step().error(), Error::kInvalidArgument) << "not started";
  const TestExamples examples = prototype_examples(36, 3, 20, 2.0, 1);
  const std::vector<float> parameters = initial_parameters(spec(), 2);
  Evaluator::Metrics first;
  for (int time = 0; time < 2; ++time) {
    ASSERT_TRUE(evaluator->start(parameters, examples).ok());
    while (*evaluator->step() == Progress::kRunning) {
    }
    if (time == 0) first = evaluator->metrics();
  }
  EXPECT_EQ(evaluator->metrics().examples, 20U);
  EXPECT_EQ(evaluator->metrics().loss, first.loss);
}

TEST(Evaluator, RefusesWhatDoesNotFit) {
  TestMemory memory(evaluation_memory(spec(), 8)->total_bytes);
  Result<Evaluator> evaluator = Evaluator::create(spec(), 8, memory.arena());
  ASSERT_TRUE(evaluator.ok());
  std::vector<float> parameters = initial_parameters(spec(), 2);
  TestExamples examples = prototype_examples(36, 3, 20, 2.0, 1);
  EXPECT_EQ(evaluator->start(parameters, prototype_examples(35, 3, 5, 1.0, 1)).error(), Error::kShape);
  EXPECT_EQ(evaluator->start(std::span(parameters).first(3), examples).error(), Error::kShape);
  EXPECT_EQ(evaluator->start(parameters, prototype_examples(36, 4, 5, 1.0, 1)).error(), Error::kOutOfRange);
  EXPECT_EQ(evaluator->start(parameters, TestExamples(36, 3)).error(), Error::kInvalidArgument);

  examples.values(10)[0] = std::numeric_limits<float>::infinity();
  ASSERT_TRUE(evaluator->start(parameters, examples).ok());
  EXPECT_EQ(*evaluator->step(), Progress::kRunning);
  EXPECT_EQ(evaluator->step().error(), Error::kNotFinite);
  EXPECT_EQ(evaluator->step().error(), Error::kInvalidArgument);
  EXPECT_EQ(evaluator->metrics().examples, 8U);

  parameters[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(evaluator->start(parameters, examples).error(), Error::kNotFinite);
}

}  // namespace
}  // namespace runnel::train
