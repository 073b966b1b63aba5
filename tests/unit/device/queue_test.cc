// What the device's engine does with several updates that wait: in which order they go out, which of them give way,
// what late and buffered rounds change, and how long they may wait.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/device/played_device.h"

namespace runnel::device {
namespace {

using Sequences = std::vector<uint64_t>;

plan::RoundPlan late_updates(uint32_t staleness_max) {
  plan::RoundPlan plan;
  plan.staleness_max = staleness_max;
  return plan;
}
plan::RoundPlan buffered(uint32_t staleness_max, uint32_t offline_updates = 0) {
  plan::RoundPlan plan = late_updates(staleness_max);
  plan.policy = plan::RoundPolicy::kBuffered;
  plan.offline_updates = offline_updates;
  return plan;
}

Sequences waiting(Played& device) {
  Sequences sequences;
  for (const OutboxEntry& entry : device.outbox().entries()) {
    if (!entry.given_back) sequences.push_back(entry.sequence);
  }
  return sequences;
}

// Plans the rounds one after another, and trains each; nothing is ever acknowledged.
void train_rounds(Played& device, uint32_t first, uint32_t last) {
  for (uint32_t round = first; round <= last; ++round) device.finish(device.plan_round(round));
}

void refuse(Played& device, uint64_t sequence, wire::Reason reason) {
  wire::Refusal refusal;
  refusal.reason = reason;
  refusal.sequence = sequence;
  device.say(refusal);
}

// --- order ---

TEST(Queue, UpdatesOfEarlierRoundsAreUploadedOldestFirst) {
  Played device(false);
  device.also_ = late_updates(5);
  train_rounds(device, 1, 3);
  EXPECT_EQ(waiting(device), (Sequences{1, 2, 3}));
  EXPECT_EQ(device.offered(), (Sequences{1})) << "one after the other";
  device.acknowledge(1);
  EXPECT_EQ(device.offered(), (Sequences{1, 2})) << "without waiting for a plan";
  refuse(device, 2, wire::Reason::kStale);
  EXPECT_EQ(device.offered(), (Sequences{1, 2, 3}));
  device.acknowledge(3);
  EXPECT_TRUE(device.outbox().entries().empty());
  EXPECT_EQ(device.engine().updates_acknowledged(), 2U);
  EXPECT_EQ(device.engine().last_acknowledged(), 3U);
}

TEST(Queue, OffersSayWhichVersionTheyWereTrainedOnAndEachIsReported) {
  Played device(false);
  device.also_ = late_updates(5);
  train_rounds(device, 1, 2);
  device.acknowledge(1);
  for (const wire::Message& message : device.sent_) {
    const auto* offer = std::get_if<wire::UpdateOffer>(&message);
    EXPECT_TRUE(offer == nullptr || offer->model_version == 1U);
  }
  device.advance(seconds(1000));
  device.acknowledge(2);
  const auto first = device.engine().poll_rate_report();
  const auto second = device.engine().poll_rate_report();
  ASSERT_TRUE(first.has_value() && second.has_value());
  EXPECT_EQ(first->round, 1U);
  EXPECT_EQ(first->outcome, UploadOutcome::kInTime);
  EXPECT_EQ(second->round, 2U);
  EXPECT_EQ(second->outcome, UploadOutcome::kLate);
}

TEST(Queue, OutlivesARebootAndOnlyTheOldestAsksHowFarItGot) {
  Played device(false);
  device.also_ = late_updates(5);
  device.offer_bytes_max_ = 4096;
  train_rounds(device, 1, 3);
  device.boot();
  device.sent_.clear();
  device.link_up();
  ASSERT_EQ(device.offered(), (Sequences{1}));
  const size_t before = device.sent_.size();
  EXPECT_TRUE(std::get<wire::UpdateOffer>(device.sent_.back()).payload.empty()) << "it may be partly there";
  device.acknowledge(1);
  ASSERT_EQ(device.sent_.size(), before + 1);
  EXPECT_EQ(std::get<wire::UpdateOffer>(device.sent_.back()).sequence, 2U);
  EXPECT_EQ(device.outbox().front()->sequence, 2U);
  EXPECT_EQ(device.engine().bytes_resent(), 0U);
}

TEST(Queue, WhatTheCoordinatorHadBeforeItsNewestIsSettled) {
  Played device(false);
  device.also_ = late_updates(5);
  train_rounds(device, 1, 3);
  device.boot();
  device.sent_.clear();
  device.link_up(2);  // 1 was settled there, but the disk did not take note of it; of 2 the answer was lost
  EXPECT_EQ(device.offered(), (Sequences{3}));
  EXPECT_EQ(waiting(device), (Sequences{3}));
  EXPECT_EQ(device.engine().last_acknowledged(), 2U);
}

TEST(Queue, ARepeatedAnswerIsForNoOtherUpdate) {
  Played device(false);
  device.also_ = late_updates(5);
  train_rounds(device, 1, 3);
  device.acknowledge(1);
  device.acknowledge(1);
  refuse(device, 1, wire::Reason::kStale);
  device.acknowledge(3);
  EXPECT_EQ(waiting(device), (Sequences{2, 3}));
}

// --- what is too late ---

TEST(Queue, WithoutLateUpdatesTheNewerRoundReplacesTheOlder) {
  Played device(false);
  train_rounds(device, 1, 2);
  EXPECT_EQ(waiting(device), (Sequences{2}));
  EXPECT_EQ(device.notices(Notice::Kind::kQueue).size(), 1U);
}

TEST(Queue, AStaleUpdateIsCarriedIfItsPlanSaysSo) {
  for (const bool carries : {false, true}) {
    Played device(carries);
    device.also_ = late_updates(5);
    train_rounds(device, 1, 2);
    refuse(device, 1, wire::Reason::kStale);
    refuse(device, 2, wire::Reason::kStale);
    EXPECT_TRUE(waiting(device).empty());
    EXPECT_EQ(device.outbox().entries().size(), carries ? 2U : 0U);
    const StartTraining third = device.plan_round(3);
    EXPECT_EQ(third.carried.returned, carries ? (Sequences{1, 2}) : Sequences{});
    device.finish(third);
    EXPECT_EQ(device.outbox().entries().size(), 1U) << "the two are in the third";
  }
}

TEST(Queue, WhatIsTooFarBehindTheNewPlanIsNotOfferedAnyMore) {
  Played device(true);
  device.also_ = buffered(2);
  device.finish(device.plan_round(1));
  device.say_plan(4, 3);  // version 3: what was trained on 1 still counts
  EXPECT_EQ(waiting(device), (Sequences{1}));
  device.link_down();
  device.link_up();
  device.also_.staleness_max = 0;
  device.say_plan(5);
  refuse(device, 1, wire::Reason::kRoundClosed);
  EXPECT_TRUE(device.take_training().has_value());
  EXPECT_TRUE(waiting(device).empty());
  EXPECT_EQ(device.outbox().entries().size(), 1U);
}

TEST(Queue, AnUpdateRefusedDuringTrainingIsInTheOneAfter) {
  Played device(true);
  device.also_ = late_updates(5);
  device.finish(device.plan_round(1));
  const StartTraining second = device.plan_round(2);
  refuse(device, 1, wire::Reason::kStale);
  device.finish(second);
  EXPECT_EQ(device.outbox().entries().size(), 2U) << "the second knows nothing of the first";
  EXPECT_EQ(device.plan_round(3).carried.returned, (Sequences{1}));
}

// --- buffered rounds ---

TEST(Queue, ABufferedRoundDoesNotStopTrainingThatStillCounts) {
  Played device(false);
  device.also_ = buffered(2);
  const StartTraining first = device.plan_round(1);
  device.say_plan(2, 2);
  device.say_plan(3, 3);
  device.finish(first);
  EXPECT_EQ(waiting(device), (Sequences{1}));
  EXPECT_EQ(device.outbox().newest().round, 1U);
  const StartTraining second = device.plan_round(2);
  device.say_plan(6, 4);  // three versions ahead
  device.engine().handle_training_done(device.now(), second.sequence, device.task().train(second.plan, second.carried));
  EXPECT_EQ(device.outbox().newest().round, 1U) << "its training was stopped";
}

TEST(Queue, ASynchronousRoundStopsTraining) {
  Played device(false);
  device.also_ = late_updates(2);
  const StartTraining first = device.plan_round(1);
  EXPECT_EQ(first.plan.round, 1U);
  device.say_plan(2, 1);
  const auto second = device.take_training();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->plan.round, 2U);
}

TEST(Queue, WithoutALinkItTrainsFurtherOnTheSamePlan) {
  Played device(true);
  device.also_ = buffered(3, 2);
  const StartTraining first = device.plan_round(1);
  device.link_down();
  device.finish(first);
  Sequences seeds = {first.plan.seed};
  std::vector<float> ahead;
  for (uint64_t further = 1; further <= 2; ++further) {
    const auto request = device.take_training();
    ASSERT_TRUE(request.has_value()) << further;
    EXPECT_EQ(request->sequence, 1 + further);
    EXPECT_EQ(request->plan.round, 1U);
    EXPECT_EQ(std::count(seeds.begin(), seeds.end(), request->plan.seed), 0);
    seeds.push_back(request->plan.seed);
    // It goes on from what those that wait have learned.
    std::vector<float> sums(device.task().layout.parameter_count);
    for (const OutboxEntry& entry : device.outbox().entries()) {
      std::vector<uint8_t> message(entry.total_bytes);
      ASSERT_TRUE(device.outbox().read(entry, 0, message).ok());
      ASSERT_TRUE(add_update(message, device.task().layout, sums).ok());
    }
    EXPECT_EQ(request->ahead, sums);
    device.finish(*request);
  }
  EXPECT_FALSE(device.take_training().has_value()) << "two, and no more";
  device.fail_to_connect();
  EXPECT_FALSE(device.take_training().has_value());
  EXPECT_EQ(waiting(device), (Sequences{1, 2, 3}));
  device.link_up();
  for (const uint64_t sequence : {uint64_t{1}, uint64_t{2}, uint64_t{3}}) device.acknowledge(sequence);
  EXPECT_EQ(device.offered(), (Sequences{1, 2, 3}));
}

TEST(Queue, ALinkThatCannotBeMadeAgainLetsItTrainFurther) {
  Played device(false);
  device.also_ = buffered(3, 1);
  device.finish(device.plan_round(1));
  device.link_down();
  EXPECT_FALSE(device.take_training().has_value()) << "a short cut is no reason";
  device.fail_to_connect();
  const auto further = device.take_training();
  ASSERT_TRUE(further.has_value());
  EXPECT_EQ(further->sequence, 2U);
  device.link_up();
  device.acknowledge(1);
  device.finish(*further);
  EXPECT_EQ(device.offered(), (Sequences{1, 1, 2})) << "the first once more, for the link broke";
}

TEST(Queue, AfterARebootWhatWasStoredIsNotTrainedAgain) {
  Played device(false);
  device.also_ = buffered(3, 2);
  const StartTraining first = device.plan_round(1);
  device.link_down();
  device.finish(first);
  device.finish(*device.take_training());
  device.boot();
  device.link_up();
  device.say_plan(1);
  EXPECT_FALSE(device.take_training().has_value());
  EXPECT_EQ(device.outbox().newest().made, 2U);
  EXPECT_EQ(waiting(device), (Sequences{1, 2}));
}

TEST(Queue, ANewerPlanEndsFurtherTraining) {
  Played device(false);
  device.also_ = buffered(0, 2);
  const StartTraining first = device.plan_round(1);
  device.link_down();
  device.finish(first);
  ASSERT_TRUE(device.take_training().has_value());
  device.link_up();
  device.say_plan(2, 2);
  device.link_down();
  device.fail_to_connect();
  EXPECT_FALSE(device.take_training().has_value());
}

// --- a queue that is full ---

constexpr size_t kSmallFlash = 24 * 1024;

TEST(QueueFull, WhatWasNeverOfferedIsFoldedIntoTheNext) {
  Played device(true, false, {}, kSmallFlash);
  device.also_ = late_updates(100);
  std::vector<double> trained(device.task().layout.parameter_count);
  std::vector<double> kept(trained.size());
  for (uint32_t round = 1; round <= 40; ++round) {
    const StartTraining request = device.plan_round(round);
    plan::RoundPlan exact = request.plan;
    exact.codec = {};
    exact.codec.codec = plan::CodecId::kFp32;
    device.task().add_to(device.task().train(exact, {}), trained);
    device.finish(request);
  }
  const Sequences left = waiting(device);
  EXPECT_LT(left.size(), 38U);
  EXPECT_GT(left.size(), 3U);
  EXPECT_EQ(left[0], 1U) << "the oldest was offered: it may count already";
  EXPECT_GT(left[1], 2U);
  EXPECT_EQ(left.back(), 40U);
  EXPECT_GE(device.notices(Notice::Kind::kQueue).size(), 1U);
  // Nothing is lost: what waits and the residual are together what was trained.
  for (const OutboxEntry& entry : device.outbox().entries()) {
    TrainedUpdate each;
    each.message.resize(entry.total_bytes);
    ASSERT_TRUE(device.outbox().read(entry, 0, each.message).ok());
    device.task().add_to(each, kept);
  }
  const auto residual = device.outbox().residual(1);
  ASSERT_TRUE(residual.ok());
  double gap = 0.0;
  double size = 0.0;
  for (size_t i = 0; i < kept.size(); ++i) {
    gap += std::pow(trained[i] - kept[i] - double{(*residual)[i]}, 2);
    size += trained[i] * trained[i];
  }
  EXPECT_LT(gap, 1e-8 * size);
}

TEST(QueueFull, WithoutErrorFeedbackItIsDroppedAndSaid) {
  Played device(false, false, {}, kSmallFlash);
  device.also_ = late_updates(100);
  train_rounds(device, 1, 60);
  const Sequences left = waiting(device);
  EXPECT_LT(left.size(), 60U);
  EXPECT_EQ(left[0], 1U);
  EXPECT_EQ(left.back(), 60U);
  const auto texts = device.notices(Notice::Kind::kQueue);
  ASSERT_FALSE(texts.empty());
  EXPECT_NE(texts[0].find("update 2 of round 2 is dropped: the queue is full"), std::string::npos) << texts[0];
}

TEST(QueueFull, OrNothingIsTrainedBeforeThereIsRoom) {
  DeviceOptions options;
  options.queue_full = QueueFull::kStop;
  Played device(true, false, options, kSmallFlash);
  device.also_ = late_updates(100);
  uint32_t round = 1;
  for (; round <= 60; ++round) {
    device.say_plan(round);
    if (round == 1) device.say(wire::ModelChunk{1, 0, device.task().model.size(), device.task().model});
    const auto request = device.take_training();
    if (!request.has_value()) break;
    device.finish(*request);
  }
  ASSERT_LT(round, 60U);
  const Sequences left = waiting(device);
  EXPECT_EQ(left.size(), round - 1) << "none had to give way";
  EXPECT_NE(device.engine().state(), DeviceState::kTraining);
  device.acknowledge(1);
  EXPECT_TRUE(device.take_training().has_value()) << "there is room now";
}

// --- age ---

TEST(QueueAge, WhatWaitedTooLongIsDroppedOldestFirst) {
  DeviceOptions options;
  options.queue_age_max = seconds(1000);
  Played device(false, false, options);
  device.also_ = late_updates(100);
  device.finish(device.plan_round(1));
  device.advance(seconds(600));
  device.finish(device.plan_round(2));
  device.link_down();
  device.advance(seconds(399));
  device.engine().handle_timeout(device.now());
  EXPECT_EQ(waiting(device), (Sequences{1, 2}));
  device.advance(seconds(2));
  device.engine().handle_timeout(device.now());
  EXPECT_EQ(waiting(device), (Sequences{2}));
  const auto texts = device.notices(Notice::Kind::kQueue);
  ASSERT_EQ(texts.size(), 1U);
  EXPECT_NE(texts[0].find("it waited too long"), std::string::npos) << texts[0];
}

TEST(QueueAge, AWrongClockAtOneStartThrowsNothingAway) {
  DeviceOptions options;
  options.queue_age_max = seconds(1000);
  Played device(false, false, options);
  device.also_ = late_updates(100);
  device.engine().handle_wall_clock(device.now(), 1'700'000'000);
  train_rounds(device, 1, 2);
  device.boot();
  device.engine().handle_wall_clock(device.now(), 1'900'000'000);
  EXPECT_EQ(waiting(device), (Sequences{1, 2}));
  EXPECT_EQ(device.outbox().front()->age_s, 500U) << "half of what it may wait, at most";
  device.advance(seconds(501));
  device.engine().handle_timeout(device.now());
  EXPECT_TRUE(waiting(device).empty());
}

}  // namespace
}  // namespace runnel::device
