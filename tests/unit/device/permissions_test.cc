// When the device is connected, and when it trains: its condition and the coordinator's wishes together.
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "device/engine/device_engine.h"
#include "device/keep_alive.h"
#include "tests/unit/device/small_task.h"
#include "tests/unit/journal/faulty_storage.h"

namespace runnel::device {
namespace {

// A device whose link comes up as soon as it asks for one, and whose coordinator says what the test wants it to.
class Resting : public ::testing::Test {
 protected:
  Resting() {
    journal::JournalOptions journal_options;
    journal_options.record_bytes_max = 64 * 1024;
    journal_.emplace(std::move(journal::Journal::open(flash_, journal_options)).value());
    outbox_.emplace(std::move(Outbox::open(*journal_)).value());
    DeviceOptions options;
    EXPECT_TRUE(options.name.assign("d"));
    engine_.emplace(options, *outbox_, Rng(1), now_);
    turn();
  }
  // Lets the time pass up to `by`, with everything that comes due on the way.
  void pass(Duration by) {
    const Instant until = now_ + by;
    while (engine_->next_timeout() <= until) {
      now_ = std::max(now_, engine_->next_timeout());
      turn();
    }
    now_ = until;
  }
  void turn() {
    engine_->handle_timeout(now_);
    while (std::optional<Action> action = engine_->poll_action(now_)) {
      if (std::holds_alternative<Connect>(*action)) connect_wanted_ = true;
      if (std::holds_alternative<Disconnect>(*action)) connected_ = false;
      if (auto* request = std::get_if<StartTraining>(&*action)) training_ = std::move(*request);
      if (auto* frame = std::get_if<SendFrame>(&*action)) {
        const std::vector<uint8_t> bytes(frame->bytes.begin(), frame->bytes.end());
        const Result<wire::Message> message = wire::decode_frame(bytes);
        ASSERT_TRUE(message.ok());
        if (const auto* hello = std::get_if<wire::Hello>(&*message)) {
          ++hellos_;
          unavailable_ = hello->unavailable;
          welcome_wanted_ = !welcome_held_;
        }
        if (const auto* offer = std::get_if<wire::UpdateOffer>(&*message)) offered_ = offer->sequence;
      }
    }
    if (std::exchange(connect_wanted_, false)) {
      connected_ = true;
      engine_->handle_session_up(now_);
      turn();
    }
    if (std::exchange(welcome_wanted_, false)) {
      wire::Welcome welcome;
      welcome.rounds = 10;
      welcome.run = 1;
      welcome.chunk_bytes_max = 4096;
      welcome.window_bytes = 64 * 1024;
      say(welcome);
    }
  }
  void say(const wire::Message& message) {
    const ByteView bytes = builder_.build(message);
    const std::vector<uint8_t> copy(bytes.begin(), bytes.end());
    engine_->handle_frame(now_, copy);
    turn();
  }
  void plan_round(uint32_t round) {
    wire::RoundPlan message;
    message.plan = task_.plan(round);
    message.plan.rate.deadline = false;
    message.plan.time_left = seconds(5000);
    message.model_bytes = task_.model.size();
    say(message);
    if (!training_) say(wire::ModelChunk{1, 0, task_.model.size(), task_.model});
  }
  void finish_training() {
    ASSERT_TRUE(training_.has_value());
    engine_->handle_training_done(
        now_, training_->sequence,
        task_.train(training_->plan, training_->carried, engine_->link_limits(now_), training_->retry));
    training_.reset();
    turn();
  }
  void allow(bool training, bool link) {
    engine_->handle_permissions(now_, {training, link});
    turn();
  }

