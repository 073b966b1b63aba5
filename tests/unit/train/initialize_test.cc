#include "runtime/train/initialize.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/base/crc32c.h"
#include "tests/unit/train/test_models.h"

namespace runnel::train {
namespace {

TEST(InitializeParameters, IsHeUniformWithZeroBiases) {
  const plan::ModelSpec spec = digits_cnn();
  const Result<plan::ModelLayout> layout = plan::make_layout(spec);
  ASSERT_TRUE(layout.ok());
  const std::vector<float> parameters = initial_parameters(spec, 3);
  ASSERT_EQ(parameters.size(), 52138U);
  for (const plan::TensorInfo& tensor : layout->tensors) {
    SCOPED_TRACE(tensor.name.c_str());
    const double bound = tensor.fan_in == 0 ? 0.0 : std::sqrt(6.0 / tensor.fan_in);
    double square_sum = 0.0;
    for (uint32_t index = 0; index < tensor.count; ++index) {
      const double value = parameters[tensor.offset + index];
      ASSERT_LE(std::abs(value), bound * 1.000001);
      square_sum += value * value;
    }
    // A uniform variable's variance is bound^2 / 3; the sample's strays by about 0.9 / sqrt(count) of it.
    const double expected = bound * bound / 3;
    EXPECT_NEAR(square_sum / tensor.count, expected, expected * 4.5 / std::sqrt(tensor.count));
  }
}

TEST(InitializeParameters, KnowsEveryKindOfTensor) {
  plan::LayerSpec embedding{plan::LayerKind::kEmbedding, 6};
  embedding.vocabulary = 50;
  plan::LayerSpec norm{plan::LayerKind::kBatchNorm};
  norm.value = 1e-5F;
  plan::LayerSpec gru{plan::LayerKind::kGru, 9};
  plan::LayerSpec frozen = dense(4);
  frozen.sharing = plan::Sharing::kFrozen;
  const plan::ModelSpec spec = model({1, 1, 7}, 3, {embedding, norm, gru, frozen, dense(3)});
  const Result<plan::ModelLayout> layout = plan::make_layout(spec);
  ASSERT_TRUE(layout.ok()) << layout.failure().text();
  const std::vector<float> parameters = initial_parameters(spec, 3);
  const std::vector<std::pair<std::string, float>> bounds{{"0.embedding.weight", std::sqrt(6.0F / 6)},
                                                          {"1.batch_norm.scale", 1.0F},
                                                          {"1.batch_norm.shift", 0.0F},
                                                          {"1.batch_norm.mean", 0.0F},
                                                          {"1.batch_norm.variance", 1.0F},
                                                          {"2.gru.weight_input", 1.0F / 3},
                                                          {"2.gru.weight_hidden", 1.0F / 3},
                                                          {"2.gru.bias_input", 0.0F},
                                                          {"2.gru.bias_hidden", 0.0F},
                                                          {"3.dense.weight", std::sqrt(6.0F / 9)},
                                                          {"3.dense.bias", 0.0F},
                                                          {"4.dense.weight", std::sqrt(6.0F / 4)},
                                                          {"4.dense.bias", 0.0F}};
  ASSERT_EQ(layout->tensors.size(), bounds.size());
  for (const auto& [name, bound] : bounds) {
    const plan::TensorInfo* tensor = nullptr;
    for (const plan::TensorInfo& each : layout->tensors) tensor = each.name.c_str() == name ? &each : tensor;
    ASSERT_NE(tensor, nullptr) << name;
    float largest = 0.0F;
    for (uint32_t index = 0; index < tensor->count; ++index)
      largest = std::max(largest, std::abs(parameters[tensor->offset + index]));
    EXPECT_LE(largest, bound * 1.000001F) << name;
    EXPECT_GE(largest, bound * 0.7F) << name;  // of a dozen weights the largest is near the bound
  }
}

TEST(InitializeParameters, SeedsAndTensorsDiffer) {
  const plan::ModelSpec spec = model({4}, 4, {dense(4), dense(4)});
  const std::vector<float> parameters = initial_parameters(spec, 3);
  EXPECT_EQ(parameters, initial_parameters(spec, 3));
  EXPECT_NE(parameters, initial_parameters(spec, 4));
  EXPECT_NE(std::vector<float>(parameters.begin(), parameters.begin() + 16),
            std::vector<float>(parameters.begin() + 20, parameters.begin() + 36));
}

// The same bits on every machine: a changed value here would give every fleet another first model.
TEST(InitializeParameters, BitsAreFixed) {
  const std::vector<float> parameters = initial_parameters(digits_cnn(), 1);
  const auto* bytes = reinterpret_cast<const uint8_t*>(parameters.data());
  EXPECT_EQ(crc32c({bytes, parameters.size() * sizeof(float)}), 0x15DCF907U);
}

}  // namespace
}  // namespace runnel::train
