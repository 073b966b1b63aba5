// What the device's engine does with an update that the coordinator does not take, when the plan asks for error
// feedback.
#include <gtest/gtest.h>

#include "device/engine/device_engine.h"
#include "tests/unit/device/small_task.h"
#include "tests/unit/journal/faulty_storage.h"

namespace runnel::device {
namespace {

// A device whose coordinator is played by the test.
class Played {
 public:
  explicit Played(bool error_feedback) : error_feedback_(error_feedback) {
    journal::JournalOptions journal_options;
    journal_options.record_bytes_max = 64 * 1024;
    journal_.emplace(std::move(journal::Journal::open(flash_, journal_options)).value());
    outbox_.emplace(std::move(Outbox::open(*journal_)).value());
    DeviceOptions options;
    EXPECT_TRUE(options.name.assign("d"));
    engine_.emplace(options, *outbox_, Rng(1), now_);
    poll();
    engine_->handle_session_up(now_);
    poll();
    wire::Welcome welcome;
    welcome.rounds = 10;
    welcome.run = 1;
    welcome.chunk_bytes_max = 4096;
    welcome.window_bytes = 64 * 1024;
    say(welcome);
  }

  // Plans a round, gives the model if it is asked for, and returns what the device wants to train.
  StartTraining plan_round(uint32_t round) {
    training_.reset();
    wire::RoundPlan message;
    message.plan = task_.plan(round);
    message.plan.codec.codec = plan::CodecId::kDeadzone;
    message.plan.codec.bits = 0.5F;
    message.plan.codec.error_feedback = error_feedback_;
    message.model_bytes = task_.model.size();
    say(message);
    if (!training_) say(wire::ModelChunk{1, 0, task_.model.size(), task_.model});
    EXPECT_TRUE(training_.has_value());
    return training_.value_or(StartTraining{});
  }
  void finish(const StartTraining& request) {
    engine_->handle_training_done(now_, request.sequence, task_.train(request.plan, request.carried));
    poll();
  }
  void refuse(uint64_t sequence) {
    wire::Refusal refusal;
    refusal.reason = wire::Reason::kRoundClosed;
    refusal.detail = "too late";
    refusal.sequence = sequence;
    say(refusal);
  }
  void say(const wire::Message& message) {
    const ByteView bytes = builder_.build(message);
    const std::vector<uint8_t> copy(bytes.begin(), bytes.end());
    engine_->handle_frame(now_, copy);
    poll();
  }
  Outbox& outbox() { return *outbox_; }

 private:
  void poll() {
    while (std::optional<Action> action = engine_->poll_action(now_)) {
      if (auto* request = std::get_if<StartTraining>(&*action)) training_ = std::move(*request);
    }
  }

  const bool error_feedback_;
  SmallTask task_;
  const Instant now_{};
  journal::test::FaultyStorage flash_{256 * 1024};
  std::optional<journal::Journal> journal_;
  std::optional<Outbox> outbox_;
  std::optional<DeviceEngine> engine_;
  wire::FrameBuilder builder_;
  std::optional<StartTraining> training_;
};

TEST(Residual, ARefusedUpdateIsCarriedIntoTheNext) {
  Played device(true);
  const StartTraining first = device.plan_round(1);
  EXPECT_TRUE(first.carried.residual.empty());
  device.finish(first);
  ASSERT_TRUE(device.outbox().pending());
  device.refuse(first.sequence);
  EXPECT_FALSE(device.outbox().pending());

  const StartTraining second = device.plan_round(2);
  EXPECT_FALSE(second.carried.residual.empty());
  EXPECT_FALSE(second.carried.returned.empty());
  device.finish(second);
  EXPECT_EQ(device.outbox().newest()->sequence, second.sequence);
  EXPECT_FALSE(device.outbox().newest()->given_back);
}

TEST(Residual, AnAcknowledgedUpdateLeavesOnlyItsResidual) {
  Played device(true);
  const StartTraining first = device.plan_round(1);
  device.finish(first);
  device.say(wire::UpdateAck{first.sequence, wire::UpdateState::kDurable, 0});
  const StartTraining second = device.plan_round(2);
  EXPECT_FALSE(second.carried.residual.empty());
  EXPECT_TRUE(second.carried.returned.empty());
}

TEST(Residual, AnUpdateOvertakenByTheNextRoundIsNotOfferedAnyMore) {
  Played device(true);
  const StartTraining first = device.plan_round(1);
  device.finish(first);
  ASSERT_TRUE(device.outbox().pending());
  const StartTraining second = device.plan_round(2);
  EXPECT_FALSE(device.outbox().pending());
  EXPECT_FALSE(second.carried.returned.empty());
}

TEST(Residual, WithoutErrorFeedbackARefusedUpdateIsForgotten) {
  Played device(false);
  const StartTraining first = device.plan_round(1);
  device.finish(first);
  device.refuse(first.sequence);
  const StartTraining second = device.plan_round(2);
  EXPECT_TRUE(second.carried.residual.empty());
  EXPECT_TRUE(second.carried.returned.empty());
}

}  // namespace
}  // namespace runnel::device
