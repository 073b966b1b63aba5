#include "fleet/simulator/fault_free_run.h"

#include <algorithm>

#include "coordinator/engine/round_engine.h"
#include "fleet/simulator/held_models.h"
#include "runtime/base/rng.h"

namespace runnel::fleet {
namespace {

using coordinator::RoundEngine;
using coordinator::UpdateRecord;

constexpr uint64_t kOrderPart = 0x0D;

// The updates of one round in another order; those of one device stay in the order of their sequences.
std::vector<UpdateRecord> shuffled(std::vector<UpdateRecord> updates, Rng& rng) {
  for (size_t i = updates.size(); i > 1; --i) std::swap(updates[i - 1], updates[rng.below(i)]);
  std::map<std::string, std::vector<uint64_t>> sequences;
  for (const UpdateRecord& update : updates) sequences[update.device].push_back(update.sequence);
  std::map<std::pair<std::string, uint64_t>, const UpdateRecord*> by_identity;
  for (const UpdateRecord& update : updates) by_identity[{update.device, update.sequence}] = &update;
  for (auto& [device, each] : sequences) std::sort(each.begin(), each.end(), std::greater<>());
  std::vector<UpdateRecord> result;
  for (const UpdateRecord& update : updates) {
    std::vector<uint64_t>& left = sequences[update.device];
    result.push_back(*by_identity.at({update.device, left.back()}));
    left.pop_back();
  }
  return result;
}

class FaultFreeRun {
 public:
  FaultFreeRun(const SimulationOptions& options, const plan::ModelLayout& layout)
      : round_options_{kSimulatedRun, options.plan, layout}, rng_(derive_key(options.seed, kOrderPart)) {
    snapshot_.run.run = kSimulatedRun;
    snapshot_.model = first_model(options, layout);
  }

  // The model after that round; a failure if it does not close.
  Result<std::vector<float>> play(const Witness::Round& round, std::vector<UpdateRecord> updates) {
    updates = shuffled(std::move(updates), rng_);
    bool closed_early = false;
    const size_t there = rng_.below(updates.size() / 2 + 1);
    const std::vector<coordinator::LedgerEntry> before = ledger_;
    for (const UpdateRecord& update : updates) ledger_.push_back(entry_of(update));
    Result<std::vector<float>> model = play(round, updates, there, before, closed_early);
    // What came in the moment in which the round could close is in it too: all of it there, as after a restart.
    return closed_early ? play(round, updates, updates.size(), before, closed_early) : std::move(model);
  }

 private:
  static coordinator::LedgerEntry entry_of(const UpdateRecord& update) {
    return {update.round,         update.device,      update.sequence,     update.sample_count,
            update.payload_bytes, update.merged_into, update.model_version};
  }

  // The first `there` updates are in the store when the engine starts.
  Result<std::vector<float>> play(const Witness::Round& round, std::span<const UpdateRecord> updates, size_t there,
                                  std::vector<coordinator::LedgerEntry> ledger, bool& closed_early) {
    coordinator::Snapshot snapshot = snapshot_;
    snapshot.round_open = true;
    snapshot.round = round.record;
    std::sort(snapshot.round.selected.begin(), snapshot.round.selected.end());
    snapshot.accepted.assign(updates.begin(), updates.begin() + static_cast<std::ptrdiff_t>(there));
    for (const UpdateRecord& update : updates.first(there)) ledger.push_back(entry_of(update));
    Instant now{};
    Result<RoundEngine> engine = RoundEngine::create(round_options_, std::move(snapshot), ledger, now);
    if (!engine) return engine.failure();
    for (const UpdateRecord& update : updates.subspan(there)) {
      closed_early = !engine->takes_updates();
      if (closed_early) return fail(Error::kBusy, "round %u closes early", round.record.round);
      if (const auto bad = engine->handle_update(now, update.device, update.sequence, update.blob, update.checksum);
          bad.has_value())
        return fail(Error::kInvalidArgument, "round %u does not take update %llu of %s: %s", round.record.round,
                    static_cast<unsigned long long>(update.sequence), update.device.c_str(), bad->detail.c_str());
    }
    for (int step = 0; step < 8; ++step) {
      while (coordinator::StoreRequest* request = engine->poll_store(now)) {
        if (const auto* close = std::get_if<coordinator::CloseRound>(request)) return keep(close->result);
        engine->handle_stored(now, Error::kOk);
      }
      if (engine->next_timeout() == kNever) break;
      now = std::max(now, engine->next_timeout());
      engine->handle_timeout(now);
    }
    return fail(Error::kNotFound, "round %u does not close", round.record.round);
  }

  std::vector<float> keep(const coordinator::RoundResult& result) {
    snapshot_.model = result.model;
    snapshot_.exact = result.exact;
    snapshot_.optimizer_state = result.optimizer_state;
    snapshot_.deltas.clear();
    snapshot_.rounds_closed = result.round;
    snapshot_.history.push_back({result, false, {}});
    snapshot_.history.back().result.model.parameters = {};
    return result.model.parameters;
  }

  coordinator::RoundOptions round_options_;
  Rng rng_;
  coordinator::Snapshot snapshot_;
  std::vector<coordinator::LedgerEntry> ledger_;
};

}  // namespace

std::optional<std::string> differs_without_faults(const SimulationOptions& options, const plan::ModelLayout& layout,
                                                  const Witness& witness) {
  FaultFreeRun run(options, layout);
  std::map<uint32_t, std::vector<UpdateRecord>> updates;
  for (const UpdateRecord& update : witness.updates()) updates[update.merged_into].push_back(update);
  for (const Witness::Round& round : witness.rounds()) {
    const Result<std::vector<float>> model = run.play(round, updates[round.record.round]);
    if (!model) return std::string(model.failure().text());
    if (*model != round.model) return "round " + std::to_string(round.record.round) + " gives another model";
  }
  return std::nullopt;
}

}  // namespace runnel::fleet
