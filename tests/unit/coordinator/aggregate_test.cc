// The sums behind a new model: the same bits whatever the order, and the energies that planning looks at.
#include "coordinator/engine/aggregate.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "runtime/base/rng.h"

namespace runnel::coordinator {
namespace {

TEST(Aggregate, MeanEnergyIsTheSquaredNormOfTheWeightedMean) {
  Aggregate sums(2);
  ASSERT_TRUE(sums.add(std::array{1.0F, -2.0F}, 1).ok());
  ASSERT_TRUE(sums.add(std::array{0.0F, 2.0F}, 3).ok());
  // The mean is (1/4, 1).
  EXPECT_DOUBLE_EQ(sums.mean_energy(), 0.0625 + 1.0);
}

TEST(Aggregate, TheOrderOfUpdatesChangesNoBit) {
  const std::array<std::array<float, 3>, 3> updates = {{{0.1F, -0.7F, 3e-5F}, {-1.3F, 0.33F, 0.2F}, {0.9F, 1e-9F, 7}}};
  const auto energy = [&](std::array<size_t, 3> order) {
    Aggregate sums(3);
    for (const size_t i : order) EXPECT_TRUE(sums.add(updates[i], static_cast<uint32_t>(11 + i)).ok());
    return sums.mean_energy();
  };
  EXPECT_EQ(energy({0, 1, 2}), energy({2, 0, 1}));
  EXPECT_EQ(energy({0, 1, 2}), energy({1, 2, 0}));
}

// Rounding is the reference's: to the nearest, ties to even, for both signs, up to the largest magnitude.
TEST(Aggregate, PutsEveryCoordinateOnTheGridAsNearbyintDoes) {
  std::vector<float> values{0.0F, -0.0F, 128.0F, -128.0F, 0x1.0p-33F, -0x1.0p-33F, 0x1.8p-32F, -0x1.8p-32F, 0x1.4p-31F};
  Rng rng(5);
  for (int i = 0; i < 20'000; ++i) {
    const float magnitude = std::ldexp(1.0F, static_cast<int>(rng.uniform() * 44.0) - 37);
    values.push_back(static_cast<float>(rng.uniform() * 2.0 - 1.0) * magnitude);
  }
  Aggregate sums(values.size());
  constexpr uint32_t kWeight = 7;
  ASSERT_TRUE(sums.add(values, kWeight).ok());
  for (size_t i = 0; i < values.size(); ++i) {
    const double on_grid = std::nearbyint(static_cast<double>(values[i]) * 0x1.0p32);
    ASSERT_EQ(sums.sums()[i], kWeight * static_cast<int64_t>(on_grid)) << values[i];
  }
}

}  // namespace
}  // namespace runnel::coordinator
