// Every layer's and every loss's gradient, and whole graphs', against central differences of an independent computation
// in double; and that neither slices nor recomputation nor the batch's size change what comes out.
#include <gtest/gtest.h>

#include <string>

#include "runtime/train/loss.h"
#include "runtime/train/network.h"
#include "tests/unit/train/double_network.h"
#include "tests/unit/train/graph_models.h"

namespace runnel::train {
namespace {

constexpr double kStep = 1e-6;
constexpr double kRelativeBound = 1e-4;
constexpr double kAbsoluteBound = 5e-6;
constexpr float kBefore = 0.25F;  // what the gradient is added to

struct Passes {
  std::vector<float> outputs;
  std::vector<float> gradient;
  std::vector<float> parameters;  // with running statistics that moved
  double loss_sum = 0.0;
};

// One batch through a network laid out for `options`.
Passes run(const GraphCase& one, const ScheduleOptions& options, uint32_t examples, uint64_t seed) {
  BlockLayout block_layout;
  Result<Network> network = Network::plan(one.spec, options, Network::Use::kTraining, block_layout);
  EXPECT_TRUE(network.ok()) << network.failure().text();
  TestMemory memory(block_layout.bytes());
  std::ranges::fill(memory.block(), uint8_t{0xC1});  // nothing may rely on zeroed memory
  network->bind(memory.block());
  const plan::ModelLayout layout = *plan::make_layout(one.spec);
  Passes passes;
  passes.parameters = one.parameters(seed);
  const std::vector<float> inputs = one.inputs(examples, seed);
  for (uint32_t example = 0; example < examples; ++example) {
    std::copy_n(inputs.begin() + static_cast<ptrdiff_t>(example * one.spec.input.count()), one.spec.input.count(),
                network->input(example).begin());
  }
  EXPECT_TRUE(network->check_input(examples).ok());
  network->begin_minibatch(seed, 0);
  network->forward(passes.parameters, examples, passes.parameters);
  const std::span<const float> outputs = network->outputs(examples);
  passes.outputs.assign(outputs.begin(), outputs.end());
  const bool to_input = one.spec.loss.target == plan::TargetKind::kInput;
  const plan::Shape& shape = layout.outputs.back();
  passes.loss_sum = batch_loss(one.spec.loss, one.spec.classes, shape.height * shape.width, outputs,
                               to_input ? inputs : one.targets(examples, seed), network->output_gradient(examples))
                        .sum;
  passes.gradient.assign(layout.parameter_count, kBefore);
  network->backward(passes.parameters, examples, passes.gradient);
  return passes;
}

void check(const GraphCase& one, uint32_t batch_size, uint32_t examples, uint64_t seed) {
  const plan::ModelLayout layout = *plan::make_layout(one.spec);
  const Passes passes = run(one, {batch_size}, examples, seed);
  const std::vector<float> parameters = one.parameters(seed);
  const std::vector<float> inputs = one.inputs(examples, seed);
  const std::vector<float> targets = one.targets(examples, seed);
  const std::vector<double> exact_inputs(inputs.begin(), inputs.end());
  std::vector<double> moved(parameters.begin(), parameters.end());
  DoubleNetwork exact(one.spec, layout);
  EXPECT_NEAR(passes.loss_sum / examples, exact.loss(moved, exact_inputs, targets, examples), 2e-5);
  for (const plan::TensorInfo& tensor : layout.tensors) {
    for (size_t index = tensor.offset; index < tensor.offset + tensor.count; ++index) {
      if (!tensor.trained) {
        ASSERT_EQ(passes.gradient[index], kBefore) << tensor.name.c_str();
        continue;
      }
      const double at = moved[index];
      moved[index] = at + kStep;
      const double above = exact.loss(moved, exact_inputs, targets, examples);
      moved[index] = at - kStep;
      const double below = exact.loss(moved, exact_inputs, targets, examples);
      moved[index] = at;
      const double expected = (above - below) / (2 * kStep);
      ASSERT_NEAR(passes.gradient[index] - kBefore, expected, kAbsoluteBound + kRelativeBound * std::abs(expected))
          << tensor.name.c_str() << " " << index - tensor.offset;
    }
  }
}

TEST(Gradient, AgreesWithFiniteDifferences) {
  uint64_t seed = 100;
  for (const GraphCase& one : chain_cases()) {
    SCOPED_TRACE(one.name);
    check(one, 4, 4, ++seed);
  }
}

TEST(Gradient, AgreesWithFiniteDifferencesInAPartialBatch) {
  uint64_t seed = 200;
  for (const GraphCase& one : chain_cases()) {
    SCOPED_TRACE(one.name);
    check(one, 7, 3, ++seed);
    if (one.name != "batch norm") check(one, 1, 1, ++seed);
  }
}

TEST(Gradient, AgreesWithFiniteDifferencesInGraphs) {
  uint64_t seed = 300;
  for (const GraphCase& one : graph_cases()) {
    SCOPED_TRACE(one.name);
    check(one, 3, 3, ++seed);
    check(one, 5, 2, ++seed);
  }
}

TEST(Gradient, AgreesWithFiniteDifferencesInRandomGraphs) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    check(random_graph(seed, static_cast<uint32_t>(3 + seed % 9)), 2, 2, seed);
  }
}

