// A device's engine whose coordinator and link are played by the test.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <utility>
#include <vector>

#include "device/engine/device_engine.h"
#include "tests/unit/device/small_task.h"
#include "tests/unit/journal/faulty_storage.h"

namespace runnel::device {

class Played {
 public:
  explicit Played(bool error_feedback, bool rate_deadline = false)
      : error_feedback_(error_feedback), rate_deadline_(rate_deadline) {
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
    message.plan.rate.deadline = rate_deadline_;
    message.plan.time_left = seconds(100);
    message.model_bytes = task_.model.size();
    say(message);
    if (!training_) say(wire::ModelChunk{1, 0, task_.model.size(), task_.model});
    EXPECT_TRUE(training_.has_value());
    return training_.value_or(StartTraining{});
  }
  void finish(const StartTraining& request) { finish(request, engine_->link_limits(now_)); }
  void finish(const StartTraining& request, const rate::LinkLimits& limits) {
    engine_->handle_training_done(now_, request.sequence,
                                  task_.train(request.plan, request.carried, limits, request.retry, request.ahead));
    poll();
  }
  // As a coordinator that welcomes it anew says.
  void let_offers_carry(uint32_t bytes) {
    engine_->handle_link_down(now_, "a test");
    advance(seconds(2));
    engine_->handle_timeout(now_);
    poll();
    engine_->handle_session_up(now_);
    poll();
    wire::Welcome welcome;
    welcome.rounds = 10;
    welcome.run = 1;
    welcome.chunk_bytes_max = 4096;
    welcome.window_bytes = 64 * 1024;
    welcome.offer_bytes_max = bytes;
    say(welcome);
  }
  void advance(Duration time) { now_ += time; }
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
  DeviceEngine& engine() { return *engine_; }
  uint64_t frames_sent() const { return frames_sent_; }

 private:
  void poll() {
    while (std::optional<Action> action = engine_->poll_action(now_)) {
      if (auto* request = std::get_if<StartTraining>(&*action)) training_ = std::move(*request);
      if (std::holds_alternative<SendFrame>(*action)) ++frames_sent_;
    }
  }

  const bool error_feedback_;
  const bool rate_deadline_;
  SmallTask task_;
  Instant now_{};
  journal::test::FaultyStorage flash_{256 * 1024};
  std::optional<journal::Journal> journal_;
  std::optional<Outbox> outbox_;
  std::optional<DeviceEngine> engine_;
  wire::FrameBuilder builder_;
  std::optional<StartTraining> training_;
  uint64_t frames_sent_ = 0;
};

}  // namespace runnel::device
