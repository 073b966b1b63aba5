// An engine with nothing to do, put into a few hundred bytes and brought back.
#include "device/engine/device_engine.h"

namespace runnel::device {

std::optional<DeviceEngine::Idle> DeviceEngine::idle() const {
  const bool resting_link = link_ == Link::kDown || (link_ == Link::kUp && !timers_.is_set(Timer::kReply));
  const bool frames_due = hello_wanted_ || ping_wanted_ || pong_wanted_.has_value() || connect_wanted_ ||
                          disconnect_wanted_ || stop_training_wanted_;
  const bool further_due = trained_plan_.has_value() && trained_plan_->plan.offline_updates != 0;
  if (!resting_link || frames_due || further_due || run_over_ || finished_ || refused_ || plan_.has_value() ||
      training_ != Training::kIdle || unsaved_update_.has_value() || upload_ != Upload::kIdle || waits_for_room_ ||
      !outbox_.entries().empty() || !reports_.empty() || model_.under_way() || model_.awaits_chunk() ||
      timers_.is_set(Timer::kStore) || timers_.is_set(Timer::kOffer) || timers_.is_set(Timer::kAnswer) ||
      timers_.is_set(Timer::kConnect))
    return std::nullopt;
  Idle idle;
  idle.model_version = model_.holds_any() ? model_.held_version() : 0;
  idle.rng = rng_;
  idle.timers = timers_;
  idle.link = link_;
  idle.allowed = allowed_;
  idle.resting = resting_;
  idle.failed_attempts = failed_attempts_;
  idle.rounds = rounds_;
  idle.chunk_bytes = chunk_bytes_;
  idle.window_bytes = window_bytes_;
  idle.offer_bytes_max = offer_bytes_max_;
  idle.ping_after = ping_after_;
  idle.last_sequence_there = last_sequence_there_;
  idle.hello_sent_at = hello_sent_at_;
  if (rate_.goodput().busy() || !rate_.knows_only_goodput() || rate_.history() != rate::RateHistory{}) {
    idle.rate = std::make_shared<const UploadRate>(rate_);
  } else {
    std::array<uint8_t, rate::GoodputEstimator::kStateBytes> state;
    const size_t bytes = rate_.goodput().save_short(state);
    idle.goodput.assign(state.begin(), state.begin() + static_cast<std::ptrdiff_t>(bytes));
  }
  idle.aged_at = aged_at_;
  idle.unix_at = unix_at_;
  idle.unix_s = unix_s_;
  idle.updates_acknowledged = updates_acknowledged_;
  idle.last_acknowledged = last_acknowledged_;
  idle.bytes_resent = bytes_resent_;
  return idle;
}

DeviceEngine::DeviceEngine(const DeviceOptions& options, Outbox& outbox, Instant now, ModelKeeper* keeper,
                           const Idle& idle)
    : DeviceEngine(options, outbox, idle.rng, now, keeper) {
  notices_.clear();
  timers_ = idle.timers;
  link_ = idle.link;
  allowed_ = idle.allowed;
  resting_ = idle.resting;
  failed_attempts_ = idle.failed_attempts;
  rounds_ = idle.rounds;
  chunk_bytes_ = idle.chunk_bytes;
  window_bytes_ = idle.window_bytes;
  offer_bytes_max_ = idle.offer_bytes_max;
  ping_after_ = idle.ping_after;
  last_sequence_there_ = idle.last_sequence_there;
  hello_sent_at_ = idle.hello_sent_at;
  if (idle.rate != nullptr) {
    rate_ = *idle.rate;
  } else {
    rate_ = UploadRate();
    RUNNEL_ASSERT(rate_.goodput().restore_short(idle.goodput).ok());
  }
  aged_at_ = idle.aged_at;
  unix_at_ = idle.unix_at;
  unix_s_ = idle.unix_s;
  updates_acknowledged_ = idle.updates_acknowledged;
  last_acknowledged_ = idle.last_acknowledged;
  bytes_resent_ = idle.bytes_resent;
}

bool DeviceEngine::Idle::take_ping(Instant now, const DeviceOptions& options) {
  TimerTable<Timer> others = timers;
  others.stop(Timer::kPing);
  if (link != Link::kUp || others.next_timeout() <= now || !timers.take_expired(Timer::kPing, now)) return false;
  timers.set(Timer::kReply, now + options.reply_timeout);
  return true;
}

void DeviceEngine::Idle::handle_pong(Instant now) {
  timers.stop(Timer::kReply);
  if (ping_after > Duration::zero()) timers.set(Timer::kPing, now + ping_after);
}

}  // namespace runnel::device
