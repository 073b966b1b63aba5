#include "fleet/random_faults.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace runnel::fleet {
namespace {

struct Struck {
  Instant at;
  RandomFaults::Fault fault;
  bool operator==(const Struck& other) const {
    return at == other.at && fault.cut == other.fault.cut && fault.coordinator == other.fault.coordinator &&
           fault.device == other.fault.device;
  }
};

// Every fault until `end`, asked for exactly when it is due.
std::vector<Struck> strike(RandomFaults& faults, Instant end) {
  std::vector<Struck> struck;
  for (Instant now = faults.next_timeout(); now <= end; now = faults.next_timeout()) {
    const std::vector<RandomFaults::Fault> due = faults.due(now);
    EXPECT_FALSE(due.empty()) << "next_timeout() says when";
    for (const RandomFaults::Fault& fault : due) struck.push_back({now, fault});
    if (due.empty()) break;
  }
  return struck;
}

constexpr Instant kBegin = Instant(seconds(1000));

TEST(RandomFaults, NothingHappensUnlessItIsAskedFor) {
  RandomFaults faults({.devices = 5});
  faults.begin(kBegin);
  EXPECT_EQ(faults.next_timeout(), kNever);
  EXPECT_TRUE(faults.due(kBegin + seconds(1'000'000)).empty());
}

TEST(RandomFaults, NothingHappensBeforeTheBeginning) {
  RandomFaults faults({.kill_every_s = 1.0, .cut_every_s = 1.0, .devices = 5});
  EXPECT_EQ(faults.next_timeout(), kNever);
  EXPECT_TRUE(faults.due(kBegin).empty());
  faults.begin(kBegin);
  EXPECT_TRUE(faults.due(kBegin + milliseconds(499)).empty());
  EXPECT_GE(faults.next_timeout(), kBegin + milliseconds(500));
}

TEST(RandomFaults, KillsComeAtTheirMeanPauseAndOneInFourIsTheCoordinators) {
  constexpr size_t kDevices = 4;
  RandomFaults faults({.kill_every_s = 2.0, .devices = kDevices, .seed = 3});
  faults.begin(kBegin);
  const std::vector<Struck> struck = strike(faults, kBegin + seconds(20'000));
  EXPECT_NEAR(static_cast<double>(struck.size()), 10'000.0, 150.0);
  std::vector<double> kills(kDevices, 0.0);
  double coordinator = 0.0;
  Instant before = kBegin;
  for (const Struck& each : struck) {
    EXPECT_FALSE(each.fault.cut);
    EXPECT_GE(each.at - before, seconds(1));
    EXPECT_LE(each.at - before, seconds(3));
    before = each.at;
    ASSERT_LT(each.fault.device, kDevices);
    (each.fault.coordinator ? coordinator : kills[each.fault.device]) += 1.0;
  }
  const auto count = static_cast<double>(struck.size());
  EXPECT_NEAR(coordinator / count, 1.0 / RandomFaults::kCoordinatorShare, 0.02);
  for (const double each : kills) EXPECT_NEAR(each / count, 0.75 / kDevices, 0.02);
}

TEST(RandomFaults, EveryLinkIsCutAtItsOwnTimes) {
  constexpr size_t kDevices = 3;
  RandomFaults faults({.cut_every_s = 10.0, .devices = kDevices, .seed = 4});
  faults.begin(kBegin);
  const std::vector<Struck> struck = strike(faults, kBegin + seconds(20'000));
  std::vector<std::vector<Instant>> cuts(kDevices, {kBegin});
  for (const Struck& each : struck) {
    EXPECT_TRUE(each.fault.cut);
    ASSERT_LT(each.fault.device, kDevices);
    cuts[each.fault.device].push_back(each.at);
  }
  for (const std::vector<Instant>& times : cuts) {
    EXPECT_NEAR(static_cast<double>(times.size()), 2001.0, 60.0);
    for (size_t i = 1; i < times.size(); ++i) {
      EXPECT_GE(times[i] - times[i - 1], seconds(5));
      EXPECT_LE(times[i] - times[i - 1], seconds(15));
    }
  }
  EXPECT_NE(cuts[0][1], cuts[1][1]);
  EXPECT_NE(cuts[1][1], cuts[2][1]);
}

TEST(RandomFaults, TheSeedSaysWhatHappensAndWhen) {
  const auto with_seed = [](uint64_t seed) {
    RandomFaults faults({.kill_every_s = 3.0, .cut_every_s = 2.0, .devices = 6, .seed = seed});
    faults.begin(kBegin);
    return strike(faults, kBegin + seconds(200));
  };
  EXPECT_EQ(with_seed(7), with_seed(7));
  EXPECT_FALSE(with_seed(7) == with_seed(8));
}

// A machine that stands still for a minute is not hit by all the faults that it missed.
TEST(RandomFaults, WhoeverAsksLateGetsOneFaultOfEach) {
  RandomFaults faults({.kill_every_s = 1.0, .cut_every_s = 1.0, .devices = 2, .seed = 5});
  faults.begin(kBegin);
  const Instant late = kBegin + seconds(60);
  const std::vector<RandomFaults::Fault> due = faults.due(late);
  EXPECT_EQ(due.size(), 3U);
  EXPECT_EQ(std::count_if(due.begin(), due.end(), [](const auto& each) { return each.cut; }), 2);
  EXPECT_TRUE(faults.due(late).empty());
  EXPECT_GE(faults.next_timeout(), late + milliseconds(500));
}

}  // namespace
}  // namespace runnel::fleet
