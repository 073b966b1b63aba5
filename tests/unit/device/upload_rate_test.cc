#include "device/engine/upload_rate.h"

#include <gtest/gtest.h>

#include "tests/unit/device/played_device.h"

namespace runnel::device {
namespace {

Instant at(double seconds_since) {
  return Instant{} + Duration(static_cast<int64_t>(seconds_since * 1e6));
}

plan::RoundPlan plan_of(uint32_t round, Duration time_left) {
  plan::RoundPlan plan;
  plan.run = 1;
  plan.round = round;
  plan.rounds = 10;
  plan.time_left = time_left;
  return plan;
}

TEST(UploadRateTest, NothingIsKnownAtFirst) {
  UploadRate rate;
  rate.handle_plan(at(0), plan_of(1, seconds(60)));
  const rate::LinkLimits limits = rate.limits(at(10));
  EXPECT_FALSE(limits.goodput.known());
  EXPECT_EQ(limits.bytes_max, rate::kUnlimited);
  EXPECT_EQ(limits.time_left, seconds(50));
}

TEST(UploadRateTest, TheLinkGrantsWhatItCarriedBefore) {
  UploadRate rate;
  rate.goodput().handle_sent(at(0));
  rate.goodput().handle_acknowledged(at(10), 10000, true);  // 1000 bytes a second
  rate.handle_plan(at(20), plan_of(1, seconds(100)));
  const rate::LinkLimits limits = rate.limits(at(60));
  EXPECT_GT(limits.bytes_max, 20000.0);
  EXPECT_LT(limits.bytes_max, 60000.0);
  EXPECT_LT(rate.limits(at(100)).bytes_max, limits.bytes_max);
  EXPECT_EQ(rate.limits(at(121)).bytes_max, 0.0) << "the deadline is over";
}

TEST(UploadRateTest, SurvivesARestart) {
  UploadRate rate;
  rate.goodput().handle_sent(at(0));
  rate.goodput().handle_acknowledged(at(10), 10000, true);
  rate::RateDecision decision;
  decision.norm = 2.0;
  rate.handle_update(plan_of(3, seconds(1)), 1, decision, 500, 400, 1000, at(11));
  UploadRate again;
  ASSERT_TRUE(again.restore(rate.state()));
  EXPECT_EQ(again.history().bytes_spent, 500U);
  EXPECT_EQ(again.history().round, 3U);
  EXPECT_EQ(again.goodput().estimate().bytes_per_second, rate.goodput().estimate().bytes_per_second);
  const std::vector<uint8_t> hostile(UploadRate::kStateBytes, 0xFF);
  EXPECT_FALSE(again.restore(hostile));
  EXPECT_FALSE(again.restore({}));
  EXPECT_EQ(again.history().bytes_spent, 500U) << "what is refused changes nothing";
}

TEST(UploadRateTest, TheDeadlineDecidesWhatWasInTime) {
  for (const bool late : {false, true}) {
    UploadRate rate;
    rate.handle_plan(at(0), plan_of(1, seconds(10)));
    rate.handle_update(plan_of(1, seconds(10)), 7, {}, 100, 50, 100, at(1));
    const auto report = rate.handle_outcome(at(late ? 11 : 9), 7, UploadOutcome::kInTime, false);
    ASSERT_TRUE(report.has_value());
    EXPECT_EQ(report->outcome, late ? UploadOutcome::kLate : UploadOutcome::kInTime);
    EXPECT_EQ(report->bits, 4.0);
    EXPECT_FALSE(rate.handle_outcome(at(12), 7, UploadOutcome::kInTime, false).has_value()) << "said once";
  }
}

// --- the same through the device's engine ---

TEST(RateInTheEngine, AnUpdateThatCannotArriveStaysOnTheDeviceWhole) {
  Played device(false, true);
  const StartTraining first = device.plan_round(1);
  rate::LinkLimits none;
  none.bytes_max = 10.0;
  const uint64_t frames = device.frames_sent();
  device.finish(first, none);
  EXPECT_FALSE(device.outbox().pending());
  EXPECT_EQ(device.frames_sent(), frames) << "nothing is offered";
  const auto report = device.engine().poll_rate_report();
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->outcome, UploadOutcome::kKept);
  EXPECT_TRUE(report->carried);
  EXPECT_EQ(report->message_bytes, 0U);

