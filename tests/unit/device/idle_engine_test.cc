// An engine that is put away and brought back knows what it knew.
#include <gtest/gtest.h>

#include "tests/unit/device/played_device.h"

namespace runnel::device {
namespace {

void expect_the_same(const rate::LinkLimits& a, const rate::LinkLimits& b) {
  EXPECT_EQ(a.goodput.bytes_per_second, b.goodput.bytes_per_second);
  EXPECT_EQ(a.goodput.round_trip, b.goodput.round_trip);
  EXPECT_EQ(a.goodput.samples, b.goodput.samples);
  EXPECT_EQ(a.bandwidth_mean, b.bandwidth_mean);
  EXPECT_EQ(a.bytes_max, b.bytes_max);
}

DeviceEngine brought_back(Played& device, const DeviceEngine::Idle& idle) {
  DeviceOptions options;
  EXPECT_TRUE(options.name.assign("d"));
  return {options, device.outbox(), device.now(), nullptr, idle};
}

TEST(IdleEngine, KnowsTheRoundTripsOfItsGreetings) {
  Played device(false);
  for (int i = 0; i < 5; ++i) {
    device.link_down();
    device.advance(seconds(60));
    device.engine().handle_timeout(device.now());
    device.link_up();
  }
  const auto idle = device.engine().idle();
  ASSERT_TRUE(idle.has_value());
  EXPECT_EQ(idle->rate, nullptr);
  EXPECT_LT(idle->goodput.size(), size_t{100});
  const DeviceEngine again = brought_back(device, *idle);
  expect_the_same(again.link_limits(device.now()), device.engine().link_limits(device.now()));
  EXPECT_EQ(again.next_timeout(), device.engine().next_timeout());
  EXPECT_EQ(again.state(), device.engine().state());
}

TEST(IdleEngine, KnowsHowItsUpdatesFared) {
  Played device(false);
  device.finish(device.plan_round(1));
  device.advance(seconds(3));
  device.acknowledge(1);
  while (device.engine().poll_rate_report().has_value()) {
  }
  const auto idle = device.engine().idle();
  ASSERT_TRUE(idle.has_value());
  ASSERT_NE(idle->rate, nullptr);
  const DeviceEngine again = brought_back(device, *idle);
  expect_the_same(again.link_limits(device.now()), device.engine().link_limits(device.now()));
  EXPECT_EQ(again.updates_acknowledged(), 1U);
  EXPECT_EQ(again.last_acknowledged(), 1U);
}

TEST(IdleEngine, WhoeverHasAnUpdateToSendIsNotIdle) {
  Played device(false);
  device.finish(device.plan_round(1));
  EXPECT_FALSE(device.engine().idle().has_value());
}

}  // namespace
}  // namespace runnel::device
