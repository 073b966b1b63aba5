// Buffered rounds: whoever is done counts, and every few updates the model moves.
#include <gmock/gmock.h>

#include <cmath>

#include "tests/unit/coordinator/played_fleet.h"

namespace runnel::coordinator {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class BufferedRounds : public PlayedFleet {
 public:
  PolicySpec& policy() { return options_.round.plan.policy; }
  void begin_buffered(uint32_t buffer, uint32_t staleness_max) {
    policy().policy = plan::RoundPolicy::kBuffered;
    policy().buffer = buffer;
    policy().staleness_max = staleness_max;
    options_.round.plan.deadline_seconds = 100.0;
    begin();
  }
  std::vector<uint32_t> planned(const std::string& device) {
    std::vector<uint32_t> rounds;
    for (const plan::RoundPlan& plan : told_[device].plans) rounds.push_back(plan.round);
    return rounds;
  }
  using Rounds = std::vector<uint32_t>;
};

TEST_F(BufferedRounds, TheModelMovesWithEveryFewUpdatesAndWhoIsSlowIsLeftAlone) {
  begin_buffered(2, 3);
  come("a");
  come("b");
  come("c");
  ASSERT_EQ(planned("c"), Rounds{1});
  EXPECT_EQ(told_["c"].plans[0].policy, plan::RoundPolicy::kBuffered);
  EXPECT_EQ(told_["c"].plans[0].staleness_max, 3U);
  send({.device = "a", .by = 1.0F});
  EXPECT_EQ(planned("a"), Rounds{1}) << "on the same version it would say the same again";
  send({.device = "b", .by = 1.0F});
  ASSERT_EQ(closed(), 1U);
  EXPECT_EQ(planned("a"), (Rounds{1, 2}));
  EXPECT_EQ(planned("b"), (Rounds{1, 2}));
  EXPECT_EQ(planned("c"), Rounds{1});
  EXPECT_EQ(parameter(), 1.0F);
  send({.device = "c", .by = 1.0F});  // one version behind
  EXPECT_EQ(told_["c"].durable(), 1U);
  EXPECT_EQ(planned("c"), (Rounds{1, 2}));
  send({.device = "a", .round = 2, .version = 2, .sequence = 2, .by = 1.0F});
  ASSERT_EQ(closed(), 2U);
  EXPECT_NEAR(parameter(), 1.0 + (1.0 + 1.0 / std::sqrt(2.0)) / 2.0, 1e-6);
  EXPECT_EQ(store_->ledger()->back().device, "c");
  EXPECT_EQ(store_->ledger()->back().round, 1U);
  EXPECT_EQ(store_->ledger()->back().merged_into, 2U);
  EXPECT_EQ(planned("c"), (Rounds{1, 2})) << "it works on round 2, one behind now";
}

TEST_F(BufferedRounds, WhatIsTooOldIsRefusedAndItsDeviceBeginsAnew) {
  begin_buffered(1, 1);
  come("a");
  come("b");
  for (uint32_t round = 1; round <= 2; ++round)
    send({.device = "a", .round = round, .version = round, .sequence = round});
  ASSERT_EQ(closed(), 2U);
  EXPECT_EQ(planned("b"), (Rounds{1, 3})) << "its plan is two versions behind";
  send({.device = "b"});
  ASSERT_EQ(told_["b"].refusals.size(), 1U);
  EXPECT_EQ(told_["b"].refusals[0].reason, wire::Reason::kStale);
  EXPECT_THAT(told_["b"].refusals[0].detail, HasSubstr("model version 1, 2 behind; it counts up to 1"));
  EXPECT_THAT(planned("b").back(), 3U);
}

TEST_F(BufferedRounds, AnUploadThatGrowsTooOldOnItsWayIsRefused) {
  begin_buffered(1, 1);
  come("a");
  come("b");
  const MadeUpdate slow{.device = "b"};
  say("b", offer_of(slow, message(slow)));
  send({.device = "a"});
  EXPECT_THAT(told_["b"].refusals, IsEmpty());
  send({.device = "a", .round = 2, .version = 2, .sequence = 2});
  ASSERT_EQ(told_["b"].refusals.size(), 1U);
  EXPECT_EQ(told_["b"].refusals[0].reason, wire::Reason::kStale);
  EXPECT_EQ(told_["b"].refusals[0].sequence, 1U);
}

TEST_F(BufferedRounds, SoManyWorkAtOnceAndTheLongestIdleIsNext) {
  options_.round.plan.cohort = 2;
  begin_buffered(3, 10);
  for (const char* device : {"c", "a", "b", "d"}) {
    come(device);
    pass(seconds(1));
  }
  EXPECT_EQ(planned("c"), Rounds{1});
  EXPECT_EQ(planned("a"), Rounds{1});
  EXPECT_EQ(planned("b"), Rounds{});
  send({.device = "a"});
  EXPECT_EQ(planned("b"), Rounds{1});
  EXPECT_EQ(planned("d"), Rounds{});
  leave("d");
  pass(seconds(1));
  send({.device = "c"});
  pass(seconds(1));
  send({.device = "b"});
  ASSERT_EQ(closed(), 1U);
  EXPECT_EQ(planned("a"), (Rounds{1, 2})) << "done first";
  EXPECT_EQ(planned("c"), (Rounds{1, 2}));
  EXPECT_EQ(planned("b"), Rounds{1});
  EXPECT_EQ(planned("d"), Rounds{}) << "not there";
}

TEST_F(BufferedRounds, TheDeadlineClosesWithAQuorumOnly) {
  options_.round.plan.quorum = 2;
  begin_buffered(5, 10);
  come("a");
  come("b");
  send({.device = "a"});
  pass(seconds(101));
  EXPECT_EQ(closed(), 0U);
  send({.device = "b"});
  EXPECT_EQ(closed(), 0U);
  pass(seconds(100));
  EXPECT_EQ(closed(), 1U);
  EXPECT_EQ(store_->history()->back().result.participants, 2U);
}

TEST_F(BufferedRounds, APlansTimeEndsAndItsDeviceMayBeginAnew) {
  options_.round.plan.cohort = 1;
  begin_buffered(1, 10);
  come("a");
  pass(seconds(50));
  come("b");
  EXPECT_EQ(planned("b"), Rounds{});
  pass(seconds(51));
  EXPECT_EQ(planned("b"), Rounds{1}) << "a had its time";
  send({.device = "a"});
  EXPECT_EQ(told_["a"].durable(), 1U) << "it counts all the same";
}

TEST_F(BufferedRounds, ADeviceThatSaysHelloWithoutAnUpdateBeginsAnew) {
  begin_buffered(1, 10);
  come("a");
  come("b");
  send({.device = "a"});
  leave("b");
  come("b");
  EXPECT_EQ(planned("b"), (Rounds{1, 2}));
  const MadeUpdate slow{.device = "b", .round = 2, .version = 2, .sequence = 2};
  say("b", offer_of(slow, message(slow)));
  leave("b");
  send({.device = "a", .round = 2, .version = 2, .sequence = 2});
  come("b");
  EXPECT_EQ(planned("b"), (Rounds{1, 2})) << "it has an update on its way";
  say("b", offer_of(slow, message(slow)));
  send_bytes(slow, 0, message(slow).size());
  EXPECT_EQ(told_["b"].durable(), 2U);
  EXPECT_EQ(planned("b").back(), 4U);
}

TEST_F(BufferedRounds, MoreThanTheBufferHoldsWaitsForTheNextRound) {
  begin_buffered(2, 1);
  for (const char* device : {"a", "b", "c"}) come(device);
  in_one_turn_ = true;
  for (const char* device : {"a", "b", "c"}) send({.device = device, .by = 1.0F});
  in_one_turn_ = false;
  turn();
  EXPECT_EQ(closed(), 1U);
  EXPECT_EQ(parameter(), 1.0F);
  EXPECT_EQ(told_["c"].durable(), 1U);
  EXPECT_EQ(store_->ledger()->back().merged_into, 2U);
  EXPECT_EQ(engine_->rounds().accepted_count(), 1U);
}

TEST_F(BufferedRounds, FurtherUpdatesOfOnePlanCountUpToTheirNumber) {
  policy().offline_updates = 2;
  begin_buffered(10, 3);
  come("a");
  EXPECT_EQ(told_["a"].plans.at(0).offline_updates, 2U);
  for (uint64_t sequence = 1; sequence <= 4; ++sequence) send({.device = "a", .sequence = sequence});
  EXPECT_EQ(told_["a"].durable(), 3U);
  ASSERT_EQ(told_["a"].refusals.size(), 1U);
  EXPECT_EQ(told_["a"].refusals[0].sequence, 4U);
  EXPECT_EQ(engine_->rounds().accepted_count(), 3U);
}

TEST_F(BufferedRounds, GoOnWithNobodyThere) {
  begin_buffered(1, 10);
  come("a");
  send({.device = "a"});
  leave("a");
  EXPECT_EQ(open_round(), 2U);
  EXPECT_EQ(engine_->rounds().phase(), RoundEngine::Phase::kOpen);
}

TEST_F(BufferedRounds, WhoIsUnavailableGetsNoPlan) {
  begin_buffered(1, 10);
  come("a");
  come("b", true);
  send({.device = "a"});
  EXPECT_EQ(planned("b"), Rounds{});
  come("b");
  EXPECT_EQ(planned("b"), Rounds{2});
}

TEST_F(BufferedRounds, EndAfterTheirNumber) {
  options_.round.plan.rounds = 2;
  begin_buffered(1, 5);
  come("a");
  come("b");
  send({.device = "a"});
  send({.device = "a", .round = 2, .version = 2, .sequence = 2});
  EXPECT_TRUE(engine_->finished());
  EXPECT_EQ(told_["b"].byes, 1);
  send({.device = "b"});
  EXPECT_EQ(told_["b"].refusals.back().reason, wire::Reason::kRoundClosed);
}

TEST_F(BufferedRounds, ARestartAmidABufferGivesTheSameBits) {
  const auto end = [](bool restart) {
    BufferedRounds other;
    other.begin_buffered(3, 5);
    for (const char* device : {"a", "b", "c"}) other.come(device);
    other.send({.device = "a", .by = 0.1F, .sample_count = 3});
    other.send({.device = "b", .by = 0.7F, .sample_count = 5});
    other.send({.device = "a", .sequence = 9});  // refused: not a second time
    other.send({.device = "c", .by = -0.2F, .sample_count = 7});
    EXPECT_EQ(other.closed(), 1U);
    other.send({.device = "b", .round = 2, .version = 2, .sequence = 2, .by = 0.01F, .sample_count = 9});
    other.send({.device = "a", .round = 2, .version = 2, .sequence = 10, .by = 0.3F, .sample_count = 4});
    if (restart) {
      other.start();
      for (const char* device : {"a", "b", "c"}) other.come(device);
      EXPECT_EQ(other.planned("a"), (Rounds{1, 2})) << "its update of round 2 is in";
      EXPECT_EQ(other.planned("c").back(), 2U);
    }
    other.send({.device = "c", .round = 2, .version = 2, .sequence = 2, .by = -0.3F, .sample_count = 7});
    EXPECT_EQ(other.closed(), 2U);
    const RoundResult result = other.store_->history()->back().result;
    return std::make_tuple(other.engine_->rounds().model().parameters, result.update_energy, result.mean_energy);
  };
  EXPECT_EQ(end(false), end(true));
}

// The plan was changed between two starts of the coordinator.
TEST_F(BufferedRounds, AnOpenRoundEndsWithWhatItHasWhenRoundsBecomeSynchronous) {
  begin_buffered(10, 5);
  come("a");
  come("b");
  send({.device = "a"});
  policy().policy = plan::RoundPolicy::kSync;
  start();
  come("b");
  EXPECT_EQ(closed(), 1U);
  EXPECT_EQ(planned("b").back(), 2U);
  send({.device = "b"});
  EXPECT_EQ(store_->ledger()->back().merged_into, 2U);
}

TEST_F(BufferedRounds, AnOpenRoundWithoutUpdatesGetsACohortWhenRoundsBecomeSynchronous) {
  begin_buffered(10, 5);
  come("a");
  policy().policy = plan::RoundPolicy::kSync;
  start();
  come("b");
  pass(seconds(101));
  EXPECT_EQ(planned("b"), Rounds{1});
  send({.device = "b"});
  EXPECT_EQ(closed(), 1U);
}

}  // namespace
}  // namespace runnel::coordinator
