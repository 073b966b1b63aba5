#include "fleet/simulator/memory_store.h"

#include <algorithm>

namespace runnel::fleet {

using coordinator::DeviceRecord;
using coordinator::LedgerEntry;
using coordinator::RoundHistory;
using coordinator::Snapshot;
using coordinator::UpdateRecord;
using coordinator::UploadPart;

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
  snapshot.optimizer_state = optimizer_state_;
  for (const auto& [version, delta] : deltas_) snapshot.deltas.push_back(delta);
  snapshot.round_open = round_open_;
  if (round_open_) snapshot.round = round_;
  for (const auto& [identity, update] : accepted_) snapshot.accepted.push_back(update);
  for (const auto& [name, upload] : uploads_) snapshot.uploads.push_back(upload);
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
    if (!round_open_ || update.merged_into != round_.round)
      return fail(Error::kInvalidArgument, "round %u is not open", update.merged_into);
    if (identities_.contains({update.device, update.sequence})) {
      return fail(Error::kDuplicate, "%s %llu", update.device.c_str(),
                  static_cast<unsigned long long>(update.sequence));
    }
  }
  for (const UpdateRecord& update : updates) {
    accepted_[{update.device, update.sequence}] = update;
    identities_.insert({update.device, update.sequence});
    if (update.evaluation.examples > 0) evaluations_[update.device] = update.evaluation;
    ledger_.push_back({update.round, update.device, update.sequence, update.sample_count, update.payload_bytes,
                       update.merged_into, update.model_version});
    if (const auto upload = uploads_.find(update.device);
        upload != uploads_.end() && upload->second.sequence <= update.sequence)
      uploads_.erase(upload);
  }
  return Error::kOk;
}

Failure MemoryStore::save_uploads(std::span<const UploadPart> parts, std::span<const std::string> forgotten) {
  RUNNEL_TRY(writable());
  const auto stored = [&](const UploadPart& part) -> UploadPart* {
    const auto found = uploads_.find(part.device);
    if (found == uploads_.end() || std::find(forgotten.begin(), forgotten.end(), part.device) != forgotten.end())
      return nullptr;
    UploadPart& upload = found->second;
    const bool same = upload.run == part.run && upload.sequence == part.sequence &&
                      upload.total_bytes == part.total_bytes && upload.checksum == part.checksum;
    return same ? &upload : nullptr;
  };
  for (const UploadPart& part : parts) {
    const UploadPart* upload = stored(part);
    if (part.offset != (upload == nullptr ? 0 : upload->bytes.size()) ||
        !range_within(part.offset, part.bytes.size(), part.total_bytes))
      return fail(Error::kInvalidArgument, "a gap in the upload of %s", part.device.c_str());
  }
  for (const UploadPart& part : parts) {
    if (UploadPart* upload = stored(part); upload != nullptr) {
      upload->bytes.insert(upload->bytes.end(), part.bytes.begin(), part.bytes.end());
      upload->saved_at = part.saved_at;
    } else {
      uploads_[part.device] = part;
    }
  }
  for (const std::string& device : forgotten) {
    const bool anew = std::any_of(parts.begin(), parts.end(), [&](const auto& part) { return part.device == device; });
    if (!anew) uploads_.erase(device);
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
  optimizer_state_ = result.optimizer_state;
  if (result.delta.version != 0) deltas_[result.delta.version] = result.delta;
  deltas_.erase(deltas_.begin(), deltas_.lower_bound(result.oldest_delta));
  round_open_ = false;
  accepted_.clear();
  RoundHistory entry;
  entry.result = result;
  entry.result.model.parameters = {};
  entry.result.exact = {};
  entry.result.optimizer_state = {};
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
Result<std::vector<coordinator::DeviceEvaluation>> MemoryStore::device_evaluations() {
  std::vector<coordinator::DeviceEvaluation> evaluations;
  for (const auto& [device, evaluation] : evaluations_) evaluations.push_back(evaluation);
  return evaluations;
}

Result<std::vector<LedgerEntry>> MemoryStore::ledger() {
  return ledger_;
}

}  // namespace runnel::fleet
