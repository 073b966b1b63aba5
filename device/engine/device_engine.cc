#include "device/engine/device_engine.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <utility>

namespace runnel::device {
namespace {

constexpr size_t kNoticesMax = 64;
// The session began in the middle of something at the other side: give it this long before offering again.
constexpr Duration kOfferRetryMin = seconds(1);

using Kind = Notice::Kind;

}  // namespace

DeviceEngine::DeviceEngine(const DeviceOptions& options, Outbox& outbox, Rng rng, Instant now, ModelKeeper* keeper)
    : options_(options),
      outbox_(outbox),
      rng_(rng),
      model_(options.model_window_bytes, options.model_bytes_max, keeper) {
  // An update left over from before a restart may be partly at the coordinator already.
  if (outbox_.pending()) upload_resumes_ = true;
  if (const Failure none = model_.restore(); !none.ok() && none.error() != Error::kNotFound)
    notice(Kind::kStorage, "no model is held from before: %s", none.text());
  if (!outbox_.state().empty() && !rate_.restore(outbox_.state()))
    notice(Kind::kStorage, "what was known of the link and of the bytes spent cannot be read: measuring anew");
  timers_.set(Timer::kReconnect, now);
}

// --- the link ---

void DeviceEngine::handle_session_up(Instant now) {
  if (finished_ || refused_) return;
  link_ = Link::kGreeting;
  timers_.stop(Timer::kConnect);
  timers_.stop(Timer::kReconnect);
  hello_wanted_ = true;
  upload_ = Upload::kIdle;
  expect_reply(now);
}

void DeviceEngine::handle_link_down(Instant now, const char* why) {
  if (finished_ || refused_) return;
  if (link_ == Link::kUp) failed_attempts_ = 0;
  rate_.goodput().handle_lost(now, upload_ == Upload::kStreaming || upload_ == Upload::kWaitAck);
  rate_.handle_link_down();
  hello_sent_at_ = kNever;
  link_ = Link::kDown;
  hello_wanted_ = ping_wanted_ = connect_wanted_ = false;
  pong_wanted_.reset();
  upload_ = Upload::kIdle;
  timers_.stop(Timer::kConnect);
  timers_.stop(Timer::kReply);
  timers_.stop(Timer::kPing);
  timers_.stop(Timer::kOffer);

  // Doubling pauses, each drawn from its upper half: devices that lost the same coordinator do not return together.
  Duration pause = options_.reconnect_after_min;
  for (uint32_t i = 0; i < failed_attempts_ && pause < options_.reconnect_after_max; ++i) pause *= 2;
  pause = std::min(pause, options_.reconnect_after_max);
  const auto jittered =
      pause / 2 + Duration(static_cast<int64_t>(rng_.below(static_cast<uint64_t>(pause.count()) / 2 + 1)));
  ++failed_attempts_;
  timers_.set(Timer::kReconnect, now + jittered);
  notice(Kind::kLink, "link down (%s), next attempt in %lld ms", why, static_cast<long long>(to_ms(jittered)));
}

void DeviceEngine::drop_link(Instant now, const char* why) {
  disconnect_wanted_ = true;
  handle_link_down(now, why);
}

void DeviceEngine::heard(Instant now) {
  if (owed_anything()) {
    expect_reply(now);
  } else {
    timers_.stop(Timer::kReply);
  }
  if (ping_after_ > Duration::zero()) timers_.set(Timer::kPing, now + ping_after_);
}

bool DeviceEngine::owed_anything() const {
  return link_ == Link::kGreeting || upload_ == Upload::kWaitAck ||
         (upload_ == Upload::kStreaming && upload_acked_bytes_ <= upload_sent_bytes_) ||
         (plan_.has_value() && training_ == Training::kIdle && model_.awaits_chunk());
}

void DeviceEngine::handle_timeout(Instant now) {
  if (timers_.take_expired(Timer::kReconnect, now)) {
    link_ = Link::kConnecting;
    connect_wanted_ = true;
    timers_.set(Timer::kConnect, now + options_.connect_timeout);
  }
  if (timers_.take_expired(Timer::kConnect, now)) drop_link(now, "no secure session in time");
  if (timers_.take_expired(Timer::kReply, now)) drop_link(now, "no answer in time");
  if (timers_.take_expired(Timer::kPing, now) && link_ == Link::kUp) {
    ping_wanted_ = true;
    expect_reply(now);
  }
  if (timers_.take_expired(Timer::kStore, now)) store_update(now);
  if (timers_.take_expired(Timer::kOffer, now)) begin_upload();
}

// --- frames in ---

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
  chunk_bytes_ = welcome.chunk_bytes_max;
  window_bytes_ = welcome.window_bytes;
  offer_bytes_max_ = std::min<uint32_t>(welcome.offer_bytes_max, wire::kChunkBytesMax);
  ping_after_ = milliseconds(welcome.ping_after_ms);
  last_sequence_there_ = welcome.last_sequence;
  // What was asked for on an earlier link will not come any more.
  model_.handle_link_up();
  begin_upload();
  begin_plan(now);
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
  const bool trained = outbox_.has_trained(plan.run, plan.round);
  const bool kept = trained && outbox_.newest()->kept && outbox_.newest()->round == plan.round;
  if (trained && !kept) {
    if (outbox_.pending() && outbox_.newest()->round == plan.round) rate_.handle_deadline(now, plan);
    return;  // its update is made already: uploaded, or on its way
  }
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
      begin_plan(now);
      break;
  }
}