// Activations that are made again are the same bits, and so is all that follows.
TEST(Network, RecomputationChangesNoBit) {
  std::vector<GraphCase> cases = chain_cases();
  for (const GraphCase& one : graph_cases()) cases.push_back(one);
  for (uint64_t seed = 1; seed <= 200; ++seed)
    cases.push_back(random_graph(1000 + seed, static_cast<uint32_t>(3 + seed % 30)));
  cases.emplace_back("dropout", model({6}, 3,
                                      {dense(9), relu(), plain(plan::LayerKind::kDropout, 0.5F), dense(9), relu(),
                                       plain(plan::LayerKind::kDropout, 0.3F), dense(3)}));
  uint64_t seed = 400;
  for (const GraphCase& one : cases) {
    SCOPED_TRACE(one.name + " " + std::to_string(++seed));
    const Passes expected = run(one, {3}, 3, seed);
    for (const uint32_t segments : {2U, 3U, 5U, 24U}) {
      const Passes found = run(one, {3, segments}, 3, seed);
      ASSERT_EQ(found.outputs, expected.outputs) << segments;
      ASSERT_EQ(found.gradient, expected.gradient) << segments;
      ASSERT_EQ(found.parameters, expected.parameters) << segments << ": running statistics move once";
    }
  }
}

TEST(Network, TheBatchSizeItIsLaidOutForChangesNoBit) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const GraphCase one = random_graph(2000 + seed, 8);
    const Passes expected = run(one, {2}, 2, seed);
    const Passes found = run(one, {9}, 2, seed);
    ASSERT_EQ(found.gradient, expected.gradient) << seed;
  }
}

TEST(Network, InferenceGivesTheOutputsOfTraining) {
  std::vector<GraphCase> cases = chain_cases();
  for (const GraphCase& one : graph_cases()) cases.push_back(one);
  for (const GraphCase& one : cases) {
    if (one.name.find("batch norm") != std::string::npos) continue;  // its own test
    SCOPED_TRACE(one.name);
    const Passes expected = run(one, {3}, 3, 5);
    BlockLayout block_layout;
    Result<Network> network = Network::plan(one.spec, {3}, Network::Use::kInference, block_layout);
    ASSERT_TRUE(network.ok());
    TestMemory memory(block_layout.bytes());
    network->bind(memory.block());
    const std::vector<float> inputs = one.inputs(3, 5);
    std::ranges::copy(inputs, network->input(0).data());
    network->forward(one.parameters(5), 3);
    const std::span<const float> found = network->outputs(3);
    EXPECT_EQ(std::vector<float>(found.begin(), found.end()), expected.outputs);
  }
}

TEST(Network, InferenceNormalisesABatchWithRunningStatistics) {
  for (const GraphCase& one : graph_cases()) {
    if (one.name != "batch norm, residual") continue;
    BlockLayout block_layout;
    Result<Network> network = Network::plan(one.spec, {2}, Network::Use::kInference, block_layout);
    ASSERT_TRUE(network.ok());
    TestMemory memory(block_layout.bytes());
    network->bind(memory.block());
    const std::vector<float> inputs = one.inputs(2, 6);
    const std::vector<float> parameters = one.parameters(6);
    std::ranges::copy(inputs, network->input(0).data());
    network->forward(parameters, 2);
    const plan::ModelLayout layout = *plan::make_layout(one.spec);
    DoubleNetwork exact(one.spec, layout);
    const std::vector<double> expected = exact.outputs(std::vector<double>(parameters.begin(), parameters.end()),
                                                       {inputs.begin(), inputs.end()}, 2, false);
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(network->outputs(2)[i], expected[i], 1e-4);
  }
}

TEST(Network, RefusesAnEmbeddingOfActivations) {
  const plan::ModelSpec spec =
      model({1, 1, 4}, 2, {plain(plan::LayerKind::kRelu), embedding(5, 2), flatten(), dense(2)});
  BlockLayout block_layout;
  EXPECT_EQ(Network::plan(spec, {1}, Network::Use::kTraining, block_layout).error(), Error::kUnsupported);
}

TEST(Network, FindsSymbolsThatAreNone) {
  const plan::ModelSpec spec = model({1, 1, 3}, 2, {embedding(5, 2), flatten(), dense(2)});
  BlockLayout block_layout;
  Result<Network> network = Network::plan(spec, {1}, Network::Use::kTraining, block_layout);
  ASSERT_TRUE(network.ok());
  TestMemory memory(block_layout.bytes());
  network->bind(memory.block());
  for (const float bad : {5.0F, -1.0F, 1.5F}) {
    std::ranges::copy(std::vector<float>{0.0F, 4.0F, bad}, network->input(0).data());
    EXPECT_EQ(network->check_input(1).error(), Error::kOutOfRange) << bad;
  }
}

}  // namespace
}  // namespace runnel::train
