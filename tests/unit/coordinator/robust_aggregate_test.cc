#include "coordinator/engine/robust_aggregate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "coordinator/engine/robust_rules.h"
#include "runtime/base/rng.h"

namespace runnel::coordinator {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Values = std::vector<std::vector<float>>;

std::vector<std::span<const float>> views(const Values& values) {
  return {values.begin(), values.end()};
}

Values random_updates(Rng& rng, size_t count, size_t length) {
  Values values(count, std::vector<float>(length));
  for (auto& update : values) {
    for (float& value : update) value = static_cast<float>(rng.uniform() - 0.5);
  }
  return values;
}

std::vector<double> median_of(const Values& values) {
  std::vector<double> result(values.front().size());
  coordinate_median(views(values), result);
  return result;
}

std::vector<double> trimmed_of(const Values& values, size_t left_out) {
  std::vector<double> result(values.front().size());
  trimmed_mean(views(values), left_out, result);
  return result;
}

TEST(RobustRules, MedianByHand) {
  EXPECT_THAT(median_of({{3, 1}, {1, -1}, {2, 100}}), ElementsAre(2, 1));
  EXPECT_THAT(median_of({{3, 1}, {1, -1}, {2, 100}, {10, 3}}), ElementsAre(2.5, 2));
  EXPECT_THAT(median_of({{3, 1}}), ElementsAre(3, 1));
  EXPECT_THAT(median_of({{3, 1}, {5, -1}}), ElementsAre(4, 0));
}

TEST(RobustRules, TrimmedMeanByHand) {
  const Values values = {{5}, {-100}, {1}, {3}, {1000}};
  EXPECT_THAT(trimmed_of(values, 1), ElementsAre(3));
  EXPECT_THAT(trimmed_of(values, 2), ElementsAre(3));
  EXPECT_THAT(trimmed_of({{1}, {2}, {6}}, 0), ElementsAre(3)) << "nothing left out is the mean";
}

TEST(RobustRules, TheShareThatIsTrimmedIsCountedInDecimals) {
  EXPECT_EQ(trimmed_count(0.1, 10), 1U);
  EXPECT_EQ(trimmed_count(0.1, 9), 0U);
  EXPECT_EQ(trimmed_count(0.29, 100), 29U) << "although 0.29 * 100 < 29 in binary";
  EXPECT_EQ(trimmed_count(0.3, 10), 3U);
  for (size_t count = 1; count <= 3000; ++count) ASSERT_LT(2 * trimmed_count(0.499, count), count);
}

TEST(RobustRules, KrumByHand) {
  // Five on a line, f = 1: two nearest others count. Scores: 0: 1+4, 1: 1+1, 2: 1+1, 3: 4+1 and far away 97^2 + 98^2.
  const Values line = {{0}, {100}, {1}, {2}, {3}};
  EXPECT_THAT(krum(views(line), 1, 1), ElementsAre(2)) << "the first of two equal scores";
  EXPECT_THAT(krum(views(line), 1, 2), ElementsAre(2, 3));
  EXPECT_THAT(krum(views(line), 1, 9), ElementsAre(2, 3)) << "at most count - f - 2";
  EXPECT_THAT(krum(views({{7}}), 1, 1), ElementsAre(0));
  EXPECT_THAT(krum(views({{7}, {9}}), 1, 1), ElementsAre(0));
  EXPECT_EQ(krum_tolerated(5, 1), 1U);
  EXPECT_EQ(krum_tolerated(4, 1), 0U);
  EXPECT_EQ(krum_tolerated(100, 3), 3U);
  EXPECT_EQ(krum_tolerated(0, 3), 0U);
}

TEST(RobustRules, SortsEveryColumnOfEveryNumberOfUpdates) {
  Rng rng(1);
  // Whole blocks of coordinates, a part of one, one alone; and every shape of the sorting network up to 70 updates.
  for (size_t count = 1; count <= 70; ++count) {
    const size_t length = count % 3 == 0 ? 64 : count % 3 == 1 ? 33 : 1;
    const Values values = random_updates(rng, count, length);
    const size_t left_out = (count - 1) / 3;
    const std::vector<double> median = median_of(values);
    const std::vector<double> trimmed = trimmed_of(values, left_out);
    for (size_t i = 0; i < length; ++i) {
      std::vector<double> column;
      for (const auto& update : values) column.push_back(static_cast<double>(update[i]));
      std::sort(column.begin(), column.end());
      ASSERT_EQ(median[i], (column[(count - 1) / 2] + column[count / 2]) / 2.0) << count << " updates";
      const auto begin = column.begin() + static_cast<std::ptrdiff_t>(left_out);
      const auto end = column.end() - static_cast<std::ptrdiff_t>(left_out);
      ASSERT_DOUBLE_EQ(trimmed[i], std::accumulate(begin, end, 0.0) / static_cast<double>(end - begin));
    }
  }
}

TEST(RobustRules, KrumAgreesWithItsDefinition) {
  Rng rng(2);
  for (size_t trial = 0; trial < 30; ++trial) {
    const size_t count = 5 + rng.below(12);
    const auto byzantine = static_cast<uint32_t>(rng.below((count - 3) / 2 + 1));
    const size_t length = 1 + rng.below(2500);  // longer than what is visited at once, and not a multiple of a lane
    const Values values = random_updates(rng, count, length);
    std::vector<double> scores;
    for (size_t i = 0; i < count; ++i) {
      std::vector<double> distances;
      for (size_t j = 0; j < count; ++j) {
        double sum = 0.0;
        for (size_t c = 0; c < length; ++c) {
          sum += std::pow(static_cast<double>(values[i][c]) - static_cast<double>(values[j][c]), 2.0);
        }
        if (j != i) distances.push_back(sum);
      }
      std::sort(distances.begin(), distances.end());
      scores.push_back(std::accumulate(distances.begin(),
                                       distances.begin() + static_cast<std::ptrdiff_t>(count - byzantine - 2), 0.0));
    }
    const auto best = static_cast<size_t>(std::min_element(scores.begin(), scores.end()) - scores.begin());
    EXPECT_THAT(krum(views(values), byzantine, 1), ElementsAre(best)) << "trial " << trial;
  }
}

// Liars know everything, and send whatever they like: huge numbers, the opposite, all the same or each its own.
void lie(Rng& rng, Values& values, size_t liars) {
  const uint64_t kind = rng.below(4);
  for (size_t k = 0; k < liars; ++k) {
    for (size_t i = 0; i < values[k].size(); ++i) {
      const float honest = values.back()[i];
      values[k][i] = kind == 0   ? 128.0F
                     : kind == 1 ? -20.0F * honest
                     : kind == 2 ? static_cast<float>((rng.uniform() - 0.5) * 256.0)
                                 : honest + (k % 2 == 0 ? 1.0F : -1.0F);
    }
  }
}

struct Range {
  double low, high;
};

Range honest_range(const Values& values, size_t liars, size_t coordinate) {
  Range range{1e9, -1e9};
  for (size_t k = liars; k < values.size(); ++k) {
    range.low = std::min(range.low, static_cast<double>(values[k][coordinate]));
    range.high = std::max(range.high, static_cast<double>(values[k][coordinate]));
  }
  return range;
}

TEST(RobustRules, LiarsCannotLeadOutsideTheHonestRange) {
  Rng rng(3);
  for (int trial = 0; trial < 200; ++trial) {
    const size_t count = 3 + rng.below(20);
    const size_t liars = rng.below((count - 1) / 2 + 1);
    Values values = random_updates(rng, count, 9);
    lie(rng, values, liars);
    const std::vector<double> median = median_of(values);
    const std::vector<double> trimmed = trimmed_of(values, liars);
    for (size_t i = 0; i < median.size(); ++i) {
      const Range range = honest_range(values, liars, i);
      ASSERT_TRUE(range.low <= median[i] && median[i] <= range.high) << liars << " of " << count;
      ASSERT_TRUE(range.low - 1e-12 <= trimmed[i] && trimmed[i] <= range.high + 1e-12) << liars << " of " << count;
    }
  }
}

TEST(RobustRules, KrumTakesHonestOnes) {
  Rng rng(4);
  for (int trial = 0; trial < 200; ++trial) {
    const auto liars = static_cast<uint32_t>(1 + rng.below(4));
    const size_t count = 2 * liars + 3 + rng.below(6);
    // Honest updates agree on a direction, as those of one model on similar data do.
    Values values = random_updates(rng, count, 50);
    for (auto& update : values) {
      for (float& value : update) value = 1.0F + 0.2F * value;
    }
    lie(rng, values, liars);
    for (const size_t index : krum(views(values), liars, 3)) ASSERT_GE(index, liars) << liars << " of " << count;
  }
}

class EveryMethod : public testing::TestWithParam<AggregationMethod> {};

TEST_P(EveryMethod, TheOrderOfArrivalChangesNoBit) {
  AggregationSpec spec;
  spec.method = GetParam();
  spec.trim = 0.2;
  spec.byzantine = 2;
  spec.krum_keep = 3;
  Rng rng(6);
  constexpr size_t kLength = 77;
  Values values = random_updates(rng, 11, kLength);
  values[3] = values[5];  // equal scores
  values[7].assign(kLength, 0.0F);
  values[8].assign(kLength, -0.0F);
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::vector<double> first(kLength);
  for (int trial = 0; trial < 20; ++trial) {
    RobustAggregate aggregate(spec, kLength);
    for (const size_t k : order) aggregate.add("device-" + std::to_string(k / 2), 1 + k % 2, values[k]);
    std::vector<double> result(kLength);
    aggregate.aggregate(result);
    if (trial == 0) first = result;
    for (size_t i = 0; i < kLength; ++i) {
      ASSERT_EQ(std::memcmp(&first[i], &result[i], sizeof(double)), 0) << "coordinate " << i << ", trial " << trial;
    }
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  }
}

INSTANTIATE_TEST_SUITE_P(All, EveryMethod,
                         testing::Values(AggregationMethod::kMedian, AggregationMethod::kTrimmedMean,
                                         AggregationMethod::kKrum),
                         [](const auto& tested) { return std::string(aggregation_method_name(tested.param)); });

TEST(RobustAggregate, MultiKrumAveragesWhatItKeeps) {
  AggregationSpec spec;
  spec.method = AggregationMethod::kKrum;
  spec.byzantine = 1;
  spec.krum_keep = 2;
  RobustAggregate aggregate(spec, 1);
  for (const float value : {0.0F, 100.0F, 1.0F, 2.0F, 3.0F}) {
    aggregate.add("d", 1 + aggregate.count(), std::vector<float>{value});
  }
  std::vector<double> result(1);
  aggregate.aggregate(result);
  EXPECT_EQ(result[0], 1.5);
  EXPECT_EQ(aggregate.tolerated(), 1U);
}

TEST(RobustAggregate, SaysWhenItIsWeakerThanPlanned) {
  const auto weakness = [](AggregationMethod method, size_t count) {
    AggregationSpec spec;
    spec.method = method;
    RobustAggregate aggregate(spec, 1);
    for (size_t k = 1; k <= count; ++k) aggregate.add("d", k, std::vector<float>{1.0F});
    return aggregate.weakness();
  };
  EXPECT_EQ(weakness(AggregationMethod::kMean, 1), "");
  EXPECT_EQ(weakness(AggregationMethod::kKrum, 4), "krum of 4 updates withstands 0 lies");
  EXPECT_EQ(weakness(AggregationMethod::kKrum, 5), "");
  EXPECT_EQ(weakness(AggregationMethod::kMedian, 2), "median of 2 updates withstands 0 lies");
  EXPECT_EQ(weakness(AggregationMethod::kMedian, 3), "");
  EXPECT_EQ(weakness(AggregationMethod::kTrimmedMean, 9), "trimmed_mean of 9 updates withstands 0 lies");
  EXPECT_EQ(weakness(AggregationMethod::kTrimmedMean, 10), "");
}

TEST(RobustAggregate, TheMeanNeedsNoMemory) {
  RobustAggregate aggregate({}, 1000, 0);
  EXPECT_FALSE(aggregate.needed());
  EXPECT_FALSE(aggregate.full());
  aggregate.add("d", 1, std::vector<float>(1000));
  EXPECT_EQ(aggregate.bytes(), 0U);
}

TEST(RobustAggregate, MemoryIsBounded) {
  AggregationSpec spec;
  spec.method = AggregationMethod::kMedian;
  RobustAggregate aggregate(spec, 100, 1000);
  EXPECT_EQ(aggregate.capacity(), 2U);
  aggregate.add("a", 1, std::vector<float>(100));
  EXPECT_FALSE(aggregate.full());
  aggregate.add("b", 1, std::vector<float>(100));
  EXPECT_TRUE(aggregate.full());
  EXPECT_EQ(aggregate.bytes(), 800U);
  aggregate.reset();
  EXPECT_EQ(aggregate.bytes(), 0U);
}

TEST(RobustAggregate, APlanBeyondTheBoundIsRefused) {
  FleetPlan plan;
  plan.cohort = 3;
  EXPECT_TRUE(RobustAggregate::check(plan, 1'000'000, 1000).ok()) << "the mean has no such bound";
  plan.aggregation.method = AggregationMethod::kTrimmedMean;
  EXPECT_TRUE(RobustAggregate::check(plan, 100, 1200).ok());
  EXPECT_THAT(RobustAggregate::check(plan, 100, 1199).text(), HasSubstr("cohort 3: trimmed_mean"));
  plan.cohort = 0;
  plan.quorum = 3;
  EXPECT_THAT(RobustAggregate::check(plan, 100, 1199).text(), HasSubstr("quorum 3"));
  plan.policy.policy = plan::RoundPolicy::kBuffered;
  EXPECT_THAT(RobustAggregate::check(plan, 100, 1199).text(), HasSubstr("policy.buffer 10"));
}

// In slices of whatever size, the same bits.
TEST(RobustAggregate, PreparedOrNotIsTheSame) {
  Rng rng(11);
  const Values values = random_updates(rng, 21, 2500);
  for (const AggregationMethod method :
       {AggregationMethod::kMedian, AggregationMethod::kTrimmedMean, AggregationMethod::kKrum}) {
    AggregationSpec spec{method};
    spec.byzantine = 3;
    spec.krum_keep = 4;
    RobustAggregate at_once(spec, 2500);
    RobustAggregate sliced(spec, 2500);
    RobustAggregate half(spec, 2500);
    for (size_t i = 0; i < values.size(); ++i) {
      for (RobustAggregate* aggregate : {&at_once, &sliced, &half}) aggregate->add("device", i, values[i]);
    }
    std::vector<double> expected(2500), found(2500);
    at_once.aggregate(expected);
    int slices = 1;
    while (!sliced.prepare(3000)) ++slices;
    EXPECT_GT(slices, 10);
    EXPECT_TRUE(sliced.prepare(1)) << "it stays prepared";
    sliced.aggregate(found);
    EXPECT_EQ(found, expected);
    EXPECT_FALSE(half.prepare(3000));
    half.aggregate(found);
    EXPECT_EQ(found, expected) << "the rest at once";
    // Another update: all anew, none of what was prepared is left.
    sliced.add("device", 100, values[0]);
    at_once.add("device", 100, values[0]);
    EXPECT_FALSE(sliced.prepare(3000));
    while (!sliced.prepare(3000)) {
    }
    at_once.aggregate(expected);
    sliced.aggregate(found);
    EXPECT_EQ(found, expected);
  }
}

TEST(RobustAggregate, TheMeanHasNothingToPrepare) {
  RobustAggregate mean({AggregationMethod::kMean}, 10);
  mean.add("device", 1, std::vector<float>(10));
  EXPECT_TRUE(mean.prepare(1));
}

}  // namespace
}  // namespace runnel::coordinator