void DeviceEngine::on(Instant now, const wire::UpdateAck& ack) {
  if (link_ != Link::kUp || !outbox_.pending() || ack.sequence != outbox_.newest()->sequence) return;
  if (ack.state == wire::UpdateState::kDurable) {
    ++updates_acknowledged_;
    last_sequence_there_ = std::max(last_sequence_there_, ack.sequence);
    const uint64_t total = outbox_.newest()->total_bytes;
    rate_.goodput().handle_acknowledged(now, total - std::min(total, upload_acked_bytes_), true);
    notice(Kind::kUpdateDurable, "update %llu of round %u is durable at the coordinator",
           static_cast<unsigned long long>(ack.sequence), outbox_.newest()->round);
    settle_update(now, Fate::kTaken);
    return;
  }
  if (ack.received_bytes > outbox_.newest()->total_bytes) {
    notice(Kind::kBadFrame, "a frame from the coordinator was dropped: UpdateAck of %llu bytes, the update has %llu",
           static_cast<unsigned long long>(ack.received_bytes),
           static_cast<unsigned long long>(outbox_.newest()->total_bytes));
    return;
  }
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
    if (refusal.reason == wire::Reason::kUnknownModel && plan_.has_value()) {
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
  if (!outbox_.pending() || refusal.sequence != outbox_.newest()->sequence) return;
  if (refusal.retry_after_ms != 0) {
    upload_ = Upload::kIdle;
    upload_resumes_ = true;
    timers_.set(Timer::kOffer, now + std::max<Duration>(kOfferRetryMin, milliseconds(refusal.retry_after_ms)));
    return;
  }
  notice(Kind::kUpdateRefused, "update %llu of round %u was refused: %s: %.*s",
         static_cast<unsigned long long>(refusal.sequence), outbox_.newest()->round, wire::reason_name(refusal.reason),
         static_cast<int>(detail.size()), detail.data());
  settle_update(now, refusal.reason == wire::Reason::kRoundClosed ? Fate::kLate : Fate::kRefused);
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
  } else {
    drop_link(now, "the coordinator said goodbye");
  }
}

// The run is over; but an update whose fate we do not know yet is still asked about.
void DeviceEngine::finish_if_settled() {
  if (!run_over_ || outbox_.pending()) return;
  finished_ = true;
  disconnect_wanted_ = true;
  timers_ = {};
}

// --- training and the outbox ---

