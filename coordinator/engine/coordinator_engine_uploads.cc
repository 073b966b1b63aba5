// CoordinatorEngine's uploads: offers and chunks in, until a whole update is with the rounds; what is there of the
// others becomes durable.
#include <algorithm>

#include "coordinator/engine/cohort.h"
#include "coordinator/engine/coordinator_engine.h"
#include "runtime/base/planted_bug.h"

namespace runnel::coordinator {

UploadOptions CoordinatorOptions::uploads() const {
  UploadOptions uploads;
  uploads.bytes_max = uploads_bytes_max;
  uploads.update_bytes_max = update_bytes_max;
  uploads.unsaved_bytes_max = uploads_unsaved_bytes_max;
  uploads.moving_max = uploads_moving_max;
  uploads.save_retry_after = round.store_retry_after;
  uploads.age_max = seconds(uploads_age_max_s);
  return uploads;
}

// What was there before a restart. What could not count any more is dropped, on disk too.
void CoordinatorEngine::restore_uploads() {
  std::vector<UploadPart> parts = rounds_.take_uploads();
  std::stable_sort(parts.begin(), parts.end(),
                   [](const UploadPart& a, const UploadPart& b) { return a.saved_at > b.saved_at; });
  for (const UploadPart& part : parts) {
    const int64_t silent_s = options_.started_at == 0 ? 0 : std::max<int64_t>(0, options_.started_at - part.saved_at);
    const Instant now = rounds_.created_at();
    if (!uploads_.restore(part, now - seconds(silent_s))) continue;
    if (rounds_.check_offer(part.device, *uploads_.find(part.device)).has_value()) uploads_.forget(part.device, now);
  }
}

void CoordinatorEngine::on(Instant now, SessionId id, Session& session, const wire::UpdateOffer& offer) {
  if (rounds_.is_accepted(session.device, offer.sequence)) {
    if (planted(PlantedBug::kCountTwice)) rounds_.count_newest_again();
    ++counters_.updates_repeated;
    session.ack_due = wire::UpdateAck{offer.sequence, wire::UpdateState::kDurable, offer.total_bytes};
    make_ready(id, session);
    return;
  }
  // Complete, and waiting for the disk: the acknowledgement will follow.
  if (rounds_.is_waiting(session.device, offer.sequence)) return;
  if (const auto bad = rounds_.check_offer(session.device, offer); bad.has_value()) {
    uploads_.forget(session.device, now);
    parked_.erase(session.device);
    refuse(id, session, bad->reason, bad->detail, offer.sequence);
    rounds_.handle_settled(now, session.device, offer.round);
    return;
  }
  const Result<uint64_t> received = uploads_.offer(session.device, offer, rounds_.waiting_bytes(), now);
  if (!received) {
    const bool busy = received.error() == Error::kBusy || received.error() == Error::kNoMemory;
    if (busy) ++counters_.updates_deferred;
    refuse(id, session, busy ? wire::Reason::kBusy : wire::Reason::kLimit, received.failure().text(), offer.sequence,
           busy ? busy_retry_ms(now, session, offer.total_bytes) : 0);
    if (!busy) rounds_.handle_settled(now, session.device, offer.round);
    return;
  }
  session.deferrals = 0;
  set_activity(session, DeviceActivity::kUploading);
  session.held_version = std::max(session.held_version, rounds_.version_of(offer.round));  // it trained on it
  uint64_t received_bytes = *received;
  if (!offer.payload.empty()) {
    const Result<uint64_t> added = uploads_.add(session.device, {offer.sequence, 0, offer.payload}, now);
    if (added) received_bytes = *added;
  }
  rounds_.handle_bytes(now, session.device, offer.round);
  counters_.held_bytes_max = std::max(counters_.held_bytes_max, held_bytes());
  session.ack_due = wire::UpdateAck{offer.sequence, wire::UpdateState::kReceiving, received_bytes};
  make_ready(id, session);
  finish_upload(now, session.device);
}

void CoordinatorEngine::on(Instant now, SessionId id, Session& session, const wire::UpdateChunk& chunk) {
  if (rounds_.is_accepted(session.device, chunk.sequence) || rounds_.is_waiting(session.device, chunk.sequence))
    return;  // sent twice
  const Result<uint64_t> received = uploads_.add(session.device, chunk, now);
  if (!received) {
    // After a refused offer, chunks that were already under way still arrive; they need no answer of their own.
    if (received.error() != Error::kNotFound) drop_frame(session, received.failure().text());
    return;
  }
  rounds_.handle_bytes(now, session.device, uploads_.find(session.device)->round);
  session.ack_due = wire::UpdateAck{chunk.sequence, wire::UpdateState::kReceiving, *received};
  make_ready(id, session);
  finish_upload(now, session.device);
}

// A whole update goes to the rounds, or waits here until there is one that takes it.
void CoordinatorEngine::finish_upload(Instant now, const std::string& device) {
  const Result<bool> complete = uploads_.complete(device);
  if (!complete) {
    const uint64_t sequence = uploads_.sequence(device);
    uploads_.forget(device, now);
    SessionId id = 0;
    if (Session* session = session_of(device, &id); session != nullptr && session->reachable) {
      session->ack_due.reset();
      // The bytes were damaged on the way: the device still has the right ones.
      refuse(id, *session, wire::Reason::kChecksum, complete.failure().text(), sequence, options_.resend_after_ms);
    }
    return;
  }
  if (!*complete) return;
  if (!rounds_.takes_updates()) {
    parked_.insert(device);
    return;
  }
  const wire::UpdateOffer& offer = *uploads_.find(device);
  const auto bad = rounds_.handle_update(now, device, offer.sequence, uploads_.take(device), offer.checksum);
  if (bad.has_value()) {
    refuse_upload(now, device, bad->reason, bad->detail);
  } else {
    if (SessionId id = 0; planted(PlantedBug::kAckBeforeStore)) {
      if (Session* session = session_of(device, &id); session != nullptr) {
        session->ack_due = wire::UpdateAck{uploads_.sequence(device), wire::UpdateState::kDurable, 0};
        make_ready(id, *session);
      }
    }
    upload_pace_.handle_room(offer.total_bytes, now);
    uploads_.release(device);
  }
}

void CoordinatorEngine::finish_parked(Instant now) {
  while (!parked_.empty() && rounds_.takes_updates()) {
    const std::string device = *parked_.begin();
    parked_.erase(parked_.begin());
    finish_upload(now, device);
  }
}

void CoordinatorEngine::refuse_upload(Instant now, const std::string& device, wire::Reason reason, std::string detail) {
  const wire::UpdateOffer offer = *uploads_.find(device);
  uploads_.forget(device, now);
  parked_.erase(device);
  SessionId id = 0;
  if (Session* session = session_of(device, &id); session != nullptr && session->reachable) {
    session->ack_due.reset();
    refuse(id, *session, reason, std::move(detail), offer.sequence);
  }
  rounds_.handle_settled(now, device, offer.round);
}

// After a round has closed: what is on its way may be too late, or too old.
void CoordinatorEngine::refuse_closed_uploads(Instant now) {
  for (const std::string& device : uploads_.devices()) {
    if (const auto bad = rounds_.check_offer(device, *uploads_.find(device)); bad.has_value())
      refuse_upload(now, device, bad->reason, bad->detail);
  }
}

// Who is turned away gets a turn of its own, so that those who are turned away together do not return together.
uint32_t CoordinatorEngine::busy_retry_ms(Instant now, Session& session, uint64_t bytes) {
  const uint64_t seed = device_seed(options_.round.run, session.deferrals, session.device);
  if (session.deferrals < UINT8_MAX) ++session.deferrals;
  return static_cast<uint32_t>(std::max<int64_t>(1, to_ms(upload_pace_.turn(bytes, seed, now))));
}

// --- what becomes durable ---

void CoordinatorEngine::handle_timeout(Instant now) {
  uploads_.handle_timeout(now);
  rounds_.handle_timeout(now);
  take_round_outcomes(now);
}

Instant CoordinatorEngine::next_timeout() const {
  return std::min(rounds_.next_timeout(), uploads_.next_timeout(rounds_.is_storing()));
}

// What the rounds decide goes first; unfinished uploads when they have nothing, one transaction at a time.
StoreRequest* CoordinatorEngine::poll_store(Instant now) {
  if (saving_ != nullptr) return nullptr;
  if (StoreRequest* request = rounds_.poll_store(now); request != nullptr) return request;
  if (rounds_.is_storing()) return nullptr;
  std::optional<SaveUploads> save = uploads_.poll_save(now);
  if (!save.has_value()) return nullptr;
  saving_ = std::make_unique<StoreRequest>(std::move(*save));
  counters_.held_bytes_max = std::max(counters_.held_bytes_max, held_bytes());
  return saving_.get();
}

void CoordinatorEngine::handle_stored(Instant now, const Failure& failure) {
  if (saving_ != nullptr) {
    saving_.reset();
    uploads_.handle_saved(now, failure);
    if (!failure.ok())
      add_event(
          Warning{std::string("parts of updates not stored (") + error_name(failure.error()) + "): " + failure.text()});
    return;
  }
  rounds_.handle_stored(now, failure);
  take_round_outcomes(now);
}

}  // namespace runnel::coordinator
