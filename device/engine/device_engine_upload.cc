// Training, the outbox, and the way of an update out of it.
#include <algorithm>
#include <utility>

#include "device/engine/device_engine.h"

namespace runnel::device {
namespace {

using Kind = Notice::Kind;

constexpr uint64_t kFurtherPart = 0x46555254;  // of a plan's seed, for each further update on it

}  // namespace

void DeviceEngine::stop_training() {
  if (training_ == Training::kRunning) stop_training_wanted_ = true;
  training_ = Training::kIdle;
  unsaved_update_.reset();
  outbox_.untake();
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
  outbox_.untake();
  plan_.reset();
  trained_plan_.reset();
}

void DeviceEngine::store_update(Instant now) {
  if (!unsaved_update_.has_value() || !plan_.has_value()) return;
  const plan::RoundPlan& plan = plan_->plan;
  follow_ages(now);
  drop_overtaken(now, plan);
  make_room(now);
  const TrainedUpdate& update = *unsaved_update_;
  UploadRate after = rate_;
  after.handle_update(plan, training_sequence_, update.decision, update.message.size(), update.payload_bytes,
                      update.coordinates, now);
  if (const Failure bad = outbox_.store({plan.run, plan.round, plan.model_version, training_sequence_, update.message,
                                         update.residual, after.state(), carries(plan)});
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
    report(rate_.handle_outcome(now, training_sequence_, UploadOutcome::kKept, true));
  } else {
    notice(Kind::kUpdateStored, "update %llu of round %u stored, %zu bytes; %zu in the queue",
           static_cast<unsigned long long>(training_sequence_), plan.round, update.message.size(),
           outbox_.entries().size());
  }
  unsaved_update_.reset();
  trained_plan_ = std::exchange(plan_, std::nullopt);
  follow_ages(now);
  begin_upload();
  follow_link_wish(now);
  if (upload_ == Upload::kOffer) expect_reply(now);
  if (link_ != Link::kUp) consider_further(now);
}

// Its time is over: what was on its way says how slow the link is.
void DeviceEngine::give_up_upload(Instant now) {
  if (upload_ != Upload::kStreaming) return;
  rate_.handle_given_up(now, upload_sent_bytes_ - std::min(upload_sent_bytes_, upload_acked_bytes_));
}

void DeviceEngine::reset_upload() {
  timers_.stop(Timer::kAnswer);
  upload_ = Upload::kIdle;
  upload_resumes_ = false;
  upload_high_bytes_ = 0;
}

// Its fate is known. One that is refused for good belongs into the next update if the plan said so; but not one whose
// numbers nobody can use, for the next would be no better.
void DeviceEngine::settle_update(Instant now, Fate fate) {
  const OutboxEntry entry = *outbox_.front();
  if (fate == Fate::kLate) give_up_upload(now);
  reset_upload();
  follow_ages(now);
  const bool keep = (fate == Fate::kLate || fate == Fate::kRefused) && entry.carries;
  if (keep) {
    notice(Kind::kUpdateRefused, "update %llu is kept: the next one makes up for it",
           static_cast<unsigned long long>(entry.sequence));
  }
  const bool forget = fate == Fate::kUnusable && entry.carries;
  if (forget) {
    notice(Kind::kUpdateRefused, "update %llu is dropped, with all that earlier ones left to make up for",
           static_cast<unsigned long long>(entry.sequence));
  }
  report(rate_.handle_outcome(now, entry.sequence,
                              fate == Fate::kTaken  ? UploadOutcome::kInTime
                              : fate == Fate::kLate ? UploadOutcome::kLate
                                                    : UploadOutcome::kRefused,
                              keep));
  if (const Failure bad = keep     ? outbox_.give_back(entry.sequence, rate_.state())
                          : forget ? outbox_.fold(entry.sequence, {})
                                   : outbox_.settle(entry.sequence, rate_.state());
      !bad.ok()) {
    // Still marked as pending on disk. Offering it again is harmless: the coordinator knows that it has it.
    notice(Kind::kStorage, "the outbox could not be cleared: %s", bad.text());
    timers_.set(Timer::kOffer, now + options_.store_retry_after);
    upload_resumes_ = true;
  } else {
    begin_upload();
    if (holds_model()) begin_plan(now);
  }
  follow_link_wish(now);
  finish_if_settled();
}

void DeviceEngine::begin_upload() {
  if (link_ != Link::kUp || !outbox_.pending() || upload_ != Upload::kIdle) return;
  upload_ = Upload::kOffer;
  upload_sent_bytes_ = upload_acked_bytes_ = 0;
}

bool DeviceEngine::uploading(uint64_t sequence) const {
  return upload_ != Upload::kIdle && outbox_.pending() && outbox_.front()->sequence == sequence;
}

StartTraining DeviceEngine::training_request(Instant now) {
  const plan::RoundPlan& plan = plan_->plan;
  rate_.handle_training_started(now);
  StartTraining request{plan, training_sequence_, model_.held(), {}, {}, retry_, rate_.history()};
  const OutboxHead& newest = outbox_.newest();
  if (newest.run == plan.run && newest.round == plan.round && !newest.kept && newest.made > 0) {
    // A further one goes on from where those that wait have led, with dice of its own.
    request.plan.seed = derive_key(plan.seed, kFurtherPart, newest.made);
    request.ahead = sum_of_waiting(plan);
    rate_.handle_no_deadline();
  }
  give_back_overtaken(now, plan);
  request.carried = take_carried(plan);
  return request;
}

// The next bytes of the update into chunk_; false, and the upload waits, if the disk does not give them.
bool DeviceEngine::read_chunk(Instant now, uint64_t bytes) {
  const Failure bad =
      outbox_.read(*outbox_.front(), upload_sent_bytes_, MutableByteView(chunk_.data(), static_cast<size_t>(bytes)));
  if (bad.ok()) return true;
  notice(Kind::kStorage, "update %llu cannot be read back: %s",
         static_cast<unsigned long long>(outbox_.front()->sequence), bad.text());
  upload_ = Upload::kIdle;
  timers_.set(Timer::kOffer, now + options_.store_retry_after);
  return false;
}

// Counts what read_chunk() gave as sent.
ByteView DeviceEngine::sent_chunk(Instant now, uint64_t bytes) {
  const uint64_t offset = upload_sent_bytes_;
  upload_sent_bytes_ += bytes;
  expect_answer(now);
  if (upload_high_bytes_ > offset) bytes_resent_ += std::min(upload_high_bytes_ - offset, bytes);
  upload_high_bytes_ = std::max(upload_high_bytes_, upload_sent_bytes_);
  rate_.goodput().handle_sent(now);
  return {chunk_.data(), static_cast<size_t>(bytes)};
}

}  // namespace runnel::device