void DeviceEngine::stop_training() {
  if (training_ == Training::kRunning) stop_training_wanted_ = true;
  training_ = Training::kIdle;
  unsaved_update_.reset();
  timers_.stop(Timer::kStore);
}

void DeviceEngine::handle_training_done(Instant now, uint64_t sequence, TrainedUpdate update) {
  if (training_ != Training::kRunning || sequence != training_sequence_) return;
  training_ = Training::kIdle;
  unsaved_update_ = std::move(update);
  store_update(now);
}

void DeviceEngine::handle_training_failed(Instant, const Failure& why) {
  if (training_ != Training::kRunning) return;
  training_ = Training::kIdle;
  notice(Kind::kPlan, "round %u cannot be trained here: %s", plan_->plan.round, why.text());
  plan_.reset();
}

void DeviceEngine::store_update(Instant now) {
  if (!unsaved_update_.has_value() || !plan_.has_value()) return;
  const plan::RoundPlan& plan = plan_->plan;
  const TrainedUpdate& update = *unsaved_update_;
  const bool replaces = outbox_.pending();
  const uint32_t replaced_round = replaces ? outbox_.newest()->round : 0;
  UploadRate after = rate_;
  after.handle_update(plan, update.decision, update.message.size(), update.payload_bytes, update.coordinates, now);
  if (const Failure bad = outbox_.store(plan.run, plan.round, training_sequence_, update.message, update.residual,
                                        after.state(), carries(plan));
      !bad.ok()) {
    // Kept in memory and tried again: a full disk costs nothing as long as the power holds.
    notice(Kind::kStorage, "the update of round %u could not be stored (%s), trying again in %lld ms", plan.round,
           bad.text(), static_cast<long long>(to_ms(options_.store_retry_after)));
    timers_.set(Timer::kStore, now + options_.store_retry_after);
    return;
  }
  rate_ = after;
  const bool kept = update.message.empty();
  if (kept) {
    notice(Kind::kUpdateKept,
           "update %llu of round %u is kept: %.0f bytes at the coarsest, the link carries %.0f in time",
           static_cast<unsigned long long>(training_sequence_), plan.round, update.decision.predicted_bytes,
           update.decision.link_bytes);
    report_ = rate_.handle_outcome(now, UploadOutcome::kKept, true);
  } else {
    notice(Kind::kUpdateStored, "update %llu of round %u stored, %zu bytes",
           static_cast<unsigned long long>(training_sequence_), plan.round, update.message.size());
  }
  if (replaces)
    notice(Kind::kUpdateRefused, "the update of round %u was replaced before the coordinator had it", replaced_round);
  unsaved_update_.reset();
  plan_.reset();
  upload_ = Upload::kIdle;
  upload_resumes_ = false;
  upload_high_bytes_ = 0;
  begin_upload();
  if (link_ == Link::kUp && !kept) expect_reply(now);
}

// Its time is over: what was on its way says how slow the link is.
void DeviceEngine::give_up_upload(Instant now) {
  if (upload_ != Upload::kStreaming) return;
  rate_.handle_given_up(now, upload_sent_bytes_ - std::min(upload_sent_bytes_, upload_acked_bytes_));
}

// Its fate is known. One that is refused for good belongs into the next update if the plan said so.
void DeviceEngine::settle_update(Instant now, Fate fate) {
  if (fate == Fate::kLate) give_up_upload(now);
  upload_ = Upload::kIdle;
  upload_resumes_ = false;
  upload_high_bytes_ = 0;
  const bool keep = fate != Fate::kTaken && outbox_.newest()->carries;
  if (keep) {
    notice(Kind::kUpdateRefused, "update %llu is kept: the next one makes up for it",
           static_cast<unsigned long long>(outbox_.newest()->sequence));
  }
  report_ = rate_.handle_outcome(now,
                                 fate == Fate::kTaken  ? UploadOutcome::kInTime
                                 : fate == Fate::kLate ? UploadOutcome::kLate
                                                       : UploadOutcome::kRefused,
                                 keep);
  if (const Failure bad = keep ? outbox_.give_back(rate_.state()) : outbox_.settle(rate_.state()); !bad.ok()) {
    // Still marked as pending on disk. Offering it again is harmless: the coordinator knows that it has it.
    notice(Kind::kStorage, "the outbox could not be cleared: %s", bad.text());
    timers_.set(Timer::kOffer, now + options_.store_retry_after);
    upload_resumes_ = true;
  }
  finish_if_settled();
}

