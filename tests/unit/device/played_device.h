// A device's engine whose coordinator and link are played by the test.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "device/engine/device_engine.h"
#include "tests/unit/device/small_task.h"
#include "tests/unit/journal/faulty_storage.h"

namespace runnel::device {

class Played {
 public:
  explicit Played(bool error_feedback, bool rate_deadline = false, DeviceOptions options = {},
                  size_t flash_bytes = 256 * 1024)
      : error_feedback_(error_feedback), rate_deadline_(rate_deadline), options_(options), flash_(flash_bytes) {
    EXPECT_TRUE(options_.name.assign("d"));
    boot();
    link_up();
  }

  // What every plan says beside what the constructor was told.
  plan::RoundPlan also_;
  // Every frame that the device sent, decoded; their views have died.
  std::vector<wire::Message> sent_;
  uint32_t offer_bytes_max_ = 0;
  uint32_t window_bytes_ = 64 * 1024;
  uint32_t chunk_bytes_max_ = 4096;
  uint64_t run_ = 1;  // as the coordinator greets

  void boot() {
    journal::JournalOptions journal_options;
    journal_options.record_bytes_max = 64 * 1024;
    engine_.reset();
    outbox_.reset();
    journal_.emplace(std::move(journal::Journal::open(flash_, journal_options)).value());
    outbox_.emplace(std::move(Outbox::open(*journal_)).value());
    engine_.emplace(options_, *outbox_, Rng(1), now_);
    training_.reset();
    poll();
  }
  void link_down() {
    engine_->handle_link_down(now_, "a test");
    poll();
  }
  // An attempt at the link that fails.
  void fail_to_connect() {
    advance(seconds(60));
    engine_->handle_timeout(now_);
    poll();
    link_down();
  }
  void link_up(uint64_t last_sequence = 0) {
    engine_->handle_session_up(now_);
    poll();
    wire::Welcome welcome;
    welcome.rounds = 10;
    welcome.run = run_;
    welcome.chunk_bytes_max = chunk_bytes_max_;
    welcome.window_bytes = window_bytes_;
    welcome.offer_bytes_max = offer_bytes_max_;
    welcome.last_sequence = last_sequence;
    say(welcome);
  }
  // What the device wants to train, if anything new.
  std::optional<StartTraining> take_training() { return std::exchange(training_, std::nullopt); }
  void say_plan(uint32_t round, uint64_t version = 1) {
    training_.reset();
    say(plan_message(round, version));
  }
  void acknowledge(uint64_t sequence) { say(wire::UpdateAck{sequence, wire::UpdateState::kDurable, 0}); }
  // The sequences of all offers so far, in order.
  std::vector<uint64_t> offered() const {
    std::vector<uint64_t> sequences;
    for (const wire::Message& message : sent_) {
      if (const auto* offer = std::get_if<wire::UpdateOffer>(&message)) sequences.push_back(offer->sequence);
    }
    return sequences;
  }
  Instant now() const { return now_; }
  const SmallTask& task() const { return task_; }
  std::vector<std::string> notices(Notice::Kind kind) {
    poll();
    std::vector<std::string> texts;
    for (const Notice& notice : notices_) {
      if (notice.kind == kind) texts.push_back(notice.text);
    }
    notices_.clear();
    return texts;
  }

  // Plans a round, gives the model if it is asked for, and returns what the device wants to train.
  StartTraining plan_round(uint32_t round) {
    say_plan(round);
    if (!training_) say(wire::ModelChunk{1, 0, task_.model.size(), task_.model});
    EXPECT_TRUE(training_.has_value());
    return std::exchange(training_, std::nullopt).value_or(StartTraining{});
  }
  void finish(const StartTraining& request) { finish(request, engine_->link_limits(now_)); }
  // The same with an update of so many bytes, of which only the beginning means anything.
  void finish_long(const StartTraining& request, size_t bytes) {
    TrainedUpdate update = task_.train(request.plan, request.carried, engine_->link_limits(now_));
    update.message.resize(bytes);
    engine_->handle_training_done(now_, request.sequence, std::move(update));
    poll();
  }
  void finish(const StartTraining& request, const rate::LinkLimits& limits) {
    engine_->handle_training_done(now_, request.sequence,
                                  task_.train(request.plan, request.carried, limits, request.retry, request.ahead));
    poll();
  }
  // As a coordinator that welcomes it anew says.
  void let_offers_carry(uint32_t bytes) {
    link_down();
    advance(seconds(2));
    engine_->handle_timeout(now_);
    poll();
    offer_bytes_max_ = bytes;
    link_up();
  }
  void advance(Duration time) { now_ += time; }
  void refuse(uint64_t sequence, wire::Reason reason = wire::Reason::kRoundClosed) {
    wire::Refusal refusal;
    refusal.reason = reason;
    refusal.detail = "it cannot be taken";
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
  journal::test::FaultyStorage& flash() { return flash_; }
  DeviceEngine& engine() { return *engine_; }
  uint64_t frames_sent() const { return frames_sent_; }

 private:
  wire::RoundPlan plan_message(uint32_t round, uint64_t version) const {
    wire::RoundPlan message;
    message.plan = task_.plan(round);
    message.plan.model_version = version;
    message.plan.codec.codec = plan::CodecId::kDeadzone;
    message.plan.codec.bits = 0.5F;
    message.plan.codec.error_feedback = error_feedback_;
    message.plan.rate.deadline = rate_deadline_;
    message.plan.time_left = seconds(100);
    message.plan.policy = also_.policy;
    message.plan.staleness_max = also_.staleness_max;
    message.plan.offline_updates = also_.offline_updates;
    message.model_bytes = task_.model.size();
    return message;
  }
  void poll() {
    while (std::optional<Action> action = engine_->poll_action(now_)) {
      if (auto* request = std::get_if<StartTraining>(&*action)) training_ = std::move(*request);
      if (std::holds_alternative<StopTraining>(*action)) training_.reset();
      const auto* frame = std::get_if<SendFrame>(&*action);
      if (frame == nullptr) continue;
      ++frames_sent_;
      const Result<wire::Message> message = wire::decode_frame(frame->bytes);
      ASSERT_TRUE(message.ok()) << message.failure().text();
      sent_.push_back(*message);
    }
    while (auto notice = engine_->poll_notice()) notices_.push_back(std::move(*notice));
  }

  const bool error_feedback_;
  const bool rate_deadline_;
  DeviceOptions options_;
  SmallTask task_;
  Instant now_{};
  journal::test::FaultyStorage flash_;
  std::optional<journal::Journal> journal_;
  std::optional<Outbox> outbox_;
  std::optional<DeviceEngine> engine_;
  wire::FrameBuilder builder_;
  std::optional<StartTraining> training_;
  uint64_t frames_sent_ = 0;
  std::vector<Notice> notices_;
};

}  // namespace runnel::device
