#include "device/engine/device_engine.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <utility>

#include "runtime/codec/available.h"

namespace runnel::device {
namespace {

constexpr size_t kNoticesMax = 64;

using Kind = Notice::Kind;

}  // namespace

DeviceEngine::DeviceEngine(const DeviceOptions& options, Outbox& outbox, Rng rng, Instant now, ModelKeeper* keeper)
    : options_(options),
      outbox_(outbox),
      rng_(rng),
      model_(options.model_window_bytes, options.model_bytes_max, keeper, options.delta_scratch) {
  // The oldest update left over from before a restart may be partly at the coordinator already; the others cannot be.
  if (outbox_.pending()) upload_resumes_ = true;
  aged_at_ = now;
  follow_ages(now);
  if (outbox_.rotten_count() != 0)
    notice(Kind::kStorage, "%u updates in the outbox have rotten and are lost", outbox_.rotten_count());
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
  const bool attempt_failed = link_ == Link::kConnecting;
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
  timers_.stop(Timer::kAnswer);

  // Doubling pauses, each drawn from its upper half: devices that lost the same coordinator do not return together.
  Duration pause = options_.reconnect_after_min;
  for (uint32_t i = 0; i < failed_attempts_ && pause < options_.reconnect_after_max; ++i) pause *= 2;
  pause = std::min(pause, options_.reconnect_after_max);
  const auto jittered =
      pause / 2 + Duration(static_cast<int64_t>(rng_.below(static_cast<uint64_t>(pause.count()) / 2 + 1)));
  ++failed_attempts_;
  timers_.set(Timer::kReconnect, now + jittered);
  if (!link_wanted()) {
    timers_.stop(Timer::kReconnect);
    notice(Kind::kLink, "link down (%s), and not wanted now", why);
  } else {
    notice(Kind::kLink, "link down (%s), next attempt in %lld ms", why, static_cast<long long>(to_ms(jittered)));
  }
  if (attempt_failed) consider_further(now);
}

// Connected only while that is allowed and of use; back at once when there is something to send.
void DeviceEngine::follow_link_wish(Instant now) {
  if (finished_ || refused_) return;
  if (!link_wanted()) {
    if (link_ != Link::kDown) drop_link(now, "not allowed, or nothing to do");
    timers_.stop(Timer::kReconnect);
    resting_ = false;
  } else if (link_ == Link::kDown && (!timers_.is_set(Timer::kReconnect) || (resting_ && outbox_.pending()))) {
    timers_.set(Timer::kReconnect, now);
    resting_ = false;
  }
}

void DeviceEngine::handle_permissions(Instant now, Permissions permissions) {
  const bool training_changed = permissions.training != allowed_.training;
  allowed_ = permissions;
  follow_link_wish(now);
  // A greeting says whether it is available. One that waits for its answer said how it was before.
  if (training_changed && (link_ == Link::kUp || link_ == Link::kGreeting)) handle_session_up(now);
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
    resting_ = false;
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
  if (timers_.take_expired(Timer::kAnswer, now)) {
    // Other frames came, and this answer did not: it is asked for again.
    upload_ = Upload::kIdle;
    begin_upload();
  }
  if (timers_.take_expired(Timer::kAge, now)) drop_too_old(now);
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
  if (training_ == Training::kAsked && allowed_.training) {
    training_ = Training::kRunning;
    return Action(training_request(now));
  }
  return poll_frame(now);
}

std::optional<Action> DeviceEngine::poll_frame(Instant now) {
  if (hello_wanted_) {
    hello_wanted_ = false;
    wire::Hello hello;
    hello.device = options_.name.view();
    hello.software = options_.software.view();
    hello.unavailable = !allowed_.training;
    for (uint8_t codec = 0; codec < plan::kCodecCount; ++codec) {
      if (codec::is_available(static_cast<plan::CodecId>(codec))) RUNNEL_ASSERT(hello.codecs.push_back(codec));
    }
    if (const uint64_t version = model_.delta_base_version(); version != 0) {
      hello.held_run = model_.held_run();
      hello.held_model_version = version;
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
    const OutboxEntry& entry = *outbox_.front();
    // A first transfer needs no answer before its first bytes; one that may be partly there asks how far it got.
    wire::UpdateOffer offer{entry.run, entry.sequence,     entry.round, entry.total_bytes, entry.checksum,
                            {},        entry.model_version};
    const bool whole = !upload_resumes_ && entry.total_bytes <= offer_bytes_max_;
    if (whole && !read_chunk(now, entry.total_bytes)) return std::nullopt;
    upload_ = upload_resumes_ ? Upload::kWaitAck : Upload::kStreaming;
    upload_resumes_ = true;
    expect_reply(now);
    expect_answer(now);
    if (whole) offer.payload = sent_chunk(now, entry.total_bytes);
    return send(offer);
  }
  if (upload_ == Upload::kStreaming) {
    const uint64_t total = outbox_.front()->total_bytes;
    const uint64_t in_flight = upload_sent_bytes_ - std::min(upload_sent_bytes_, upload_acked_bytes_);
    const uint64_t bytes = std::min<uint64_t>(upload_chunk_bytes(), total - upload_sent_bytes_);
    if (bytes > 0 && in_flight + bytes <= window_bytes_) {
      const uint64_t offset = upload_sent_bytes_;
      if (!read_chunk(now, bytes)) return std::nullopt;
      return send(wire::UpdateChunk{outbox_.front()->sequence, offset, sent_chunk(now, bytes)});
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

// As much as the link carries in a sixteenth of a second, so that a cut costs a thin link little, and within what both
// sides take. Nothing known of the link: short.
uint32_t DeviceEngine::upload_chunk_bytes() const {
  constexpr double kSecondsOfLink = 1.0 / 16.0;
  constexpr double kShort = 4096.0;
  const double carried = rate_.goodput().estimate().bytes_per_second * kSecondsOfLink;
  return std::min(chunk_bytes_, static_cast<uint32_t>(std::clamp(carried, kShort, double{wire::kChunkBytesMax})));
}

std::optional<RateReport> DeviceEngine::poll_rate_report() {
  if (reports_.empty()) return std::nullopt;
  const RateReport first = reports_.front();
  reports_.erase(reports_.begin());
  return first;
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
  return outbox_.pending() ? outbox_.front()->round : 0;
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
