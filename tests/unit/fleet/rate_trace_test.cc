#include "fleet/rate_trace.h"

#include <gtest/gtest.h>

#include <cmath>

#include "fleet/fleet_error.h"

namespace runnel::fleet {
namespace {

LinkRow row(int64_t ms, double kbps, int64_t latency_ms = 0) {
  return {milliseconds(ms), kbps, kbps / 2.0, milliseconds(latency_ms)};
}

TEST(RateTrace, FindsTheRowAndStartsOver) {
  const RateTrace trace("t", {row(1000, 400, 30), row(500, 200, 60)});
  EXPECT_EQ(trace.length(), milliseconds(1500));
  const LinkState first = trace.at(milliseconds(0));
  EXPECT_DOUBLE_EQ(first.down_kbps, 400.0);
  EXPECT_DOUBLE_EQ(first.up_kbps, 200.0);
  EXPECT_EQ(first.latency, milliseconds(30));
  EXPECT_EQ(first.remaining, milliseconds(1000));
  EXPECT_FALSE(first.outage);
  EXPECT_EQ(trace.at(milliseconds(999)).remaining, milliseconds(1));
  EXPECT_DOUBLE_EQ(trace.at(milliseconds(1000)).down_kbps, 200.0);
  EXPECT_DOUBLE_EQ(trace.at(milliseconds(1499)).down_kbps, 200.0);
  EXPECT_DOUBLE_EQ(trace.at(milliseconds(1500)).down_kbps, 400.0);
  EXPECT_DOUBLE_EQ(trace.at(milliseconds(1500LL * 1'000'000 + 1100)).down_kbps, 200.0);
}

TEST(RateTrace, OneKbpsOrLessIsAnOutage) {
  const RateTrace trace(
      "t", {row(1000, 1.0), row(1000, 1.01), {milliseconds(1000), 500.0, 0.5, Duration::zero()}, row(1000, 50)});
  EXPECT_TRUE(trace.at(milliseconds(0)).outage);
  EXPECT_DOUBLE_EQ(trace.at(milliseconds(0)).down_kbps, 0.0);
  EXPECT_TRUE(trace.at(milliseconds(1000)).outage);  // up is below
  EXPECT_TRUE(trace.at(milliseconds(2000)).outage);
  EXPECT_DOUBLE_EQ(trace.at(milliseconds(2000)).down_kbps, 0.0);
  EXPECT_FALSE(trace.at(milliseconds(3000)).outage);
}

TEST(RateTrace, AnOutageOfASecondCutsAndAShorterOneStalls) {
  const RateTrace trace("t", {row(1000, 100), row(999, 0), row(1000, 100), row(500, 0), row(500, 0)});
  EXPECT_TRUE(trace.at(milliseconds(1000)).outage);
  EXPECT_FALSE(trace.at(milliseconds(1000)).cut);
  EXPECT_TRUE(trace.at(milliseconds(3000)).cut);  // the two halves are one outage
  EXPECT_TRUE(trace.at(milliseconds(3600)).cut);
}

TEST(RateTrace, AnOutageAcrossTheSeamIsOne) {
  const RateTrace trace("t", {row(600, 0), row(1000, 100), row(600, 0)});
  EXPECT_TRUE(trace.at(milliseconds(0)).cut);
  EXPECT_TRUE(trace.at(milliseconds(1700)).cut);
  EXPECT_FALSE(trace.at(milliseconds(700)).cut);
}

TEST(RateTrace, AlwaysDarkIsCut) {
  const RateTrace trace("t", {row(10, 0)});
  EXPECT_TRUE(trace.at(milliseconds(5)).cut);
}

TEST(RateTrace, RefusesWhatIsNoLink) {
  EXPECT_THROW(RateTrace("t", {}), FleetError);
  EXPECT_THROW(RateTrace("t", {row(0, 100)}), FleetError);
  EXPECT_THROW(RateTrace("t", {row(10, -1)}), FleetError);
  EXPECT_THROW(RateTrace("t", {row(10, std::nan(""))}), FleetError);
  EXPECT_THROW(RateTrace("t", {row(10, 100, -5)}), FleetError);
}

}  // namespace
}  // namespace runnel::fleet
