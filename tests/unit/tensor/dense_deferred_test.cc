#include "runtime/tensor/dense_deferred.h"

#include <gtest/gtest.h>

#include "runtime/base/instruction_set.h"
#include "tests/unit/tensor/test_values.h"

namespace runnel::tensor {
namespace {

struct Outcome {
  std::vector<float> outputs;          // of all steps
  std::vector<float> input_gradients;  // the same
  std::vector<float> weight;
  std::vector<float> bias;
};

struct Task {
  // Steps of `step_batch` examples, the last of what is left of `count`.
  Task(const Dense& layer, size_t step_batch, size_t count, Rng& rng)
      : dense(layer),
        batch(step_batch),
        examples(count),
        inputs(random_values(rng, count * layer.inputs)),
        gradients(random_values(rng, count * layer.units)),
        weight(random_values(rng, layer.inputs * layer.units)),
        bias(random_values(rng, layer.units)) {}

  std::string text() const {
    return std::to_string(dense.inputs) + " -> " + std::to_string(dense.units) + ", " + std::to_string(examples) +
           " examples, " + std::to_string(batch) + " a step";
  }

  // `ahead`: how many inputs are shown at once; 0: none.
  Outcome deferred(size_t ahead) const {
    std::vector<float> memory(deferred_floats(dense, batch));
    DeferredSteps waiting = no_steps(dense, batch, memory);
    Outcome outcome = run([&](const Step& step, std::vector<float>& new_weight, std::vector<float>& new_bias,
                              std::span<float> workspace) {
      if (ahead >= batch && waiting.count == 0) {
        const size_t count = std::min(ahead / batch * batch, examples - step.first);
        std::copy_n(inputs.data() + step.first * dense.inputs, count * dense.inputs, waiting.inputs.data());
        look_ahead(dense, count, new_weight, waiting);
      }
      dense_forward_deferred(dense, step.count, waiting, step.input, new_weight, new_bias, Activation::kRelu,
                             step.output, workspace);
      dense_backward_deferred(dense, step.count, waiting, step.input, step.gradient, kScale, new_weight, new_bias,
                              step.input_gradient, workspace);
    });
    apply_deferred(dense, waiting, outcome.weight);
    return outcome;
  }

  Outcome at_once() const {
    return run([&](const Step& step, std::vector<float>& new_weight, std::vector<float>& new_bias,
                   std::span<float> workspace) {
      dense_forward(dense, step.count, step.input, new_weight, new_bias, Activation::kRelu, step.output, workspace);
      dense_backward(dense, step.count, step.input, new_weight, step.gradient, kScale, new_weight, new_bias,
                     step.input_gradient, workspace);
    });
  }

  struct Step {
    size_t first;
    size_t count;
    std::span<const float> input;
    std::span<const float> gradient;
    std::span<float> output;
    std::span<float> input_gradient;
  };

  template <typename Work>
  Outcome run(Work work) const {
    Outcome outcome{std::vector<float>(examples * dense.units), std::vector<float>(inputs.size()), weight, bias};
    std::vector<float> workspace(dense_workspace(dense, batch));
    for (size_t first = 0; first < examples; first += batch) {
      const size_t count = std::min(batch, examples - first);
      const auto part = [&](auto& all, size_t width) { return std::span(all).subspan(first * width, count * width); };
      work(Step{first, count, part(inputs, dense.inputs), part(gradients, dense.units),
                part(outcome.outputs, dense.units), part(outcome.input_gradients, dense.inputs)},
           outcome.weight, outcome.bias, workspace);
    }
    return outcome;
  }

  static constexpr float kScale = -0.05F;
  Dense dense;
  size_t batch;
  size_t examples;
  std::vector<float> inputs;
  std::vector<float> gradients;
  std::vector<float> weight;
  std::vector<float> bias;
};

void expect_equal(const Outcome& a, const Outcome& b) {
  EXPECT_EQ(a.outputs, b.outputs);
  EXPECT_EQ(a.input_gradients, b.input_gradients);
  EXPECT_EQ(a.weight, b.weight);
  EXPECT_EQ(a.bias, b.bias);
}

void expect_same_steps(const Task& task, const Outcome& expected, const Outcome& found) {
  // A step adds up to 16 products of magnitudes up to the inputs' own square sum.
  expect_close(expected.outputs, found.outputs, 3 * task.dense.inputs);
  expect_close(expected.input_gradients, found.input_gradients, 3 * task.dense.units);
  expect_close(expected.weight, found.weight, task.examples);
  EXPECT_EQ(expected.bias, found.bias);
}

TEST(DenseDeferred, StepsThatWaitAreTheSameSteps) {
  Rng rng(61);
  for (int trial = 0; trial < 80; ++trial) {
    const uint32_t batch = trial % 2 == 0 ? 1 : in_range(rng, 2, kDeferredMax);
    const Task task({in_range(rng, 1, 1100), in_range(rng, 1, 70)}, batch, in_range(rng, 1, 50), rng);
    SCOPED_TRACE(task.text());
    const Outcome expected = task.at_once();
    expect_same_steps(task, expected, task.deferred(0));
    expect_same_steps(task, expected, task.deferred(kDeferredMax));
  }
}

TEST(DenseDeferred, LookingLessFarAheadThanATransposedBatchChangesNoBit) {
  Rng rng(62);
  for (int trial = 0; trial < 40; ++trial) {
    const Task task({in_range(rng, 1, 2500), in_range(rng, 1, 70)}, in_range(rng, 1, 7), in_range(rng, 1, 40), rng);
    SCOPED_TRACE(task.text());
    expect_equal(task.deferred(0), task.deferred(in_range(rng, 1, kDeferredMax - 1)));
  }
}

TEST(DenseDeferred, SetsOfOneRoundingGiveTheSameBitsAndThoseOfTwo) {
  Rng rng(63);
  for (int trial = 0; trial < 12; ++trial) {
    const Task task({in_range(rng, 1, 900), in_range(rng, 1, 70)}, in_range(rng, 1, 8), in_range(rng, 1, 40), rng);
    SCOPED_TRACE(task.text());
    for (const auto& sets : {std::vector<std::string>{"reference", "sse4"}, {"avx2", "avx512", "neon"}}) {
      std::vector<Outcome> outcomes;
      for (const std::string& set : sets) {
        if (limit_instruction_set(set)) outcomes.push_back(task.deferred(kDeferredMax));
      }
      for (const Outcome& outcome : outcomes) expect_equal(outcomes.front(), outcome);
    }
  }
  ASSERT_TRUE(limit_instruction_set("auto"));
}

}  // namespace
}  // namespace runnel::tensor