void DeviceEngine::begin_upload() {
  if (link_ != Link::kUp || !outbox_.pending() || upload_ != Upload::kIdle) return;
  upload_ = Upload::kOffer;
  upload_sent_bytes_ = upload_acked_bytes_ = 0;
}

// --- outputs ---

std::optional<Action> DeviceEngine::send(const wire::Message& message) {
  return Action(SendFrame{builder_.build(message)});
}

std::optional<Action> DeviceEngine::poll_action(Instant now) {
  if (stop_training_wanted_) {
    stop_training_wanted_ = false;
    return Action(StopTraining{});
  }
  if (disconnect_wanted_) {
    disconnect_wanted_ = false;
    return Action(Disconnect{});
  }
  if (connect_wanted_) {
    connect_wanted_ = false;
    return Action(Connect{});
  }
  if (training_ == Training::kAsked) {
    training_ = Training::kRunning;
    return Action(training_request(now));
  }
  return poll_frame(now);
}

StartTraining DeviceEngine::training_request(Instant now) {
  rate_.handle_training_started(now);
  StartTraining request{plan_->plan, training_sequence_, model_.held(), {}, retry_, rate_.history()};
  if (outbox_.pending() && outbox_.newest()->carries) {
    // Its round is over, for a new one is planned: unless it counted, it would be refused. Its content goes into the
    // next update instead, and so it must not be offered any more.
    give_up_upload(now);
    upload_ = Upload::kIdle;
    upload_resumes_ = false;
    upload_high_bytes_ = 0;
    if (outbox_.newest()->sequence <= last_sequence_there_) {
      // It counted, and the disk would not take note of it: what the next update makes up for is its residual alone.
      static_cast<void>(outbox_.settle(rate_.state()).ok());
    } else {
      report_ = rate_.handle_outcome(now, UploadOutcome::kLate, true);
      if (const Failure bad = outbox_.give_back(rate_.state()); !bad.ok())
        notice(Kind::kStorage, "the update of round %u is lost: %s", outbox_.newest()->round, bad.text());
    }
  }
  Result<Carried> carried = outbox_.carried(plan_->plan.run);
  if (carried) {
    request.carried = std::move(carried).value();
  } else {
    notice(Kind::kStorage, "what earlier updates lost cannot be read, and is lost: %s", carried.failure().text());
  }
  return request;
}

// The next bytes of the update into chunk_; false, and the upload waits, if the disk does not give them.
bool DeviceEngine::read_chunk(Instant now, uint64_t bytes) {
  const Failure bad = outbox_.read(upload_sent_bytes_, MutableByteView(chunk_.data(), static_cast<size_t>(bytes)));
  if (bad.ok()) return true;
  notice(Kind::kStorage, "update %llu cannot be read back: %s",
         static_cast<unsigned long long>(outbox_.newest()->sequence), bad.text());
  upload_ = Upload::kIdle;
  timers_.set(Timer::kOffer, now + options_.store_retry_after);
  return false;
}

// Counts what read_chunk() gave as sent.
ByteView DeviceEngine::sent_chunk(Instant now, uint64_t bytes) {
  const uint64_t offset = upload_sent_bytes_;
  upload_sent_bytes_ += bytes;
  if (upload_high_bytes_ > offset) bytes_resent_ += std::min(upload_high_bytes_ - offset, bytes);
  upload_high_bytes_ = std::max(upload_high_bytes_, upload_sent_bytes_);
  rate_.goodput().handle_sent(now);
  return {chunk_.data(), static_cast<size_t>(bytes)};
}