  SmallTask task_;
  Instant now_{};
  journal::test::FaultyStorage flash_{256 * 1024};
  std::optional<journal::Journal> journal_;
  std::optional<Outbox> outbox_;
  std::optional<DeviceEngine> engine_;
  wire::FrameBuilder builder_;
  std::optional<StartTraining> training_;
  bool connect_wanted_ = false;
  bool welcome_wanted_ = false;
  bool welcome_held_ = false;  // the coordinator is silent
  bool connected_ = false;
  bool unavailable_ = false;
  int hellos_ = 0;
  uint64_t offered_ = 0;
};

TEST_F(Resting, IsAwayUntilItIsToldToComeBack) {
  ASSERT_TRUE(connected_);
  say(wire::Bye{wire::ByeCause::kLeaving, 90'000});
  EXPECT_FALSE(connected_);
  pass(seconds(89));
  EXPECT_FALSE(connected_);
  pass(seconds(1));
  EXPECT_TRUE(connected_);
  EXPECT_EQ(hellos_, 2);
}

TEST_F(Resting, AnAbsurdTimeIsCutToADay) {
  say(wire::Bye{wire::ByeCause::kLeaving, 0xFFFFFFFF});
  pass(seconds(86399));
  EXPECT_FALSE(connected_);
  pass(seconds(1));
  EXPECT_TRUE(connected_);
}

TEST_F(Resting, ComesBackEarlyWithAnUpdateThatItTrainedMeanwhile) {
  plan_round(1);
  say(wire::Bye{wire::ByeCause::kLeaving, 3'600'000});
  EXPECT_FALSE(connected_);
  pass(seconds(10));
  finish_training();
  pass(seconds(1));
  EXPECT_TRUE(connected_);
  EXPECT_EQ(offered_, 1U);
}

TEST_F(Resting, WithoutTheLinkTheUpdateWaits) {
  plan_round(1);
  allow(true, false);
  EXPECT_FALSE(connected_);
  finish_training();
  pass(seconds(100'000));
  EXPECT_FALSE(connected_);
  EXPECT_EQ(offered_, 0U);
  allow(true, true);
  EXPECT_TRUE(connected_);
  EXPECT_EQ(offered_, 1U);
}

TEST_F(Resting, ThatMayNotTrainAndHasNothingToSendIsNotConnected) {
  allow(false, true);
  EXPECT_FALSE(connected_);
  pass(seconds(100'000));
  EXPECT_FALSE(connected_);
  allow(true, true);
  EXPECT_TRUE(connected_);
  EXPECT_FALSE(unavailable_);
}

TEST_F(Resting, ThatMayNotTrainDeliversFirstAndSaysSo) {
  plan_round(1);
  finish_training();
  EXPECT_EQ(offered_, 1U);
  allow(false, true);
  EXPECT_TRUE(connected_);
  EXPECT_TRUE(unavailable_);
  say(wire::UpdateAck{1, wire::UpdateState::kDurable, 0});
  EXPECT_FALSE(connected_);
}

TEST_F(Resting, WhatChangesBeforeTheWelcomeIsSaidToo) {
  plan_round(1);
  finish_training();
  engine_->handle_link_down(now_, "a test");
  pass(seconds(0));
  welcome_held_ = true;
  pass(seconds(2));
  ASSERT_EQ(hellos_, 2);
  EXPECT_FALSE(unavailable_);
  allow(false, true);  // the first greeting is still without its answer
  EXPECT_EQ(hellos_, 3);
  EXPECT_TRUE(unavailable_);
  allow(true, true);
  EXPECT_EQ(hellos_, 4);
  EXPECT_FALSE(unavailable_);
}

TEST_F(Resting, APlanWaitsForThePermissionToTrain) {
  plan_round(1);
  finish_training();
  allow(false, true);
  plan_round(2);  // sent before the coordinator knew
  EXPECT_FALSE(training_.has_value());
  EXPECT_FALSE(engine_->may_train());
  allow(true, true);
  EXPECT_TRUE(training_.has_value());
}

TEST(KeepAlive, CostsNothingWithoutSignsOfLifeAndLessTheRarerTheyAre) {
  EXPECT_EQ(keep_alive_bytes_a_day(Duration::zero()), 0U);
  const uint64_t often = keep_alive_bytes_a_day(seconds(300));
  EXPECT_EQ(often, 12 * keep_alive_bytes_a_day(seconds(3600)));
  EXPECT_GT(often, 288U * 2 * (9 + 29 + 40));  // header and record of the channel, TCP and IP
}

}  // namespace
}  // namespace runnel::device
