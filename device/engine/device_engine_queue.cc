// Updates that wait in the outbox while others are made: who has to give way, what becomes part of the next one, how
// long they may wait, and further ones without a link.
#include <algorithm>
#include <utility>

#include "device/engine/device_engine.h"

namespace runnel::device {
namespace {

using Kind = Notice::Kind;

unsigned long long number(uint64_t value) {
  return value;
}

// The coordinator would refuse it: its round is over, or its model is too far behind the plan's.
bool overtaken(const OutboxEntry& entry, const plan::RoundPlan& plan) {
  if (entry.run != plan.run) return true;
  if (entry.round >= plan.round) return false;
  return plan.staleness_max == 0 || entry.model_version + plan.staleness_max < plan.model_version;
}

}  // namespace

void DeviceEngine::report(std::optional<RateReport> report) {
  if (report.has_value()) reports_.push_back(*report);
  if (reports_.size() > 2 * kOutboxEntriesMax) reports_.erase(reports_.begin());
}

// A buffered round does not wait for anybody: what is under way on an older version still counts.
bool DeviceEngine::goes_on_with_plan(const plan::RoundPlan& newer) const {
  if (!plan_.has_value() || plan_->plan.run != newer.run || newer.policy != plan::RoundPolicy::kBuffered) return false;
  const uint64_t version = plan_->plan.model_version;
  if (newer.model_version < version || newer.model_version - version > newer.staleness_max) return false;
  return training_ != Training::kIdle || unsaved_update_.has_value() || model_.under_way();
}

// --- what the next update has in it ---

// True while only the coordinator knows whether the oldest update counted before its round was over: it was offered,
// and there was no answer. Whether the next one has to make up for it depends on that.
bool DeviceEngine::fate_open(const plan::RoundPlan& plan) const {
  const OutboxEntry* front = outbox_.front();
  return front != nullptr && upload_resumes_ && front->carries && front->run == plan.run && overtaken(*front, plan) &&
         front->sequence > last_sequence_there_;
}

// Once for each update, however often the coordinator says it.
void DeviceEngine::say_durable(const OutboxEntry& entry) {
  if (entry.sequence <= last_acknowledged_) return;
  ++updates_acknowledged_;
  last_acknowledged_ = entry.sequence;
  notice(Kind::kUpdateDurable, "update %llu of round %u is durable at the coordinator", number(entry.sequence),
         entry.round);
}

// For one that the coordinator has: the answer that said so was lost, or the disk would not take note of it. False if
// it still does not.
bool DeviceEngine::settle_counted(Instant now, const OutboxEntry& entry) {
  say_durable(entry);
  report(rate_.handle_outcome(now, entry.sequence, UploadOutcome::kInTime, false));
  return outbox_.settle(entry.sequence, rate_.state()).ok();
}

// Sends them no more, and lets the next update make up for those whose plan carries. REQUIRES: !fate_open(plan).
void DeviceEngine::give_back_overtaken(Instant now, const plan::RoundPlan& plan) {
  const std::vector<OutboxEntry> entries(outbox_.entries().begin(), outbox_.entries().end());
  for (const OutboxEntry& entry : entries) {
    if (entry.given_back || !entry.carries || !overtaken(entry, plan)) continue;
    const bool was_front = outbox_.front()->sequence == entry.sequence;
    if (was_front) {
      give_up_upload(now);
      reset_upload();
    }
    if (entry.sequence <= last_sequence_there_) {
      // What the next update makes up for is its residual alone.
      static_cast<void>(settle_counted(now, entry));
      continue;
    }
    report(rate_.handle_outcome(now, entry.sequence, UploadOutcome::kLate, true));
    if (const Failure bad = outbox_.give_back(entry.sequence, rate_.state()); !bad.ok())
      notice(Kind::kStorage, "update %llu of round %u could not be taken back: %s", number(entry.sequence), entry.round,
             bad.text());
  }
  begin_upload();
}

// Adds what an entry's message says; `sums` is made as long as the model if it is empty.
Failure DeviceEngine::add_entry(const OutboxEntry& entry, std::vector<float>& sums) {
  const Result<plan::ModelLayout> layout = update_layout_of(model_.held());
  if (!layout) return layout.failure();
  std::vector<uint8_t> message(static_cast<size_t>(entry.total_bytes));
  RUNNEL_TRY(outbox_.read(entry, 0, message));
  if (sums.empty()) sums.resize(layout->parameter_count);
  if (sums.size() != layout->parameter_count) {
    return fail(Error::kShape, "%zu values for a model of %u parameters", sums.size(), layout->parameter_count);
  }
  return add_update(message, *layout, sums);
}

Carried DeviceEngine::take_carried(const plan::RoundPlan& plan) {
  Carried carried;
  outbox_.untake();
  Result<std::vector<float>> residual = outbox_.residual(plan.run);
  if (residual) {
    carried.residual = std::move(residual).value();
  } else {
    notice(Kind::kStorage, "what earlier updates lost cannot be read, and is lost: %s", residual.failure().text());
  }
  for (const OutboxEntry& entry : outbox_.entries()) {
    if (!entry.given_back) continue;
    outbox_.take(entry.sequence);
    if (entry.run != plan.run) continue;
    if (const Failure bad = add_entry(entry, carried.residual); !bad.ok()) {
      notice(Kind::kStorage, "update %llu of round %u cannot be made up for: %s", number(entry.sequence), entry.round,
             bad.text());
      continue;
    }
    carried.returned.push_back(entry.sequence);
  }
  return carried;
}

std::vector<float> DeviceEngine::sum_of_waiting(const plan::RoundPlan& plan) {
  std::vector<float> sums;
  for (const OutboxEntry& entry : outbox_.entries()) {
    if (entry.given_back || entry.run != plan.run || entry.round != plan.round) continue;
    if (const Failure bad = add_entry(entry, sums); !bad.ok())
      notice(Kind::kStorage, "update %llu cannot be built upon: %s", number(entry.sequence), bad.text());
  }
  return sums;
}

// --- room ---

bool DeviceEngine::room_for_another() {
  uint64_t bytes = 0;
  for (const OutboxEntry& entry : outbox_.entries()) bytes = std::max(bytes, entry.total_bytes);
  return outbox_.has_room(bytes, outbox_.newest().residual_count);
}

void DeviceEngine::make_room(Instant now) {
  const TrainedUpdate& update = *unsaved_update_;
  while (!outbox_.has_room(update.message.size(), update.residual.size())) {
    if (!give_way(now)) return;
  }
}

// One entry less in the queue; false if none can go. What has been offered may count already, and stays: the oldest,
// if any of it was sent. Whatever is not to be sent any more goes first, for that loses nothing.
bool DeviceEngine::give_way(Instant now) {
  const std::span<const OutboxEntry> entries = outbox_.entries();
  auto victim = std::find_if(entries.begin(), entries.end(), [](const auto& entry) { return entry.given_back; });
  if (victim == entries.end() && options_.queue_full == QueueFull::kFold) {
    const bool front_untouched = upload_ == Upload::kIdle && !upload_resumes_;
    victim = entries.begin() + (front_untouched || entries.empty() ? 0 : 1);
  }
  if (victim == entries.end()) return false;
  const OutboxEntry entry = *victim;
  if (entry.run == outbox_.newest().run && entry.run == plan_->plan.run && (entry.carries || entry.given_back))
    return fold(now, entry);
  const size_t before = entries.size();
  drop_update(now, entry, "the queue is full");
  return outbox_.entries().size() < before;
}

bool DeviceEngine::fold(Instant now, const OutboxEntry& entry) {
  const auto failed = [&](const Failure& why) {
    notice(Kind::kStorage, "update %llu of round %u cannot be folded: %s", number(entry.sequence), entry.round,
           why.text());
    return false;
  };
  std::vector<float> values;
  if (const Failure bad = add_entry(entry, values); !bad.ok()) return failed(bad);
  Result<std::vector<float>> residual = outbox_.residual(entry.run);
  if (!residual) return failed(residual.failure());
  residual->resize(values.size(), 0.0F);
  for (size_t i = 0; i < values.size(); ++i) (*residual)[i] += values[i];
  if (const Failure bad = outbox_.fold(entry.sequence, *residual); !bad.ok()) return failed(bad);
  if (!entry.taken) {
    // What was trained in the meantime knows nothing of it, and its residual is about to replace this one.
    std::vector<float>& next = unsaved_update_->residual;
    next.resize(values.size(), 0.0F);
    for (size_t i = 0; i < values.size(); ++i) next[i] += values[i];
  }
  if (!entry.given_back) {
    report(rate_.handle_outcome(now, entry.sequence, UploadOutcome::kLate, true));
    notice(Kind::kQueue, "update %llu of round %u is folded into the next one: the queue is full",
           number(entry.sequence), entry.round);
  }
  return true;
}

void DeviceEngine::drop_update(Instant now, const OutboxEntry& entry, const char* why) {
  if (!entry.given_back && outbox_.front()->sequence == entry.sequence) reset_upload();
  if (const Failure bad = outbox_.settle(entry.sequence); !bad.ok()) {
    notice(Kind::kStorage, "update %llu could not be dropped: %s", number(entry.sequence), bad.text());
    return;
  }
  report(rate_.handle_outcome(now, entry.sequence, UploadOutcome::kLate, false));
  notice(Kind::kQueue, "update %llu of round %u is dropped: %s", number(entry.sequence), entry.round, why);
}

// What would be refused and is not carried makes room for the newer one; so does what counts already.
void DeviceEngine::drop_overtaken(Instant now, const plan::RoundPlan& plan) {
  const std::vector<OutboxEntry> entries(outbox_.entries().begin(), outbox_.entries().end());
  for (const OutboxEntry& entry : entries) {
    if (entry.given_back) continue;
    if (entry.sequence <= last_sequence_there_) {
      if (outbox_.front()->sequence == entry.sequence) reset_upload();
      static_cast<void>(settle_counted(now, entry));
    } else if (!entry.carries && overtaken(entry, plan)) {
      drop_update(now, entry, "replaced before the coordinator had it");
    }
  }
}

// --- age ---

void DeviceEngine::handle_wall_clock(Instant now, uint64_t unix_s) {
  unix_s_ = unix_s;
  unix_at_ = now;
  drop_too_old(now);
}

void DeviceEngine::follow_ages(Instant now) {
  const int64_t passed_s = to_ms(now - aged_at_) / 1000;
  aged_at_ += seconds(passed_s);
  const int64_t max_s = to_ms(options_.queue_age_max) / 1000;
  const uint64_t unix_s = unix_s_ == 0 ? 0 : unix_s_ + static_cast<uint64_t>(to_ms(now - unix_at_) / 1000);
  // A clock that is wrong at one start must not lose everything.
  outbox_.handle_time(static_cast<uint32_t>(passed_s), unix_s, static_cast<uint32_t>(max_s / 2));
  timers_.stop(Timer::kAge);
  for (const OutboxEntry& entry : outbox_.entries()) {
    if (entry.given_back) continue;
    timers_.set(Timer::kAge, now + seconds(std::max<int64_t>(1, max_s - entry.age_s)));
    return;  // the others are younger
  }
}

void DeviceEngine::drop_too_old(Instant now) {
  follow_ages(now);
  const int64_t max_s = to_ms(options_.queue_age_max) / 1000;
  const std::vector<OutboxEntry> entries(outbox_.entries().begin(), outbox_.entries().end());
  for (const OutboxEntry& entry : entries) {
    // One that is on its way is let through.
    if (!entry.given_back && entry.age_s >= max_s && !uploading(entry.sequence))
      drop_update(now, entry, "it waited too long");
  }
  follow_ages(now);
  if (waits_for_room_) begin_plan(now);
  follow_link_wish(now);
  finish_if_settled();
}

// --- further updates without a link ---

void DeviceEngine::consider_further(Instant now) {
  if (!trained_plan_.has_value() || plan_.has_value() || training_ != Training::kIdle || run_over_ || finished_ ||
      refused_ || link_ == Link::kUp)
    return;
  if (options_.plain_updates_only) return;
  const plan::RoundPlan& plan = trained_plan_->plan;
  const OutboxHead& newest = outbox_.newest();
  if (newest.run != plan.run || newest.round != plan.round || newest.kept || newest.made > plan.offline_updates) return;
  const bool waits = std::any_of(outbox_.entries().begin(), outbox_.entries().end(), [&](const OutboxEntry& entry) {
    return !entry.given_back && entry.run == plan.run && entry.round == plan.round;
  });
  // Further ones push none out of the queue.
  if (!waits || !model_.holds(plan.run, plan.model_version) || !room_for_another()) return;
  notice(Kind::kPlan, "no link: round %u is trained further, %u of %u", plan.round, newest.made, plan.offline_updates);
  plan_ = std::exchange(trained_plan_, std::nullopt);
  retry_ = false;
  begin_plan(now);
}

}  // namespace runnel::device
