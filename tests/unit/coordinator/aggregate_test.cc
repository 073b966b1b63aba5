// The sums behind a new model: the same bits whatever the order, and the energies that planning looks at.
#include "coordinator/engine/aggregate.h"

#include <gtest/gtest.h>

#include <array>

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

}  // namespace
}  // namespace runnel::coordinator
