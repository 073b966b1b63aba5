#include "fleet/link_profiles.h"

#include <gtest/gtest.h>

#include <cmath>

#include "fleet/fleet_error.h"

namespace runnel::fleet {
namespace {

struct Bounds {
  const char* name;
  double low_kbps;
  double high_kbps;
  int64_t latency_low_ms;
  int64_t latency_high_ms;
  bool outages;
};

class Profile : public ::testing::TestWithParam<Bounds> {};

TEST_P(Profile, StaysWithinItsBounds) {
  const Bounds bounds = GetParam();
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const RateTrace trace = make_profile(bounds.name, seed);
    size_t outages = 0;
    for (const LinkRow& row : trace.rows()) {
      if (row.down_kbps <= kOutageKbps) {
        ++outages;
        continue;
      }
      EXPECT_GE(std::min(row.down_kbps, row.up_kbps), bounds.low_kbps);
      EXPECT_LE(std::max(row.down_kbps, row.up_kbps), bounds.high_kbps);
      EXPECT_GE(row.latency, milliseconds(bounds.latency_low_ms));
      EXPECT_LE(row.latency, milliseconds(bounds.latency_high_ms));
    }
    EXPECT_EQ(outages > 0, bounds.outages);
    EXPECT_GE(trace.length(), seconds(900));
  }
}

INSTANTIATE_TEST_SUITE_P(All, Profile,
                         ::testing::Values(Bounds{"nbiot", 10, 70, 100, 950, false},
                                           Bounds{"lte-m", 58, 340, 10, 235, false},
                                           Bounds{"3g-bus", 20, 3000, 30, 150, true},
                                           Bounds{"wifi", 5000, 20000, 5, 5, false},
                                           Bounds{"thin", 200, 600, 30, 80, true}),
                         [](const auto& each) {
                           std::string name = each.param.name;
                           std::erase(name, '-');
                           return name;
                         });

TEST(LinkProfiles, ThinCutsEveryEightToThirtySeconds) {
  const RateTrace trace = make_profile("thin", 3);
  Duration since{};
  bool first = true;
  for (const LinkRow& row : trace.rows()) {
    if (row.down_kbps > kOutageKbps) {
      since += row.duration;
      continue;
    }
    EXPECT_GE(row.duration, seconds(1));  // long enough to cut
    EXPECT_LE(row.duration, seconds(4));
    EXPECT_GE(since, (first ? seconds(2) : seconds(8)) - milliseconds(1));
    EXPECT_LE(since, (first ? seconds(15) : seconds(30)) + milliseconds(20));
    since = Duration::zero();
    first = false;
  }
}

TEST(LinkProfiles, TheSeedDecides) {
  const RateTrace one = make_profile("thin", 1);
  const RateTrace again = make_profile("thin", 1);
  const RateTrace other = make_profile("thin", 2);
  ASSERT_EQ(one.rows().size(), again.rows().size());
  for (size_t i = 0; i < one.rows().size(); ++i) {
    EXPECT_EQ(one.rows()[i].duration, again.rows()[i].duration);
    EXPECT_EQ(one.rows()[i].up_kbps, again.rows()[i].up_kbps);
  }
  EXPECT_NE(one.rows()[0].up_kbps, other.rows()[0].up_kbps);
}

TEST(LinkProfiles, NoneIsUnlimited) {
  const LinkState state = make_profile("none", 1).at(seconds(10));
  EXPECT_TRUE(std::isinf(state.up_kbps));
  EXPECT_EQ(state.latency, Duration::zero());
}

TEST(LinkProfiles, AnUnknownNameListsTheKnownOnes) {
  try {
    make_profile("warp", 1);
    FAIL();
  } catch (const FleetError& error) {
    EXPECT_STREQ(error.what(), "no link profile is called 'warp'; there are none, nbiot, lte-m, 3g-bus, wifi, thin");
  }
}

}  // namespace
}  // namespace runnel::fleet