  const StartTraining second = device.plan_round(2);
  ASSERT_FALSE(second.carried.residual.empty());
  double energy = 0.0;
  for (const float value : second.carried.residual) energy += double{value} * double{value};
  EXPECT_GT(energy, 0.0);
  device.finish(second);
  EXPECT_TRUE(device.outbox().pending());
}

TEST(RateInTheEngine, AnExtendedRoundTriesAgainWithWhatWasKept) {
  Played device(false, true);
  const StartTraining first = device.plan_round(1);
  EXPECT_FALSE(first.retry);
  rate::LinkLimits none;
  none.bytes_max = 10.0;
  device.finish(first, none);
  ASSERT_FALSE(device.outbox().pending());

  const StartTraining again = device.plan_round(1);
  EXPECT_TRUE(again.retry);
  ASSERT_FALSE(again.carried.residual.empty());
  device.finish(again);
  ASSERT_TRUE(device.outbox().pending());
  EXPECT_EQ(device.outbox().front()->round, 1U);
  EXPECT_GT(device.outbox().front()->sequence, first.sequence);
}

TEST(RateInTheEngine, AfterTwoThatWereKeptOneIsSentToMeasureTheLink) {
  Played device(false, true);
  for (uint32_t round = 1; round <= 2; ++round) {
    const StartTraining request = device.plan_round(round);
    rate::LinkLimits none = device.engine().link_limits(Instant{});
    EXPECT_FALSE(none.probe) << round;
    none.bytes_max = 10.0;
    device.finish(request, none);
    EXPECT_FALSE(device.outbox().pending());
  }
  const StartTraining third = device.plan_round(3);
  rate::LinkLimits none = device.engine().link_limits(Instant{});
  EXPECT_TRUE(none.probe);
  none.bytes_max = 10.0;
  device.finish(third, none);
  EXPECT_TRUE(device.outbox().pending());
}

TEST(RateInTheEngine, ASmallUpdateTravelsInItsOffer) {
  Played device(false, true);
  device.let_offers_carry(4096);
  const StartTraining first = device.plan_round(1);
  const uint64_t frames = device.frames_sent();
  device.finish(first);
  ASSERT_TRUE(device.outbox().pending());
  EXPECT_EQ(device.frames_sent(), frames + 1);
}

TEST(RateInTheEngine, WhatIsSentAllTheSameAndRefusedIsInTheNext) {
  Played device(false, true);
  const StartTraining first = device.plan_round(1);
  StartTraining sends = first;
  sends.plan.rate.late = plan::LatePolicy::kSend;
  rate::LinkLimits none;
  none.bytes_max = 10.0;
  device.finish(sends, none);
  ASSERT_TRUE(device.outbox().pending());
  device.refuse(first.sequence);
  const auto report = device.engine().poll_rate_report();
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->outcome, UploadOutcome::kLate);
  EXPECT_TRUE(report->carried);
  EXPECT_FALSE(device.plan_round(2).carried.returned.empty());
}

TEST(RateInTheEngine, TheGoodputComesFromAcknowledgements) {
  Played device(false, true);
  const StartTraining first = device.plan_round(1);
  device.finish(first);
  const uint64_t bytes = device.outbox().front()->total_bytes;
  device.advance(seconds(4));
  device.say(wire::UpdateAck{first.sequence, wire::UpdateState::kReceiving, bytes / 2});
  device.advance(seconds(4));
  device.say(wire::UpdateAck{first.sequence, wire::UpdateState::kDurable, 0});
  const rate::Goodput goodput = device.engine().link_limits(Instant{}).goodput;
  ASSERT_TRUE(goodput.known());
  EXPECT_NEAR(goodput.mean, static_cast<double>(bytes) / 8.0, 0.05 * static_cast<double>(bytes) / 8.0);
  const auto report = device.engine().poll_rate_report();
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->outcome, UploadOutcome::kInTime);
  EXPECT_EQ(report->message_bytes, bytes);
}

}  // namespace
}  // namespace runnel::device
