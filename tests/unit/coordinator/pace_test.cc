// When devices that have nothing to do are asked back.
#include "coordinator/engine/pace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace runnel::coordinator {
namespace {

FleetPlan plan(uint32_t cohort) {
  FleetPlan plan;
  plan.cohort = cohort;
  plan.pace.come_back = true;
  plan.pace.come_back_seconds = 30.0;
  return plan;
}

Pace experienced(const FleetPlan& plan) {
  Pace pace(plan, {});
  for (const double seconds : {90.0, 100.0, 110.0, 5000.0, 80.0}) pace.handle_closed(seconds);
  return pace;
}

std::string name(int i) {
  return "device-" + std::to_string(i);
}

double come_back_s(const Pace::Rest& rest) {
  return static_cast<double>(rest.come_back.count()) * 1e-6;
}

TEST(Pace, NobodyRestsBeforeARoundHasShownHowLongItTakes) {
  Pace pace(plan(0), {});
  EXPECT_FALSE(pace.rest("a", 1, 10, seconds(1), seconds(600)).has_value());
  EXPECT_TRUE(experienced(plan(0)).rest("a", 1, 10, seconds(1), seconds(600)).has_value());
  FleetPlan connected = plan(0);
  connected.pace.come_back = false;
  EXPECT_FALSE(experienced(connected).rest("a", 1, 10, seconds(1), seconds(600)).has_value());
}

TEST(Pace, ARestartedCoordinatorSaysTheSame) {
  Pace pace(plan(0), {});
  std::vector<RoundHistory> history(7);
  for (size_t i = 0; i < history.size(); ++i) {
    history[i].result.seconds = 40.0 + 10.0 * static_cast<double>(i);
    pace.handle_closed(history[i].result.seconds);
  }
  Pace restarted(plan(0), history);
  EXPECT_EQ(pace.rest("a", 8, 10, seconds(1), seconds(600))->come_back,
            restarted.rest("a", 8, 10, seconds(1), seconds(600))->come_back);
}

TEST(Pace, TheyReturnWhenTheNextRoundIsDueAndNotTogether) {
  const Pace pace = experienced(plan(0));  // the median: 100 s, one long round notwithstanding
  std::vector<double> returns;
  for (int i = 0; i < 1000; ++i) {
    const auto rest = pace.rest(name(i), 6, 1000, seconds(20), seconds(600));
    ASSERT_TRUE(rest.has_value());
    EXPECT_TRUE(rest->counts);
    returns.push_back(come_back_s(*rest));
  }
  const auto [first, last] = std::minmax_element(returns.begin(), returns.end());
  EXPECT_GE(*first, 80.0);
  EXPECT_LE(*last, 100.0);
  // No second of the 20 has more than twice its share.
  std::array<int, 20> a_second{};
  for (const double at : returns) ++a_second[std::min<size_t>(19, static_cast<size_t>(at - 80.0))];
  EXPECT_LT(*std::max_element(a_second.begin(), a_second.end()), 100);
}

TEST(Pace, TheDeadlineIsTheLatestForTheNextRound) {
  const auto rest = experienced(plan(0)).rest("a", 6, 10, seconds(20), seconds(40));
  ASSERT_TRUE(rest.has_value());
  EXPECT_LE(come_back_s(*rest), 50.0);
}

TEST(Pace, AShortWaitIsNotWorthAConnection) {
  EXPECT_FALSE(experienced(plan(0)).rest("a", 6, 10, seconds(80), seconds(600)).has_value());
  EXPECT_FALSE(experienced(plan(0)).rest("a", 6, 10, seconds(300), seconds(600)).has_value());
}

// 10,000 devices, 100 a round of 100 s: each is wanted every 100th round; twice as many come.
TEST(Pace, OfAManyAboutTwiceAsManyComeAsARoundTakes) {
  const Pace pace = experienced(plan(100));
  double rate = 0.0;
  for (int i = 0; i < 10'000; ++i) {
    const auto rest = pace.rest(name(i), 6, 10'000, seconds(50), seconds(600));
    ASSERT_TRUE(rest.has_value());
    EXPECT_FALSE(rest->counts);
    rate += 100.0 / come_back_s(*rest);  // returns in the time of a round
  }
  EXPECT_GT(rate, 150.0);
  EXPECT_LT(rate, 300.0);
}

TEST(Pace, WhoIsOverdueIsForgottenAndNamedIfItCounted) {
  Pace pace = experienced(plan(0));
  const Instant now{};
  pace.handle_resting("early", {seconds(100), true}, now);
  pace.handle_resting("back", {seconds(100), true}, now);
  pace.handle_resting("far", {seconds(1000), true}, now);
  pace.handle_resting("of many", {seconds(100), false}, now);
  pace.handle_back("back");
  EXPECT_EQ(pace.away_count(), 3U);
  EXPECT_EQ(pace.next_overdue(), now + seconds(185));
  EXPECT_TRUE(pace.take_overdue(now + seconds(184)).empty());
  EXPECT_EQ(pace.take_overdue(now + seconds(185)), std::vector<std::string>{"early"});
  EXPECT_EQ(pace.away_count(), 1U);
}

TEST(Pace, ARoundWaitsForDevicesThatAreComing) {
  Pace pace = experienced(plan(10));
  const Instant now{};
  EXPECT_EQ(pace.needed(3), 3U);
  for (int i = 0; i < 50; ++i) pace.handle_resting(name(i), {seconds(100), false}, now);
  EXPECT_EQ(pace.needed(3), 10U);
  static_cast<void>(pace.take_overdue(now + seconds(1000)));
  EXPECT_EQ(pace.needed(3), 3U);
}

}  // namespace
}  // namespace runnel::coordinator
