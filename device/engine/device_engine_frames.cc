// What frames from the coordinator change.
#include <algorithm>

#include "device/engine/device_engine.h"

namespace runnel::device {
namespace {

// The session began in the middle of something at the other side: give it this long before offering again.
constexpr Duration kOfferRetryMin = seconds(1);

using Kind = Notice::Kind;

constexpr Duration kComeBackMax = seconds(86400);

}  // namespace

void DeviceEngine::handle_frame(Instant now, ByteView bytes) {
  if (link_ != Link::kGreeting && link_ != Link::kUp) return;
  Result<wire::Message> message = wire::decode_frame(bytes);
  if (!message) {
    notice(Kind::kBadFrame, "a frame from the coordinator was dropped: %s", message.failure().text());
    return;
  }
  std::visit([&](const auto& m) { on(now, m); }, *message);
  if (link_ == Link::kGreeting || link_ == Link::kUp) heard(now);
}

template <typename Unexpected>
void DeviceEngine::on(Instant, const Unexpected& message) {
  notice(Kind::kBadFrame, "a frame from the coordinator was dropped: %s is not for a device",
         wire::message_name(wire::Message(message)));
}

void DeviceEngine::on(Instant now, const wire::Welcome& welcome) {
  if (link_ != Link::kGreeting) {
    notice(Kind::kBadFrame, "a frame from the coordinator was dropped: Welcome without Hello");
    return;
  }
  if (welcome.protocol < wire::kProtocolMin || welcome.protocol > wire::kProtocolMax) {
    refused_ = true;
    last_refusal_ =
        "the coordinator chose protocol " + std::to_string(welcome.protocol) + ", which this build does not speak";
    disconnect_wanted_ = true;
    return;
  }
  if (hello_sent_at_ != kNever) rate_.goodput().handle_round_trip(now - hello_sent_at_);
  link_ = Link::kUp;
  failed_attempts_ = 0;
  rounds_ = welcome.rounds;
  chunk_bytes_ = std::min(welcome.chunk_bytes_max, wire::kOwnChunkBytesMax);
  window_bytes_ = welcome.window_bytes;
  offer_bytes_max_ = std::min<uint32_t>(welcome.offer_bytes_max, wire::kOwnChunkBytesMax);
  ping_after_ = milliseconds(welcome.ping_after_ms);
  last_sequence_there_ = welcome.last_sequence;
  // What was asked for on an earlier link will not come any more.
  model_.handle_link_up();
  while (outbox_.pending() && outbox_.front()->sequence <= last_sequence_there_) {
    const OutboxEntry entry = *outbox_.front();
    const bool newest = entry.sequence == last_sequence_there_;
    if (newest && entry.run != welcome.run) break;
    reset_upload();
    // One below was settled too, or the next would not have been offered; only the disk has not taken note of it.
    if (newest ? settle_counted(now, entry) : outbox_.settle(entry.sequence).ok()) continue;
    upload_resumes_ = true;  // it is asked about until the disk has taken note
    break;
  }
  begin_upload();
  begin_plan(now);
  follow_link_wish(now);
}

void DeviceEngine::on(Instant now, const wire::RoundPlan& message) {
  if (link_ != Link::kUp) {
    notice(Kind::kBadFrame, "a frame from the coordinator was dropped: RoundPlan before Welcome");
    return;
  }
  const plan::RoundPlan& plan = message.plan;
  if (plan_.has_value() && plan_->plan.run == plan.run && plan_->plan.round == plan.round) {
    rate_.handle_deadline(now, plan);  // said again: it may have been extended
    return;
  }
  if (plan_.has_value() && plan_->plan.run == plan.run && plan.round < plan_->plan.round) return;  // overtaken
  const bool trained = outbox_.has_trained(plan.run, plan.round);
  const bool kept = trained && outbox_.newest().kept && outbox_.newest().round == plan.round;
  if (trained && !kept) {
    // Its update is made already: uploaded, or on its way.
    if (outbox_.newest().round != plan.round) return;
    if (!plan_.has_value()) trained_plan_ = message;
    if (outbox_.pending()) rate_.handle_deadline(now, plan);
    return;
  }
  if (goes_on_with_plan(plan)) return;
  if (message.model_bytes > options_.model_bytes_max) {
    notice(Kind::kPlan, "round %u refused: its model of %llu bytes is above this device's limit of %llu", plan.round,
           static_cast<unsigned long long>(message.model_bytes),
           static_cast<unsigned long long>(options_.model_bytes_max));
    return;
  }
  if (training_ != Training::kIdle || unsaved_update_.has_value()) {
    notice(Kind::kPlan, "round %u given up for round %u", plan_.has_value() ? plan_->plan.round : 0, plan.round);
    stop_training();
  }
  plan_ = message;
  trained_plan_.reset();
  retry_ = kept;
  rate_.handle_plan(now, plan);
  notice(Kind::kPlan, "round %u of %u: model version %llu, %s", plan.round, plan.rounds,
         static_cast<unsigned long long>(plan.model_version), plan::codec_name(plan.codec.codec));
  begin_plan(now);
  if (message.delta_from != 0) model_.expect_delta(message.delta_from);
}

bool DeviceEngine::holds_model() const {
  return plan_.has_value() && model_.holds(plan_->plan.run, plan_->plan.model_version);
}

void DeviceEngine::begin_plan(Instant now) {
  if (!plan_.has_value() || training_ != Training::kIdle) return;
  if (holds_model()) {
    if (unsaved_update_.has_value()) return;
    waits_for_room_ = options_.queue_full == QueueFull::kStop && !room_for_another();
    if (waits_for_room_) {
      notice(Kind::kQueue, "round %u waits: the queue is full", plan_->plan.round);
      return;
    }
    if (fate_open(plan_->plan)) {
      upload_ = Upload::kIdle;  // asks again; the answer comes back here
      return begin_upload();
    }
    training_ = Training::kAsked;
    // A device that lost its storage goes on above what it sent in its earlier life.
    training_sequence_ = std::max(outbox_.next_sequence(), last_sequence_there_ + 1);
    return;
  }
  model_.want(plan_->plan.run, plan_->plan.model_version, plan_->model_bytes);
  expect_reply(now);
}

void DeviceEngine::on(Instant now, const wire::ModelChunk& chunk) {
  if (link_ != Link::kUp || !plan_.has_value() || training_ != Training::kIdle) return;
  Failure why = Error::kOk;
  switch (model_.handle_chunk(chunk, why)) {
    case ModelTransfer::Outcome::kIgnored:
    case ModelTransfer::Outcome::kMore:
      break;
    case ModelTransfer::Outcome::kDropped:
      notice(Kind::kBadFrame, "a frame from the coordinator was dropped: ModelChunk: %s", why.text());
      break;
    case ModelTransfer::Outcome::kFallback:
      notice(Kind::kPlan, "the model is fetched in full: %s", why.text());
      expect_reply(now);
      break;
    case ModelTransfer::Outcome::kRefused:
      notice(Kind::kPlan, "round %u refused: %s", plan_->plan.round, why.text());
      plan_.reset();
      break;
    case ModelTransfer::Outcome::kHeld:
      if (const Failure bad = model_.keep(); !bad.ok())
        notice(Kind::kStorage, "the model will be fetched again after a restart: %s", bad.text());
      if (holds_model() && plan_->plan.staleness_max == 0 && rate_.deadline_passed(now)) {
        // Its round is over, and a late update would not count. What is held saves time in the next one.
        notice(Kind::kPlan, "round %u was over before the model was here", plan_->plan.round);
        plan_.reset();
        break;
      }
      begin_plan(now);
      break;
  }
}

void DeviceEngine::on(Instant now, const wire::UpdateAck& ack) {
  if (link_ != Link::kUp || !outbox_.pending() || ack.sequence != outbox_.front()->sequence) return;
  if (ack.state == wire::UpdateState::kDurable) {
    last_sequence_there_ = std::max(last_sequence_there_, ack.sequence);
    const uint64_t total = outbox_.front()->total_bytes;
    rate_.goodput().handle_acknowledged(now, total - std::min(total, upload_acked_bytes_), true);
    say_durable(*outbox_.front());
    settle_update(now, Fate::kTaken);
    return;
  }
  if (ack.received_bytes > outbox_.front()->total_bytes) {
    notice(Kind::kBadFrame, "a frame from the coordinator was dropped: UpdateAck of %llu bytes, the update has %llu",
           static_cast<unsigned long long>(ack.received_bytes),
           static_cast<unsigned long long>(outbox_.front()->total_bytes));
    return;
  }
  expect_answer(now);
  if (upload_ == Upload::kWaitAck) {
    upload_ = Upload::kStreaming;
    upload_sent_bytes_ = ack.received_bytes;
  } else if (ack.received_bytes > upload_acked_bytes_) {
    rate_.goodput().handle_acknowledged(now, ack.received_bytes - upload_acked_bytes_,
                                        ack.received_bytes >= upload_sent_bytes_);
  }
  upload_acked_bytes_ = ack.received_bytes;
}

void DeviceEngine::on(Instant now, const wire::Refusal& refusal) {
  const std::string_view detail = refusal.detail;
  if (refusal.sequence == 0) {
    last_refusal_ = std::string(wire::reason_name(refusal.reason)) + ": " + std::string(detail);
    notice(Kind::kRefusal, "the coordinator refuses: %s", last_refusal_.c_str());
    if (refusal.reason == wire::Reason::kUnknownModel) {
      if (model_.give_up_anchor() || !plan_.has_value() || training_ != Training::kIdle || holds_model()) return;
      model_.stop();
      plan_.reset();  // the round has moved on; a new plan will come
      return;
    }
    if (refusal.retry_after_ms == 0) {
      refused_ = true;
      disconnect_wanted_ = true;
    } else {
      drop_link(now, "refused for now");
      timers_.set(Timer::kReconnect, now + milliseconds(refusal.retry_after_ms));
    }
    return;
  }
  if (!outbox_.pending() || refusal.sequence != outbox_.front()->sequence) return;
  if (refusal.retry_after_ms != 0) {
    upload_ = Upload::kIdle;
    upload_resumes_ = true;
    timers_.stop(Timer::kAnswer);
    timers_.set(Timer::kOffer, now + std::max<Duration>(kOfferRetryMin, milliseconds(refusal.retry_after_ms)));
    return;
  }
  notice(Kind::kUpdateRefused, "update %llu of round %u was refused: %s: %.*s",
         static_cast<unsigned long long>(refusal.sequence), outbox_.front()->round, wire::reason_name(refusal.reason),
         static_cast<int>(detail.size()), detail.data());
  const bool late = refusal.reason == wire::Reason::kRoundClosed || refusal.reason == wire::Reason::kStale;
  const bool unusable = refusal.reason == wire::Reason::kShape || refusal.reason == wire::Reason::kNotFinite ||
                        refusal.reason == wire::Reason::kLimit;
  settle_update(now, late                                          ? Fate::kLate
                     : unusable                                    ? Fate::kUnusable
                     : refusal.reason == wire::Reason::kUnknownRun ? Fate::kUnwanted
                                                                   : Fate::kRefused);
}

void DeviceEngine::on(Instant, const wire::Ping& ping) {
  pong_wanted_ = ping.nonce;
}
void DeviceEngine::on(Instant, const wire::Pong&) {}

void DeviceEngine::on(Instant now, const wire::Bye& bye) {
  if (bye.cause == wire::ByeCause::kFinished) {
    run_over_ = true;
    stop_training();
    plan_.reset();
    finish_if_settled();
  } else if (bye.come_back_ms == 0) {
    drop_link(now, "the coordinator said goodbye");
  } else if (!outbox_.pending()) {
    // Every device is told a time of its own, so that they do not return together.
    drop_link(now, "nothing to do for now");
    resting_ = true;
    timers_.set(Timer::kReconnect, now + std::min<Duration>(milliseconds(bye.come_back_ms), kComeBackMax));
  }
}

// The run is over; but an update whose fate we do not know yet is still asked about.
void DeviceEngine::finish_if_settled() {
  if (!run_over_ || outbox_.pending()) return;
  finished_ = true;
  disconnect_wanted_ = true;
  timers_ = {};
}

}  // namespace runnel::device
