// Synchronous rounds: updates of earlier rounds, and the grace for those that are on their way.
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>

#include "tests/unit/coordinator/played_fleet.h"

namespace runnel::coordinator {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class LateUpdates : public PlayedFleet {
 public:
  // Round 1 is closed with pump's update alone; round 2 is open and has asked both.
  void begin_late(uint32_t staleness_max) {
    FleetPlan& plan = options_.round.plan;
    plan.min_devices = 2;
    plan.deadline_seconds = 100.0;
    plan.policy.staleness_max = staleness_max;
    begin();
    come("pump");
    come("valve");
    send({.device = "pump"});
    pass(seconds(101));
    ASSERT_EQ(closed(), 1U);
    ASSERT_EQ(open_round(), 2U);
  }
};

TEST_F(LateUpdates, AreMergedIntoTheOpenRoundAndScaled) {
  begin_late(2);
  EXPECT_EQ(parameter(), 0.25F);
  send({.device = "valve", .round = 1, .version = 1, .sequence = 1, .by = 1.0F});
  EXPECT_EQ(told_["valve"].durable(), 1U);
  EXPECT_EQ(engine_->counters().updates_late, 1U);
  EXPECT_TRUE(engine_->rounds().plan_for("valve", now_).has_value()) << "its own update of the round is still wanted";
  send({.device = "pump", .round = 2, .version = 2, .sequence = 2, .by = 1.0F});
  EXPECT_EQ(closed(), 1U) << "a late update does not make up for a missing one";
  send({.device = "valve", .round = 2, .version = 2, .sequence = 2, .by = 1.0F});
  ASSERT_EQ(closed(), 2U);
  const double factor = static_cast<float>(1.0 / std::sqrt(2.0));
  EXPECT_NEAR(parameter(), 0.25 + (1.0 + 1.0 + factor) / 3.0, 1e-6);
  const std::vector<LedgerEntry> ledger = store_->ledger().value();
  ASSERT_EQ(ledger.size(), 4U);
  EXPECT_EQ(ledger[2].device, "valve");
  EXPECT_EQ(ledger[2].round, 1U);
  EXPECT_EQ(ledger[2].model_version, 1U);
  EXPECT_EQ(ledger[2].merged_into, 2U);
  const RoundResult result = store_->history()->back().result;
  EXPECT_EQ(result.participants, 3U);
  EXPECT_NEAR(result.update_energy, (22.0 + 22.0 + 22.0 * factor * factor) / 3.0, 1e-5);
}

TEST_F(LateUpdates, WithoutStalenessAreRefusedAsBefore) {
  begin_late(0);
  send({.device = "valve", .round = 1});
  ASSERT_EQ(told_["valve"].refusals.size(), 1U);
  EXPECT_EQ(told_["valve"].refusals[0].reason, wire::Reason::kRoundClosed);
  EXPECT_EQ(told_["valve"].refusals[0].sequence, 1U);
}

TEST_F(LateUpdates, BeyondTheStalenessAreRefusedWithTheNumbers) {
  begin_late(1);
  pass(seconds(30));
  send({.device = "pump", .round = 2, .version = 2, .sequence = 2});
  pass(seconds(71));  // the deadline
  ASSERT_EQ(open_round(), 3U);
  send({.device = "valve", .round = 1});
  ASSERT_EQ(told_["valve"].refusals.size(), 1U);
  EXPECT_EQ(told_["valve"].refusals[0].reason, wire::Reason::kStale);
  EXPECT_THAT(told_["valve"].refusals[0].detail, HasSubstr("model version 1, 2 behind; it counts up to 1"));
  EXPECT_EQ(told_["valve"].refusals[0].retry_after_ms, 0U);
}

TEST_F(LateUpdates, OfOneRoundCountOnce) {
  begin_late(2);
  send({.device = "valve", .round = 1, .sequence = 1});
  send({.device = "valve", .round = 1, .sequence = 2});
  ASSERT_EQ(told_["valve"].refusals.size(), 1U);
  EXPECT_EQ(told_["valve"].refusals[0].reason, wire::Reason::kMalformed);
  in_one_turn_ = true;  // nor both before the first is on the disk
  send({.device = "pump", .round = 2, .version = 2, .sequence = 5});
  send({.device = "pump", .round = 1, .version = 1, .sequence = 6});
  in_one_turn_ = false;
  turn();
  EXPECT_EQ(engine_->counters().updates_accepted, 3U);
  EXPECT_EQ(told_["pump"].refusals.size(), 1U);
}

TEST_F(LateUpdates, SentTwiceAreAcknowledgedTwiceAndCountOnce) {
  begin_late(2);
  send({.device = "valve", .round = 1});
  send({.device = "valve", .round = 2, .version = 2, .sequence = 4});
  send({.device = "valve", .round = 1});
  EXPECT_EQ(told_["valve"].acks.back().sequence, 1U);
  EXPECT_EQ(told_["valve"].acks.back().state, wire::UpdateState::kDurable);
  EXPECT_THAT(told_["valve"].refusals, IsEmpty());
  EXPECT_EQ(store_->ledger()->size(), 3U);
}

TEST_F(LateUpdates, AgainstAnotherVersionThanTheirRoundsAreRefused) {
  begin_late(2);
  send({.device = "valve", .round = 1, .version = 2});
  ASSERT_EQ(told_["valve"].refusals.size(), 1U);
  EXPECT_EQ(told_["valve"].refusals[0].reason, wire::Reason::kUnknownModel);
}

TEST_F(LateUpdates, OfAFinishedRunAreRefused) {
  options_.round.plan.rounds = 1;
  options_.round.plan.policy.staleness_max = 5;
  options_.round.plan.min_devices = 2;
  options_.round.plan.cohort = 1;
  options_.round.plan.over_selection = 1.0;
  begin();
  come("pump");
  come("valve");
  send({.device = "pump"});
  ASSERT_TRUE(engine_->finished());
  send({.device = "valve"});
  ASSERT_EQ(told_["valve"].refusals.size(), 1U);
  EXPECT_EQ(told_["valve"].refusals[0].reason, wire::Reason::kRoundClosed);
}

TEST_F(LateUpdates, WaitForTheNextRoundWhereNoneIsOpen) {
  begin_late(3);
  send({.device = "pump", .round = 2, .version = 2, .sequence = 2});
  leave("valve");
  pass(seconds(101));
  send({.device = "pump", .round = 3, .version = 3, .sequence = 3});
  pass(seconds(101));
  ASSERT_EQ(closed(), 3U);
  ASSERT_EQ(engine_->rounds().phase(), RoundEngine::Phase::kWaiting) << "one device is not enough";
  come("valve", true);
  send({.device = "valve", .round = 1});
  EXPECT_EQ(told_["valve"].durable(), 0U);
  EXPECT_THAT(told_["valve"].refusals, IsEmpty());
  come("fan");
  EXPECT_EQ(open_round(), 4U);
  EXPECT_EQ(told_["valve"].durable(), 1U);
  EXPECT_EQ(store_->ledger()->back().merged_into, 4U);
}

TEST_F(LateUpdates, AndARestartGiveTheSameBits) {
  const auto end = [](bool restart) {
    LateUpdates other;
    other.begin_late(2);
    other.send({.device = "valve", .round = 1, .by = 0.1F, .sample_count = 3});
    other.send({.device = "pump", .round = 2, .version = 2, .sequence = 2, .by = 0.7F, .sample_count = 11});
    if (restart) {
      other.start();
      EXPECT_EQ(other.engine_->rounds().accepted_count(), 2U);
      other.come("pump");
      other.come("valve");
    }
    other.send({.device = "valve", .round = 2, .version = 2, .sequence = 2, .by = -0.3F, .sample_count = 7});
    EXPECT_EQ(other.closed(), 2U);
    const RoundResult result = other.store_->history()->back().result;
    return std::make_tuple(other.engine_->rounds().model().parameters, result.update_energy, result.mean_energy,
                           result.mean_loss);
  };
  EXPECT_EQ(end(false), end(true));
}

// --- grace ---

class Grace : public PlayedFleet {
 public:
  // Two are asked, one is enough, and pump has delivered.
  void begin_grace(double grace_seconds) {
    FleetPlan& plan = options_.round.plan;
    plan.min_devices = 2;
    plan.cohort = 1;
    plan.over_selection = 1.0;
    plan.deadline_seconds = 1000.0;
    plan.policy.grace_seconds = grace_seconds;
    begin(1200);
    come("pump");
    come("valve");
    ASSERT_EQ(told_["pump"].plans.size() + told_["valve"].plans.size(), 2U);
  }
  MadeUpdate late_{.device = "valve"};
};

TEST_F(Grace, AnUploadThatIsMovingIsWaitedForAndCounts) {
  begin_grace(20.0);
  say("valve", offer_of(late_, message(late_)));
  send_bytes(late_, 0, 4096);
  send({.device = "pump"});
  EXPECT_EQ(closed(), 0U);
  pass(seconds(4));
  send_bytes(late_, 4096, 8192);
  pass(seconds(4));
  ASSERT_EQ(closed(), 0U);
  send_bytes(late_, 8192, message(late_).size());
  EXPECT_EQ(closed(), 1U);
  EXPECT_EQ(told_["valve"].durable(), 1U);
  EXPECT_EQ(store_->history()->back().result.participants, 2U);
}

TEST_F(Grace, AnUploadThatStandsStillIsNot) {
  begin_grace(20.0);
  say("valve", offer_of(late_, message(late_)));
  send_bytes(late_, 0, 4096);
  send({.device = "pump"});
  pass(milliseconds(4'900));
  EXPECT_EQ(closed(), 0U);
  pass(milliseconds(200));
  EXPECT_EQ(closed(), 1U);
  EXPECT_EQ(told_["valve"].refusals.back().reason, wire::Reason::kRoundClosed);
}

TEST_F(Grace, HasAnEnd) {
  begin_grace(7.0);
  say("valve", offer_of(late_, message(late_)));
  send({.device = "pump"});
  for (uint64_t second = 1; second <= 6; ++second) {
    pass(seconds(1));
    send_bytes(late_, second * 10 - 10, second * 10);
  }
  EXPECT_EQ(closed(), 0U);
  pass(milliseconds(1'100));
  EXPECT_EQ(closed(), 1U);
}

TEST_F(Grace, FollowsTheDeadlineToo) {
  options_.round.plan.quorum = 1;
  begin_grace(20.0);
  options_.round.plan.cohort = 0;
  start();  // everybody who was asked is waited for now
  come("pump");
  come("valve");
  send({.device = "pump"});
  pass(seconds(999));
  say("valve", offer_of(late_, message(late_)));
  send_bytes(late_, 0, 4096);
  pass(seconds(2));
  EXPECT_EQ(closed(), 0U);
  send_bytes(late_, 4096, message(late_).size());
  EXPECT_EQ(closed(), 1U);
  EXPECT_EQ(store_->history()->back().result.participants, 2U);
}

TEST_F(Grace, OfNothingIsNoGrace) {
  begin_grace(0.0);
  say("valve", offer_of(late_, message(late_)));
  send_bytes(late_, 0, 4096);
  send({.device = "pump"});
  EXPECT_EQ(closed(), 1U);
}

// --- devices that cannot train ---

class Unavailable : public PlayedFleet {};

TEST_F(Unavailable, DevicesAreNotDrawnAndGetNoPlanUntilTheySayOtherwise) {
  options_.round.plan.min_devices = 1;
  begin();
  come("pump", true);
  EXPECT_EQ(engine_->rounds().phase(), RoundEngine::Phase::kWaiting);
  come("valve");
  EXPECT_EQ(open_round(), 1U);
  EXPECT_EQ(engine_->rounds().selected_count(), 1U);
  come("valve", true);
  EXPECT_EQ(told_["valve"].plans.size(), 1U) << "drawn, but it cannot train now";
  come("valve");
  EXPECT_EQ(told_["valve"].plans.size(), 2U);
  come("valve", true);
  send({.device = "valve"});
  EXPECT_EQ(told_["valve"].durable(), 1U) << "what it has made still counts";
}

}  // namespace
}  // namespace runnel::coordinator
