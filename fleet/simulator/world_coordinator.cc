// The coordinator's process and its store.
#include "fleet/simulator/round_description.h"
#include "fleet/simulator/world.h"

namespace runnel::fleet {

using coordinator::CoordinatorEngine;

void World::boot_coordinator() {
  ++coordinator_boot_;
  coordinator_wakes_at_ = kNever;
  coordinator_options_.round = {kSimulatedRun, options_.plan, layout_};
  coordinator_options_.model = options_.model;
  coordinator_options_.chunk_bytes = options_.chunk_bytes;
  coordinator_options_.window_bytes = options_.window_bytes;
  coordinator_options_.model_chunk_bytes = options_.model_chunk_bytes;
  coordinator_options_.uploads_bytes_max = options_.uploads_bytes_max;
  // A device that restarts has a session of before for a while.
  coordinator_options_.sessions_max = std::max(coordinator_options_.sessions_max, 2 * devices_.size() + 1);
  coordinator::Snapshot snapshot = std::move(store_.load()).value();
  Result<coordinator::RoundEngine> rounds = coordinator::RoundEngine::create(
      coordinator_options_.round, std::move(snapshot), std::move(store_.ledger()).value(), now_);
  if (!rounds) {
    witness_.broken(Promise::kStartsFromItsDisk, std::string("the coordinator did not: ") + rounds.failure().text());
    return;
  }
  if (rounds->model().version < newest_version_) witness_.broken(Promise::kVersionsRise, "a restart took it back");
  engine_ = std::make_unique<CoordinatorEngine>(coordinator_options_, std::move(rounds).value());
  drain_coordinator();
}

void World::crash_coordinator() {
  if (engine_ == nullptr) return;
  ++report_.coordinator_crashes;
  say("coordinator", "crash");
  // A transaction that was under way is on the disk or it is not; nobody was told either way.
  if (storing_ != nullptr && rng_.below(2) == 0) static_cast<void>(carry_out(*storing_).ok());
  storing_ = nullptr;
  engine_.reset();
  sessions_.clear();
  for (auto& device : devices_) break_connection(*device, "coordinator gone");
  after(between(options_.faults.down_min, options_.faults.down_max), [this] { boot_coordinator(); });
}

bool World::coordinator_crashes_now() {
  if (!chance(options_.faults.coordinator_crash_per_step)) return false;
  crash_coordinator();
  return true;
}

Failure World::carry_out(coordinator::StoreRequest& request) {
  RUNNEL_TRY(coordinator::carry_out(request, store_, to_ms(now_.time_since_epoch()) / 1000));
  if (const auto* open = std::get_if<coordinator::OpenRound>(&request)) {
    open_round_ = open->round;
    say("coordinator", "round " + std::to_string(open->round.round) + " open");
  } else if (const auto* extension = std::get_if<coordinator::ExtendRound>(&request)) {
    open_round_.selected.insert(open_round_.selected.end(), extension->selected.begin(), extension->selected.end());
  } else if (const auto* accepted = std::get_if<coordinator::AcceptUpdates>(&request)) {
    witness_.accepted(accepted->updates);
    for (const coordinator::UpdateRecord& update : accepted->updates)
      say("coordinator", "update " + std::to_string(update.sequence) + " of " + update.device + " stored, round " +
                             std::to_string(update.round) + " into " + std::to_string(update.merged_into));
  } else if (const auto* close = std::get_if<coordinator::CloseRound>(&request)) {
    held_models_.note(close->result.model);
    witness_.closed(open_round_, close->result);
  }
  return Error::kOk;
}

void World::begin_store() {
  if (storing_ != nullptr) return;
  storing_ = engine_->poll_store(now_);
  if (storing_ == nullptr) return;
  after(between(milliseconds(1), milliseconds(20)), [this, boot = coordinator_boot_] { finish_store(boot); });
}

void World::finish_store(uint32_t boot) {
  if (engine_ == nullptr || coordinator_boot_ != boot || coordinator_crashes_now()) return;
  const Failure outcome = carry_out(*storing_);
  storing_ = nullptr;
  if (coordinator_crashes_now()) return;  // durable, and nobody knows
  engine_->handle_stored(now_, outcome);
  drain_coordinator();
}

void World::drain_coordinator() {
  if (engine_ == nullptr) return;
  begin_store();
  while (const auto frame = engine_->poll_frame(now_)) {
    if (coordinator_crashes_now()) return;
    const auto found = sessions_.find(frame->session);
    if (found == sessions_.end() || !found->second->connected || found->second->session != frame->session) {
      engine_->handle_unreachable(now_, frame->session);
      continue;
    }
    send(*found->second, Way::kDown, frame->bytes);
  }
  while (const auto session = engine_->poll_close()) {
    const auto found = sessions_.find(*session);
    if (found == sessions_.end()) continue;
    SimulatedDevice& device = *found->second;
    sessions_.erase(found);
    if (device.session != *session) continue;
    device.session_coordinator_boot = 0;
    break_connection(device, "closed by the coordinator");
    if (engine_ == nullptr) return;
  }
  while (const auto event = engine_->poll_event()) {
    if (const auto* warning = std::get_if<coordinator::Warning>(&*event)) say("coordinator", warning->text);
    if (const auto* round = std::get_if<coordinator::RoundResult>(&*event))
      say("coordinator", "round " + std::to_string(round->round) + " closed");
  }
  const uint64_t version = engine_->rounds().model().version;
  if (version < newest_version_)
    witness_.broken(Promise::kVersionsRise, "it went back from " + std::to_string(newest_version_));
  newest_version_ = std::max(newest_version_, version);
  check_bounds();
  note_rounds();
  const Instant next = engine_->next_timeout();
  if (next >= coordinator_wakes_at_) return;
  coordinator_wakes_at_ = next;
  at(next, [this, boot = coordinator_boot_, next] {
    if (engine_ == nullptr || coordinator_boot_ != boot || coordinator_wakes_at_ != next) return;
    coordinator_wakes_at_ = kNever;
    engine_->handle_timeout(now_);
    drain_coordinator();
  });
}

void World::check_bounds() {
  const uint64_t held = engine_->upload_bytes_held();
  if (held > options_.uploads_bytes_max)
    witness_.broken(Promise::kBoundsHold, "unfinished uploads take " + std::to_string(held) + " bytes");
}

// Puts down what closed since the last call; a coordinator that crashed while it closed a round says so when it is
// back.
void World::note_rounds() {
  if (engine_ == nullptr || engine_->rounds().rounds_closed() == report_.history.size()) return;
  const auto closed = store_.history();
  const auto ledger = store_.ledger();
  RUNNEL_ASSERT(closed->size() == report_.history.size() + 1);
  report_.history.push_back(describe_round(closed->back().result, *ledger, store_.newest_selected(), devices_,
                                           now_ - Instant{}, options_.bytes_by_device));
  if (options_.on_round) options_.on_round(report_.history.back(), engine_->rounds().model().parameters);
}

}  // namespace runnel::fleet
