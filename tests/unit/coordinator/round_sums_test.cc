#include "coordinator/engine/round_sums.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "runtime/base/rng.h"

namespace runnel::coordinator {
namespace {

constexpr uint64_t kRoom = 1 << 20;

UpdateRecord update_of(const std::string& device, uint32_t samples, float loss) {
  UpdateRecord update;
  update.device = device;
  update.sequence = 1;
  update.sample_count = samples;
  update.mean_loss = loss;
  update.coordinates = 2;
  update.payload_bytes = 1;
  return update;
}

AggregationSpec median() {
  AggregationSpec spec;
  spec.method = AggregationMethod::kMedian;
  return spec;
}

TEST(RoundSums, TheMeanWeighsByExamples) {
  RoundSums sums({}, 2, kRoom);
  ASSERT_TRUE(sums.add(update_of("a", 1, 4.0F), std::vector<float>{1.0F, -2.0F}).ok());
  ASSERT_TRUE(sums.add(update_of("b", 3, 2.0F), std::vector<float>{0.0F, 2.0F}).ok());
  RoundResult result;
  EXPECT_EQ(sums.close(result), (std::vector<double>{0.25, 1.0}));
  EXPECT_EQ(result.participants, 2U);
  EXPECT_EQ(result.sample_count, 4U);
  EXPECT_DOUBLE_EQ(result.mean_loss, 2.5);
  EXPECT_DOUBLE_EQ(result.update_energy, (5.0 + 3 * 4.0) / 4.0);
  EXPECT_DOUBLE_EQ(result.mean_energy, 0.0625 + 1.0);
  EXPECT_DOUBLE_EQ(result.bits_per_coordinate, 8.0 * 2 / 4);
}

TEST(RoundSums, ALieChoosesNoFigureWhereLiesAreExpected) {
  RoundSums sums(median(), 2, kRoom);
  ASSERT_TRUE(sums.add(update_of("a", 10, 1.0F), std::vector<float>{1.0F, 1.0F}).ok());
  ASSERT_TRUE(sums.add(update_of("b", 10, 2.0F), std::vector<float>{1.0F, 2.0F}).ok());
  ASSERT_TRUE(sums.add(update_of("liar", 1 << 20, 1e30F), std::vector<float>{-128.0F, 128.0F}).ok());
  RoundResult result;
  EXPECT_EQ(sums.close(result), (std::vector<double>{1.0, 2.0}));
  EXPECT_EQ(result.mean_loss, 2.0);
  EXPECT_EQ(result.update_energy, 5.0);
  EXPECT_EQ(result.mean_energy, 5.0);
  EXPECT_EQ(result.sample_count, 20U + (1 << 20)) << "as they say";
}

TEST(RoundSums, LiarsCannotUseUpTheWeightOfTheOthers) {
  RoundSums mean({}, 2, kRoom);
  RoundSums robust(median(), 2, kRoom);
  for (int k = 0; k < 16; ++k) {
    const UpdateRecord liar = update_of("liar-" + std::to_string(k), 1 << 20, 1.0F);
    ASSERT_TRUE(mean.add(liar, std::vector<float>(2)).ok());
    ASSERT_TRUE(robust.add(liar, std::vector<float>(2)).ok());
  }
  EXPECT_EQ(mean.add(update_of("honest", 1, 1.0F), std::vector<float>(2)).error(), Error::kLimit);
  EXPECT_TRUE(robust.add(update_of("honest", 1, 1.0F), std::vector<float>(2)).ok());
}

TEST(RoundSums, WhatIsRefusedLeavesNoTrace) {
  for (const AggregationSpec& spec : {AggregationSpec{}, median()}) {
    RoundSums sums(spec, 2, kRoom);
    ASSERT_TRUE(sums.add(update_of("a", 1, 1.0F), std::vector<float>{1.0F, 3.0F}).ok());
    EXPECT_EQ(sums.add(update_of("b", 1, 1.0F), std::vector<float>{1.0F, 129.0F}).error(), Error::kOutOfRange);
    EXPECT_EQ(sums.add(update_of("b", 1, 1.0F), std::vector<float>{std::nanf(""), 0.0F}).error(), Error::kNotFinite);
    EXPECT_EQ(sums.add(update_of("b", 1, 1.0F), std::vector<float>{1.0F}).error(), Error::kShape);
    EXPECT_EQ(sums.count(), 1U);
    RoundResult result;
    EXPECT_EQ(sums.close(result), (std::vector<double>{1.0, 3.0}));
    EXPECT_EQ(result.participants, 1U);
    sums.reset();
    EXPECT_EQ(sums.count(), 0U);
    EXPECT_TRUE(sums.add(update_of("a", 1, 1.0F), std::vector<float>{1.0F, 3.0F}).ok());
  }
}

TEST(RoundSums, TheOrderOfArrivalChangesNoBit) {
  Rng rng(4);
  constexpr size_t kCount = 9;
  std::vector<std::pair<UpdateRecord, std::vector<float>>> updates;
  for (size_t k = 0; k < kCount; ++k) {
    UpdateRecord record = update_of("d" + std::to_string(k / 2), static_cast<uint32_t>(1 + rng.below(99)),
                                    static_cast<float>(rng.uniform()));
    record.sequence = 1 + k % 2;
    std::vector<float> values(50);
    for (float& value : values) value = static_cast<float>(rng.uniform() - 0.5);
    updates.emplace_back(record, values);
  }
  for (const AggregationSpec& spec : {AggregationSpec{}, median()}) {
    RoundResult first;
    std::vector<double> expected;
    for (int trial = 0; trial < 10; ++trial) {
      RoundSums sums(spec, 50, kRoom);
      for (const auto& [record, values] : updates) ASSERT_TRUE(sums.add(record, values).ok());
      RoundResult result;
      const std::vector<double> aggregate = sums.close(result);
      if (trial == 0) {
        first = result;
        expected = aggregate;
      }
      EXPECT_EQ(aggregate, expected);
      EXPECT_EQ(result.mean_loss, first.mean_loss);
      EXPECT_EQ(result.update_energy, first.update_energy);
      EXPECT_EQ(result.mean_energy, first.mean_energy);
      for (size_t i = updates.size(); i > 1; --i) std::swap(updates[i - 1], updates[rng.below(i)]);
    }
  }
}

}  // namespace
}  // namespace runnel::coordinator
