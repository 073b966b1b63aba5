#include "fleet/netns/link_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "fleet/link_profiles.h"

namespace runnel::fleet {
namespace {

double seconds_of(Duration duration) {
  return static_cast<double>(duration.count()) / 1e6;
}

// What the kernel's filter lets through in a stretch where more waits than can pass: a burst at each change, the rate
// after it.
CarriedBytes filtered(const RateTrace& trace, Duration length) {
  CarriedBytes sum;
  for (Duration at{}; at < length;) {
    const LinkSetting setting = next_setting(trace, at);
    if (!setting.outage) {
      const QueueSetting up = queue_setting(setting.up_kbps, setting);
      const QueueSetting down = queue_setting(setting.down_kbps, setting);
      sum.up += up.burst_bytes + up.rate_bytes_per_s * seconds_of(setting.length);
      sum.down += down.burst_bytes + down.rate_bytes_per_s * seconds_of(setting.length);
    }
    at += setting.length;
  }
  return sum;
}

TEST(LinkPlan, ABusyLinkCarriesWhatItsProfileSays) {
  for (const char* name : {"nbiot", "lte-m", "3g-bus", "wifi", "thin"}) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      const RateTrace trace = make_profile(name, seed);
      const CarriedBytes wanted = carried_bytes(trace, Duration::zero(), trace.length());
      const CarriedBytes found = filtered(trace, trace.length());
      EXPECT_NEAR(found.up / wanted.up, 1.0, 0.02) << name << " " << seed;
      EXPECT_NEAR(found.down / wanted.down, 1.0, 0.02) << name << " " << seed;
    }
  }
}

TEST(LinkPlan, ShortRowsAreTakenTogetherButNotAcrossAnOutage) {
  const RateTrace trace("t", {{milliseconds(200), 1000, 400, {}},
                              {milliseconds(600), 2000, 800, {}},
                              {milliseconds(100), 0, 0, {}},
                              {milliseconds(3000), 500, 500, {}}});
  const LinkSetting first = next_setting(trace, Duration::zero());
  EXPECT_EQ(first.length, milliseconds(800));
  EXPECT_NEAR(first.down_kbps, 1750.0, 1e-9);
  EXPECT_NEAR(first.up_kbps, 700.0, 1e-9);
  const LinkSetting dark = next_setting(trace, milliseconds(800));
  EXPECT_TRUE(dark.outage);
  EXPECT_EQ(dark.length, milliseconds(100));
  EXPECT_EQ(next_setting(trace, milliseconds(900)).length, milliseconds(3000));
}

TEST(LinkPlan, AnOutageLetsNothingNewWait) {
  const LinkSetting dark{seconds(2), 0.0, 0.0, true};
  EXPECT_LE(queue_setting(0.0, dark).limit_bytes, 1U);
  EXPECT_LE(queue_setting(0.0, dark).rate_bytes_per_s, 1U);
}

TEST(LinkPlan, EveryFilterPassesAFullFrameAndFitsItsFields) {
  for (const double kbps : {1.5, 10.0, 340.0, 20'000.0, kUnlimitedKbps}) {
    const QueueSetting setting = queue_setting(kbps, {seconds(1), kbps, kbps, false});
    EXPECT_GE(setting.burst_bytes, 1514U) << kbps;
    EXPECT_GE(setting.limit_bytes, 8U * 1514U) << kbps;
    EXPECT_GE(setting.rate_bytes_per_s, 1U) << kbps;
  }
}

TEST(RateMeter, CountsOnlyWhatWaitedAndNoOutage) {
  const RateTrace trace("t", {{seconds(2), 80, 80, {}}, {seconds(1), 0, 0, {}}, {seconds(7), 160, 80, {}}});
  RateMeter meter(trace);
  meter.sample(seconds(0), {0, 0, 0}, {0, 500, 0});
  meter.sample(seconds(1), {9'000, 100, 0}, {10'100, 700, 0});   // up: nothing waited at its beginning
  meter.sample(seconds(2), {18'500, 100, 0}, {20'100, 0, 0});    // down: nothing waited at its end
  meter.sample(seconds(3), {18'500, 100, 0}, {20'100, 900, 0});  // dark
  meter.sample(seconds(4), {28'000, 100, 0}, {40'000, 900, 0});
  EXPECT_DOUBLE_EQ(meter.up().busy_s, 2.0);
  EXPECT_DOUBLE_EQ(meter.up().bytes, 19'000.0);
  EXPECT_DOUBLE_EQ(meter.up().profile_bytes, 20'000.0);
  EXPECT_DOUBLE_EQ(meter.down().busy_s, 2.0);
  EXPECT_DOUBLE_EQ(meter.down().bytes, 30'000.0);
  EXPECT_DOUBLE_EQ(meter.down().profile_bytes, 30'000.0);
}

}  // namespace
}  // namespace runnel::fleet
