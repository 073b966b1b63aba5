#include "fleet/simulator/memory_store.h"

namespace runnel::fleet {

using coordinator::DeviceRecord;
using coordinator::LedgerEntry;
using coordinator::RoundHistory;
using coordinator::Snapshot;
using coordinator::UpdateRecord;

Failure MemoryStore::writable() const {
  return full_ ? fail(Error::kStorageFull, "the simulated disk is full") : Failure(Error::kOk);
}

Failure MemoryStore::create_run(const coordinator::RunRecord& run, const coordinator::ModelRecord& initial) {
  RUNNEL_TRY(writable());
  if (run_.run != 0) return fail(Error::kDuplicate, "there is a run already");
  run_ = run;
  model_ = initial;
  return Error::kOk;
}

Result<Snapshot> MemoryStore::load() {
  if (run_.run == 0) return fail(Error::kNotFound, "there is no run");
  Snapshot snapshot;
  snapshot.run = run_;
  snapshot.model = model_;
  snapshot.exact = exact_;
  for (const auto& [version, delta] : deltas_) snapshot.deltas.push_back(delta);
  snapshot.round_open = round_open_;
  if (round_open_) snapshot.round = round_;
  for (const auto& [name, update] : accepted_) snapshot.accepted.push_back(update);
  snapshot.rounds_closed = static_cast<uint32_t>(history_.size());
  snapshot.history = history_;
  return snapshot;
}

Failure MemoryStore::open_round(const coordinator::RoundRecord& round) {
  RUNNEL_TRY(writable());
  if (round_open_ || round.round != history_.size() + 1)
    return fail(Error::kDuplicate, "round %u cannot open now", round.round);
  round_ = round;
  round_open_ = true;
  return Error::kOk;
}

Failure MemoryStore::extend_round(uint32_t round, std::span<const std::string> selected) {
  RUNNEL_TRY(writable());
  if (!round_open_ || round_.round != round) return fail(Error::kInvalidArgument, "round %u is not open", round);
  round_.selected.insert(round_.selected.end(), selected.begin(), selected.end());
  return Error::kOk;
}

Failure MemoryStore::accept_updates(std::span<const UpdateRecord> updates) {
  RUNNEL_TRY(writable());
  for (const UpdateRecord& update : updates) {
    if (!round_open_ || update.round != round_.round)
      return fail(Error::kInvalidArgument, "round %u is not open", update.round);
    if (identities_.contains({update.device, update.sequence}) || accepted_.contains(update.device)) {
      return fail(Error::kDuplicate, "%s %llu", update.device.c_str(),
                  static_cast<unsigned long long>(update.sequence));
    }
  }
  for (const UpdateRecord& update : updates) {
    accepted_[update.device] = update;
    identities_.insert({update.device, update.sequence});
    ledger_.push_back({update.round, update.device, update.sequence, update.sample_count, update.payload_bytes});
  }
  return Error::kOk;
}

Failure MemoryStore::close_round(const coordinator::RoundResult& result) {
  RUNNEL_TRY(writable());
  if (!round_open_ || result.round != round_.round || result.model.version <= model_.version) {
    return fail(Error::kInvalidArgument, "round %u cannot close now", result.round);
  }
  model_ = result.model;
  exact_ = result.exact;
  if (result.delta.version != 0) deltas_[result.delta.version] = result.delta;
  deltas_.erase(deltas_.begin(), deltas_.lower_bound(result.oldest_delta));
  round_open_ = false;
  accepted_.clear();
  RoundHistory entry;
  entry.result = result;
  entry.result.model.parameters = {};
  entry.result.exact = {};
  entry.result.delta = {};
  history_.push_back(std::move(entry));
  return Error::kOk;
}

Failure MemoryStore::record_evaluation(const coordinator::Evaluation& evaluation) {
  RUNNEL_TRY(writable());
  for (RoundHistory& entry : history_) {
    if (entry.result.round != evaluation.round) continue;
    entry.evaluated = true;
    entry.evaluation = evaluation;
  }
  return Error::kOk;
}

Result<bool> MemoryStore::has_update(const std::string& device, uint64_t sequence) {
  return identities_.contains({device, sequence});
}

Failure MemoryStore::enroll(const DeviceRecord& device) {
  RUNNEL_TRY(writable());
  devices_[device.name] = device;
  return Error::kOk;
}

Failure MemoryStore::revoke(const std::string& name) {
  RUNNEL_TRY(writable());
  const auto found = devices_.find(name);
  if (found == devices_.end()) return fail(Error::kUnknownDevice, "%s is not enrolled", name.c_str());
  found->second.revoked = true;
  return Error::kOk;
}

Result<DeviceRecord> MemoryStore::device(const std::string& name) {
  const auto found = devices_.find(name);
  if (found == devices_.end()) return fail(Error::kUnknownDevice, "%s is not enrolled", name.c_str());
  return found->second;
}

Result<std::vector<DeviceRecord>> MemoryStore::devices() {
  std::vector<DeviceRecord> all;
  for (const auto& [name, device] : devices_) all.push_back(device);
  return all;
}

Result<std::vector<RoundHistory>> MemoryStore::history() {
  return history_;
}
Result<std::vector<LedgerEntry>> MemoryStore::ledger() {
  return ledger_;
}

}  // namespace runnel::fleet
