#include "runtime/rate/rate_history.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "runtime/base/rng.h"

namespace runnel::rate {
namespace {

using State = std::array<uint8_t, RateHistory::kStateBytes>;

RateHistory falling_history(uint32_t rounds, double decay) {
  RateHistory history;
  for (uint32_t round = 1; round <= rounds; ++round) {
    history.add(7, round, 4.0 * std::pow(decay, round - 1), 1000, 150.0);
  }
  return history;
}

TEST(RateHistory, AddsUpWhatARunSpent) {
  RateHistory history = falling_history(10, 0.95);
  EXPECT_EQ(history.bytes_spent, 10000U);
  EXPECT_EQ(history.updates, 10U);
  EXPECT_EQ(history.round, 10U);
  EXPECT_DOUBLE_EQ(history.payload_overhead, 150.0);
  history.add(7, 11, 2.0, 0, 0.0);
  EXPECT_EQ(history.bytes_spent, 10000U) << "an update that was kept spends nothing";
  EXPECT_DOUBLE_EQ(history.payload_overhead, 150.0);
  history.add(8, 1, 2.0, 300, 140.0);
  EXPECT_EQ(history.run, 8U);
  EXPECT_EQ(history.bytes_spent, 300U);
  EXPECT_EQ(history.updates, 1U);
}

TEST(RateHistory, ForecastsATrendThatItHasSeen) {
  EXPECT_DOUBLE_EQ(RateHistory{}.forecast_norm(3.0, 20), 3.0);
  const RateHistory history = falling_history(40, 0.95);
  const double now = 4.0 * std::pow(0.95, 40);
  EXPECT_DOUBLE_EQ(history.forecast_norm(now, 0), now);
  EXPECT_NEAR(history.forecast_norm(now, 5) / (now * std::pow(0.95, 5)), 1.0, 0.05);
  EXPECT_NEAR(history.norm_ago(now, 5) / (now * std::pow(0.95, -5)), 1.0, 0.05);
  // Far ahead the trend fades: the norm does not vanish.
  EXPECT_GT(history.forecast_norm(now, 10000), 0.1 * now);
  const RateHistory steady = falling_history(40, 1.0);
  EXPECT_NEAR(steady.forecast_norm(4.0, 100), 4.0, 1e-6);
}

TEST(RateHistory, ARoundWithoutChangeAndAVanishingUpdateDoNoHarm) {
  RateHistory history = falling_history(5, 0.9);
  const RateHistory before = history;
  history.add(7, 6, 0.0, 200, 150.0);
  EXPECT_DOUBLE_EQ(history.log_norm, before.log_norm);
  EXPECT_EQ(history.updates, before.updates);
  EXPECT_DOUBLE_EQ(history.forecast_norm(0.0, 3), 0.0);
  history.add(7, 7, std::nan(""), 200, std::nan(""));
  EXPECT_TRUE(std::isfinite(history.forecast_norm(1.0, 3)));
  EXPECT_TRUE(std::isfinite(history.payload_overhead));
}

TEST(RateHistory, ReadsBackWhatItWrote) {
  const RateHistory history = falling_history(12, 0.97);
  State state;
  history.save(state);
  const Result<RateHistory> back = RateHistory::restore(state);
  ASSERT_TRUE(back.ok()) << back.failure().text();
  State again;
  back->save(again);
  EXPECT_EQ(state, again);
  EXPECT_DOUBLE_EQ(back->forecast_norm(2.0, 7), history.forecast_norm(2.0, 7));
}

TEST(RateHistory, RefusesWhatItDidNotWrite) {
  const RateHistory history = falling_history(12, 0.97);
  State state;
  history.save(state);
  EXPECT_EQ(RateHistory::restore(ByteView(state).first(63)).error(), Error::kCorrupt);
  EXPECT_EQ(RateHistory::restore({}).error(), Error::kCorrupt);
  Rng rng(3);
  for (int trial = 0; trial < 500; ++trial) {
    State hostile = state;
    hostile[static_cast<size_t>(rng.below(60))] ^= static_cast<uint8_t>(1 + rng.below(255));
    EXPECT_EQ(RateHistory::restore(hostile).error(), Error::kCorrupt);
  }
  RateHistory wrong = history;
  wrong.log_norm = std::nan("");
  wrong.save(state);  // with a good checksum
  EXPECT_EQ(RateHistory::restore(state).error(), Error::kCorrupt);
}

}  // namespace
}  // namespace runnel::rate
