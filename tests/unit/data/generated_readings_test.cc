#include "runtime/data/generated_readings.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace runnel::data {
namespace {

using Inputs = std::array<float, kReadingsInputs>;
using Targets = std::array<float, kReadingsTargets>;

TEST(GeneratedReadings, AreADevicesOwnAndReproducible) {
  const Dataset first = generate_readings_part(100, 2, 5);
  EXPECT_EQ(first.class_count(), 0U);
  EXPECT_GE(first.example_count(), 50U);
  EXPECT_LE(first.example_count(), 150U);
  const auto at = [](const Dataset& data, uint32_t row) {
    Inputs inputs{};
    Targets targets{};
    data.read(row, inputs, targets);
    return std::pair(inputs, targets);
  };
  EXPECT_EQ(at(first, 9), at(generate_readings_part(100, 2, 5), 9));
  EXPECT_NE(at(first, 9), at(generate_readings_part(100, 3, 5), 9));
  EXPECT_NE(at(first, 9), at(generate_readings_part(100, 2, 6), 9));
}

TEST(GeneratedReadings, TargetsAreCentredAndOfUnitSpread) {
  const Dataset tests = generate_readings_test_set(4000);
  ASSERT_EQ(tests.example_count(), 4000U);
  double sum = 0.0;
  double squares = 0.0;
  for (uint32_t row = 0; row < tests.example_count(); ++row) {
    Inputs inputs{};
    Targets targets{};
    tests.read(row, inputs, targets);
    for (const float target : targets) {
      sum += target;
      squares += double{target} * target;
    }
  }
  EXPECT_NEAR(sum / 8000.0, 0.0, 0.05);
  EXPECT_NEAR(squares / 8000.0, 1.0, 0.08);
}

}  // namespace
}  // namespace runnel::data
