#include "runtime/base/instruction_set.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "runtime/tensor/conv2d.h"
#include "runtime/tensor/dense.h"
#include "tests/unit/tensor/test_values.h"

namespace runnel::tensor {
namespace {

#ifdef RUNNEL_EXACT
constexpr bool kExact = true;
#else
constexpr bool kExact = false;
#endif

// Which sets agree to the last bit: those with one rounding of a * b + c, those with two; in an exact build, all.
std::string rounding_of(const std::string& set) {
  return kExact || set == "sse4" || set == "reference" ? "two roundings" : "one rounding";
}

// Runs `work(set)`, which returns all that a kernel wrote, with every set that this processor has, and compares.
template <typename Work>
void expect_same_bits(Work work) {
  std::map<std::string, std::pair<std::string, std::vector<float>>> first;
  for (const std::string set : {"reference", "sse4", "avx2", "avx512", "neon"}) {
    if (!limit_instruction_set(set)) continue;
    ASSERT_EQ(set, instruction_set());
    const std::vector<float> result = work();
    const auto entry = first.emplace(rounding_of(set), std::pair{set, result}).first;
    EXPECT_EQ(entry->second.second, result) << entry->second.first << " and " << set;
  }
  ASSERT_TRUE(limit_instruction_set("auto"));
}

void append(std::vector<float>& all, const std::vector<float>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

TEST(InstructionSet, DenseGivesTheSameBits) {
  Rng rng(51);
  for (int trial = 0; trial < 60; ++trial) {
    const Dense dense{in_range(rng, 1, 600), in_range(rng, 1, 70)};
    const size_t examples = in_range(rng, 1, 40);
    SCOPED_TRACE(std::to_string(dense.inputs) + " -> " + std::to_string(dense.units) + ", " + std::to_string(examples));
    const auto input = random_values(rng, examples * dense.inputs);
    const auto weight = random_values(rng, dense.inputs * dense.units);
    const auto bias = random_values(rng, dense.units);
    const auto gradient = random_values(rng, examples * dense.units);
    expect_same_bits([&] {
      std::vector<float> workspace(dense_workspace(dense, examples));
      std::vector<float> output(examples * dense.units);
      dense_forward(dense, examples, input, weight, bias, Activation::kRelu, output, workspace);
      std::vector<float> new_weight = weight;
      std::vector<float> new_bias = bias;
      std::vector<float> input_gradient(input.size());
      dense_backward(dense, examples, input, new_weight, gradient, -0.1F, new_weight, new_bias, input_gradient,
                     workspace);
      append(output, new_weight);
      append(output, new_bias);
      append(output, input_gradient);
      return output;
    });
  }
}

TEST(InstructionSet, ConvolutionGivesTheSameBits) {
  Rng rng(52);
  for (int trial = 0; trial < 80; ++trial) {
    Conv2d conv{random_window(rng, true), in_range(rng, 1, 40), 1};
    conv.groups = trial % 3 == 0 ? conv.window.channels : 1;
    conv.units = conv.units * conv.groups;
    if (trial % 2 == 0) conv.window.stride_height = conv.window.stride_width = 1;
    const Window2d& window = conv.window;
    const size_t examples = in_range(rng, 1, 4);
    SCOPED_TRACE(describe(window) + " units " + std::to_string(conv.units));
    const auto input = random_values(rng, examples * window.input_count());
    const auto weight = random_values(rng, conv.units * window.patch_count() / conv.groups);
    const auto bias = random_values(rng, conv.units);
    const auto gradient = random_values(rng, examples * conv.units * window.output_positions());
    expect_same_bits([&] {
      std::vector<float> workspace(conv2d_workspace(conv));
      std::vector<float> output(gradient.size());
      conv2d_forward(conv, examples, input, weight, bias, Activation::kRelu, output, workspace);
      std::vector<float> new_weight = weight;
      std::vector<float> new_bias = bias;
      std::vector<float> input_gradient(input.size());
      conv2d_backward(conv, examples, input, new_weight, gradient, -0.1F, new_weight, new_bias, input_gradient,
                      workspace);
      append(output, new_weight);
      append(output, new_bias);
      append(output, input_gradient);
      return output;
    });
  }
}

TEST(InstructionSet, AnUnknownOneIsRefusedAndChangesNothing) {
  const std::string before(instruction_set());
  EXPECT_FALSE(limit_instruction_set("mmx"));
  EXPECT_EQ(before, instruction_set());
  ASSERT_TRUE(limit_instruction_set("reference"));
  EXPECT_EQ("reference", instruction_set());
  EXPECT_TRUE(use_reference());
  ASSERT_TRUE(limit_instruction_set("auto"));
  EXPECT_EQ(before, instruction_set());
}

}  // namespace
}  // namespace runnel::tensor
