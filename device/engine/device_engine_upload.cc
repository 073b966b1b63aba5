// Training, the outbox, and the way of an update out of it.
#include <algorithm>
#include <utility>

#include "device/engine/device_engine.h"

namespace runnel::device {
namespace {

using Kind = Notice::Kind;

}  // namespace

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
  follow_link_wish(now);
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
  follow_link_wish(now);
  finish_if_settled();
}

void DeviceEngine::begin_upload() {
  if (link_ != Link::kUp || !outbox_.pending() || upload_ != Upload::kIdle) return;
  upload_ = Upload::kOffer;
  upload_sent_bytes_ = upload_acked_bytes_ = 0;
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

}  // namespace runnel::device
