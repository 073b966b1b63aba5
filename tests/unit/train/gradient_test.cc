// Every layer's gradient, and whole networks', against central differences of an independent computation in double.
#include <gtest/gtest.h>

#include <string>

#include "runtime/train/loss.h"
#include "runtime/train/network.h"
#include "tests/unit/train/double_network.h"
#include "tests/unit/train/test_models.h"

namespace runnel::train {
namespace {

constexpr double kStep = 1e-6;
constexpr double kRelativeBound = 2e-5;
constexpr double kAbsoluteBound = 2e-6;

struct Case {
  const char* name;
  plan::ModelSpec spec;
};

double double_mean_loss(const plan::ModelSpec& spec, const plan::ModelLayout& layout,
                        std::span<const double> parameters, const std::vector<std::vector<float>>& inputs,
                        const std::vector<uint32_t>& labels) {
  double total = 0.0;
  for (size_t example = 0; example < labels.size(); ++example) {
    total += double_loss(spec, layout, parameters, inputs[example], labels[example]);
  }
  return total / static_cast<double>(labels.size());
}

// A batch of `examples` in a network laid out for `batch_size`.
void check(const plan::ModelSpec& spec, uint32_t batch_size, uint32_t examples, uint64_t seed) {
  const Result<plan::ModelLayout> layout = plan::make_layout(spec);
  ASSERT_TRUE(layout.ok()) << layout.failure().text();
  BlockLayout block_layout;
  Result<Network> network = Network::plan(spec, {batch_size}, Network::Use::kTraining, block_layout);
  ASSERT_TRUE(network.ok());
  TestMemory memory(block_layout.bytes());
  std::ranges::fill(memory.block(), uint8_t{0xC1});  // nothing may rely on zeroed memory
  network->bind(memory.block());

  Rng rng(seed);
  std::vector<float> parameters(layout->parameter_count);
  for (float& value : parameters) value = static_cast<float>(0.6 * rng.normal());  // biases too
  std::vector<std::vector<float>> inputs(examples, std::vector<float>(spec.input.count()));
  std::vector<uint32_t> labels;
  for (uint32_t example = 0; example < examples; ++example) {
    for (float& value : inputs[example]) value = static_cast<float>(rng.normal());
    std::ranges::copy(inputs[example], network->input(example).begin());
    labels.push_back(static_cast<uint32_t>(rng.below(spec.classes)));
  }

  network->forward(parameters, examples);
  const BatchLoss loss =
      softmax_cross_entropy(network->outputs(examples), labels, spec.classes, network->output_gradient(examples));
  constexpr float kBefore = 0.25F;  // what the gradient is added to
  std::vector<float> gradient(parameters.size(), kBefore);
  network->backward(parameters, examples, gradient);

  std::vector<double> moved(parameters.begin(), parameters.end());
  EXPECT_NEAR(loss.sum / examples, double_mean_loss(spec, *layout, moved, inputs, labels), 1e-5);
  for (size_t index = 0; index < moved.size(); ++index) {
    const double at = moved[index];
    moved[index] = at + kStep;
    const double above = double_mean_loss(spec, *layout, moved, inputs, labels);
    moved[index] = at - kStep;
    const double below = double_mean_loss(spec, *layout, moved, inputs, labels);
    moved[index] = at;
    const double expected = (above - below) / (2 * kStep);
    ASSERT_NEAR(gradient[index] - kBefore, expected, kAbsoluteBound + kRelativeBound * std::abs(expected))
        << "parameter " << index;
  }
}

std::vector<Case> cases() {
  return {
      {"dense", model({5}, 3, {dense(3)})},
      {"dense of one input", model({1}, 2, {dense(2)})},
      {"mlp", model({6}, 4, {dense(9), relu(), dense(7), relu(), dense(4)})},
      {"linear on linear", model({4}, 3, {dense(5), dense(3)})},
      {"relu twice", model({4}, 3, {dense(8), relu(), relu(), dense(3)})},
      {"relu on the logits", model({6}, 3, {dense(3), relu()})},
      {"relu on the input", model({6}, 3, {relu(), dense(3)})},
      {"flatten between", model({2, 3, 3}, 3, {flatten(), dense(4), flatten(), relu(), dense(3)})},
      {"conv", model({1, 5, 5}, 3, {conv(2, {3, 3}), flatten(), dense(3)})},
      {"conv alone", model({2, 4, 3}, 3, {conv(3, {4, 3}), flatten()})},
      {"conv, padded", model({2, 5, 4}, 3, {conv(3, {3, 3}, {1, 1}, {1, 1}), flatten(), dense(3)})},
      {"conv, strided", model({2, 7, 8}, 3, {conv(3, {3, 3}, {2, 3}, {1, 1}), flatten(), dense(3)})},
      {"conv, rectangular", model({3, 4, 9}, 3, {conv(2, {1, 5}, {1, 2}, {0, 2}), flatten(), dense(3)})},
      {"conv on conv",
       model({1, 7, 7}, 3, {conv(3, {3, 3}, {1, 1}, {1, 1}), conv(2, {3, 2}, {2, 1}), flatten(), dense(3)})},
      {"conv, relu, conv",
       model({2, 6, 6}, 3, {conv(3, {3, 3}), relu(), conv(2, {2, 2}), relu(), flatten(), dense(3)})},
      {"max pool",
       model({1, 6, 6}, 3, {conv(2, {3, 3}, {1, 1}, {1, 1}), max_pool({2, 2}, {2, 2}), flatten(), dense(3)})},
      {"max pool, overlapping", model({1, 7, 7}, 3, {conv(2, {2, 2}), max_pool({3, 3}, {2, 1}), flatten(), dense(3)})},
      {"max pool, then relu",
       model({1, 6, 6}, 3, {conv(2, {3, 3}), max_pool({2, 2}, {2, 2}), relu(), flatten(), dense(3)})},
      {"max pool of the input", model({2, 5, 5}, 3, {max_pool({2, 2}, {2, 2}), conv(2, {2, 2}), flatten(), dense(3)})},
      {"avg pool",
       model({1, 6, 6}, 3, {conv(2, {3, 3}, {1, 1}, {1, 1}), relu(), avg_pool({2, 2}, {2, 2}), flatten(), dense(3)})},
      {"avg pool, overlapping", model({2, 6, 6}, 3, {conv(2, {3, 3}), avg_pool({3, 2}, {1, 1}), flatten(), dense(3)})},
      {"avg pool over all", model({2, 5, 5}, 4, {conv(4, {2, 2}), relu(), avg_pool({4, 4}, {1, 1}), flatten()})},
      {"pool on pool",
       model({1, 9, 9}, 3, {conv(2, {2, 2}), max_pool({2, 2}, {2, 2}), avg_pool({2, 2}, {1, 1}), flatten(), dense(3)})},
      {"cnn", model({2, 10, 8}, 4,
                    {conv(3, {3, 3}, {1, 1}, {1, 1}), relu(), max_pool({2, 2}, {2, 2}), conv(4, {3, 3}, {1, 1}, {1, 1}),
                     relu(), max_pool({2, 2}, {2, 2}), flatten(), dense(6), relu(), dense(4)})},
  };
}

TEST(Gradient, AgreesWithFiniteDifferences) {
  uint64_t seed = 100;
  for (const Case& one : cases()) {
    SCOPED_TRACE(one.name);
    check(one.spec, 4, 4, ++seed);
  }
}

TEST(Gradient, AgreesWithFiniteDifferencesInAPartialBatch) {
  uint64_t seed = 200;
  for (const Case& one : cases()) {
    SCOPED_TRACE(one.name);
    check(one.spec, 7, 3, ++seed);
    check(one.spec, 1, 1, ++seed);
  }
}

TEST(Network, InferenceGivesTheLogitsOfTraining) {
  for (const Case& one : cases()) {
    SCOPED_TRACE(one.name);
    const std::vector<float> parameters = initial_parameters(one.spec, 5);
    std::vector<std::vector<float>> logits;
    for (const Network::Use use : {Network::Use::kTraining, Network::Use::kInference}) {
      BlockLayout block_layout;
      Result<Network> network = Network::plan(one.spec, {3}, use, block_layout);
      ASSERT_TRUE(network.ok());
      TestMemory memory(block_layout.bytes());
      network->bind(memory.block());
      Rng rng(6);
      for (uint32_t example = 0; example < 3; ++example) {
        for (float& value : network->input(example)) value = static_cast<float>(rng.normal());
      }
      network->forward(parameters, 3);
      const auto result = network->outputs(3);
      logits.emplace_back(result.begin(), result.end());
    }
    EXPECT_EQ(logits[0], logits[1]);
  }
}

}  // namespace
}  // namespace runnel::train