std::optional<Action> DeviceEngine::poll_frame(Instant now) {
  if (hello_wanted_) {
    hello_wanted_ = false;
    wire::Hello hello;
    hello.device = options_.name.view();
    hello.software = options_.software.view();
    for (uint8_t codec = 0; codec < plan::kCodecCount; ++codec) {
      RUNNEL_ASSERT(hello.codecs.push_back(codec));
    }
    if (model_.holds_any()) {
      hello.held_run = model_.held_run();
      hello.held_model_version = model_.held_version();
    }
    hello_sent_at_ = now;
    return send(hello);
  }
  if (link_ != Link::kUp) return std::nullopt;
  if (pong_wanted_.has_value()) {
    const wire::Pong pong{*pong_wanted_};
    pong_wanted_.reset();
    return send(pong);
  }
  if (ping_wanted_) {
    ping_wanted_ = false;
    return send(wire::Ping{static_cast<uint64_t>(now.time_since_epoch().count())});
  }
  if (upload_ == Upload::kOffer) {
    const OutboxEntry& entry = *outbox_.newest();
    // A first transfer needs no answer before its first bytes; one that may be partly there asks how far it got.
    wire::UpdateOffer offer{entry.run, entry.sequence, entry.round, entry.total_bytes, entry.checksum, {}};
    const bool whole = !upload_resumes_ && entry.total_bytes <= offer_bytes_max_;
    if (whole && !read_chunk(now, entry.total_bytes)) return std::nullopt;
    upload_ = upload_resumes_ ? Upload::kWaitAck : Upload::kStreaming;
    upload_resumes_ = true;
    expect_reply(now);
    if (whole) offer.payload = sent_chunk(now, entry.total_bytes);
    return send(offer);
  }
  if (upload_ == Upload::kStreaming) {
    const uint64_t total = outbox_.newest()->total_bytes;
    const uint64_t in_flight = upload_sent_bytes_ - std::min(upload_sent_bytes_, upload_acked_bytes_);
    const uint64_t bytes = std::min<uint64_t>(chunk_bytes_, total - upload_sent_bytes_);
    if (bytes > 0 && in_flight + bytes <= window_bytes_) {
      const uint64_t offset = upload_sent_bytes_;
      if (!read_chunk(now, bytes)) return std::nullopt;
      return send(wire::UpdateChunk{outbox_.newest()->sequence, offset, sent_chunk(now, bytes)});
    }
  }
  if (plan_.has_value() && training_ == Training::kIdle && !unsaved_update_.has_value()) {
    if (const std::optional<wire::ModelRequest> request = model_.poll_request(); request.has_value()) {
      expect_reply(now);
      return send(*request);
    }
  }
  return std::nullopt;
}

std::optional<RateReport> DeviceEngine::poll_rate_report() {
  return std::exchange(report_, std::nullopt);
}

std::optional<Notice> DeviceEngine::poll_notice() {
  if (notices_.empty()) return std::nullopt;
  Notice first = std::move(notices_.front());
  notices_.erase(notices_.begin());
  return first;
}

DeviceState DeviceEngine::state() const {
  if (finished_) return DeviceState::kFinished;
  if (refused_) return DeviceState::kRefused;
  if (training_ != Training::kIdle) return DeviceState::kTraining;
  if (link_ == Link::kDown) return DeviceState::kOffline;
  if (link_ == Link::kConnecting) return DeviceState::kConnecting;
  if (link_ == Link::kGreeting) return DeviceState::kGreeting;
  if (outbox_.pending()) return DeviceState::kUploading;
  return plan_.has_value() ? DeviceState::kDownloading : DeviceState::kWaiting;
}

uint32_t DeviceEngine::round() const {
  if (plan_.has_value()) return plan_->plan.round;
  return outbox_.pending() ? outbox_.newest()->round : 0;
}

void DeviceEngine::notice(Notice::Kind kind, const char* format, ...) {
  if (notices_.size() == kNoticesMax) return;
  char text[320];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  notices_.push_back({kind, text});
}

}  // namespace runnel::device
