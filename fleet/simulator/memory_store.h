// The coordinator's Store in memory, for simulations: it survives the simulated coordinator's crashes, and its disk can
// be made to fill up. Every method is a transaction, as in the real one.
//
// Threads: one at a time.
#pragma once

#include <map>
#include <set>
#include <utility>

#include "coordinator/store/store.h"

namespace runnel::fleet {

class MemoryStore final : public coordinator::Store {
 public:
  // While full, every writing method fails with kStorageFull and changes nothing.
  void set_full(bool full) { full_ = full; }

  // Of the round that was opened last, closed or not.
  const std::vector<std::string>& newest_selected() const { return round_.selected; }

  Failure create_run(const coordinator::RunRecord& run, const coordinator::ModelRecord& initial) override;
  Result<coordinator::Snapshot> load() override;
  Failure open_round(const coordinator::RoundRecord& round) override;
  Failure extend_round(uint32_t round, std::span<const std::string> selected) override;
  Failure accept_updates(std::span<const coordinator::UpdateRecord> updates) override;
  Failure save_uploads(std::span<const coordinator::UploadPart> parts, std::span<const std::string> forgotten) override;
  Failure close_round(const coordinator::RoundResult& result) override;
  Failure record_evaluation(const coordinator::Evaluation& evaluation) override;
  Result<bool> has_update(const std::string& device, uint64_t sequence) override;
  Failure enroll(const coordinator::DeviceRecord& device) override;
  Failure revoke(const std::string& name) override;
  Result<coordinator::DeviceRecord> device(const std::string& name) override;
  Result<std::vector<coordinator::DeviceRecord>> devices() override;
  Result<std::vector<coordinator::RoundHistory>> history() override;
  Result<std::vector<coordinator::LedgerEntry>> ledger() override;
  Result<std::vector<coordinator::DeviceEvaluation>> device_evaluations() override;

 private:
  Failure writable() const;

  bool full_ = false;
  coordinator::RunRecord run_;
  coordinator::ModelRecord model_;
  std::vector<float> exact_;
  std::vector<uint8_t> optimizer_state_;
  std::map<uint64_t, coordinator::ModelDelta> deltas_;  // by the version that results
  bool round_open_ = false;
  coordinator::RoundRecord round_;
  std::map<std::pair<std::string, uint64_t>, coordinator::UpdateRecord> accepted_;  // merged into the open round
  std::map<std::string, coordinator::UploadPart> uploads_;                          // unfinished ones, by device
  std::vector<coordinator::LedgerEntry> ledger_;
  std::map<std::string, coordinator::DeviceEvaluation> evaluations_;  // the newest of each device
  std::set<std::pair<std::string, uint64_t>> identities_;
  std::vector<coordinator::RoundHistory> history_;
  std::map<std::string, coordinator::DeviceRecord> devices_;
};

}  // namespace runnel::fleet
