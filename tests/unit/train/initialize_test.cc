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
