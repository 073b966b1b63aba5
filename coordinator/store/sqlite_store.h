// The Store in one SQLite file: write-ahead log, synchronous=FULL, every method a transaction. The bytes of accepted
// updates lie in a file beside it, FILE-updates (update_file.h), for as long as their round is open; those of a
// transaction with few of them lie in its rows, where they cost one sync less.
//
// Other processes may have the same file open (enrolling, revoking, reporting) while one runs the fleet: a writer waits
// up to the busy timeout, then fails with kBusy. lock_for_run() keeps a second fleet run out.
//
// Failures name the file: kStorageFull on a full disk (nothing of that call is stored, and the store works on as soon
// as there is room), kBusy, kCorrupt (not a database, not ours, a failed check, a blob whose checksum does not match).
//
// Threads: one at a time.
#pragma once

#include <memory>
#include <string>

#include "coordinator/store/run_lock.h"
#include "coordinator/store/store.h"
#include "coordinator/store/update_file.h"

namespace runnel::coordinator {

class SqliteDatabase;
class SqliteTransaction;

class SqliteStore final : public Store {
 public:
  // Old models are dropped when a round closes, but for the newest of them and version 1.
  static constexpr uint32_t kModelsKept = 8;
  static constexpr int kBusyTimeoutMs = 5000;
  // Updates of one transaction that are in its rows, all together; beyond that they are in the updates' file.
  static constexpr uint64_t kRowBytesMax = 64 * 1024;

  // kNotFound if there is no such file and `create` is false; with `create`, the file is made (0600) when it is
  // missing.
  static Result<std::unique_ptr<SqliteStore>> open(const std::string& path, bool create);
  ~SqliteStore() override;

  // Takes `run.lock` next to the file until the store is destroyed. kBusy if another process, or another store, has it.
  Failure lock_for_run();

  // How long a call waits for another process's transaction. 0: not at all.
  void set_busy_timeout_ms(int timeout_ms);
  // The file will not grow beyond about this (a page, 16 KiB, at least what it has now): a call that needs more fails
  // with kStorageFull, as on a full disk. The updates' file has the same bound of its own; the write-ahead log is not
  // counted.
  void set_file_bytes_max(uint64_t bytes_max);
  // REQUIRES: models_kept > 0.
  void set_models_kept(uint32_t models_kept) { models_kept_ = models_kept; }

  // kInvalidArgument: the run number is 0, the version is not 1, or there are no parameters.
  Failure create_run(const RunRecord& run, const ModelRecord& initial) override;
  // kNotFound before create_run.
  Result<Snapshot> load() override;

  // kDuplicate: the round is there already. kInvalidArgument: another is open, or base_version is not the newest model.
  Failure open_round(const RoundRecord& round) override;
  // Names that are in the cohort already are left as they are. kInvalidArgument: that round is not open.
  Failure extend_round(uint32_t round, std::span<const std::string> selected) override;
  // kInvalidArgument: an update is not merged into the open round.
  Failure accept_updates(std::span<const UpdateRecord> updates) override;
  Failure save_uploads(std::span<const UploadPart> parts, std::span<const std::string> forgotten) override;
  // kInvalidArgument: the round is not open, or the version is not above the newest. kShape: another parameter count.
  Failure close_round(const RoundResult& result) override;
  // A second evaluation of a version replaces the first.
  Failure record_evaluation(const Evaluation& evaluation) override;
  Result<bool> has_update(const std::string& device, uint64_t sequence) override;

  Failure enroll(const DeviceRecord& device) override;
  Failure revoke(const std::string& name) override;
  Result<DeviceRecord> device(const std::string& name) override;
  Result<std::vector<DeviceRecord>> devices() override;  // ascending by name

  Result<std::vector<RoundHistory>> history() override;  // closed rounds, ascending
  Result<std::vector<DeviceEvaluation>> device_evaluations() override;
  Result<std::vector<LedgerEntry>> ledger() override;  // ascending by merged_into, device, sequence

  // The run alone, without a model. kNotFound before create_run.
  Result<RunRecord> run();
  // A model that is still kept: kNotFound, naming the versions there are, otherwise. Version 0 is the newest.
  Result<ModelRecord> model(uint64_t version);

 private:
  explicit SqliteStore(std::unique_ptr<SqliteDatabase> database);

  Failure insert_model(const ModelRecord& model);
  Failure insert_cohort(uint32_t round, std::span<const std::string> selected);
  Failure require_open(uint32_t round);
  Failure duplicate_update(const UpdateRecord& update, const Failure& otherwise);
  Failure corrupt_update(const UpdateRecord& update) const;
  Result<uint64_t> write_blobs(std::span<const UpdateRecord> updates);
  Failure insert_updates(std::span<const UpdateRecord> updates, bool in_file, uint64_t offset);
  Failure commit_updates(SqliteTransaction& transaction, uint64_t begin, uint64_t end);
  Result<ModelRecord> read_model(uint64_t version);
  Result<uint64_t> newest_version();
  Failure replace_downlink(const RoundResult& result);
  Failure load_downlink(Snapshot& snapshot);
  Failure load_open_round(Snapshot& snapshot);
  Failure load_accepted(Snapshot& snapshot);
  Failure load_uploads(Snapshot& snapshot);
  Failure drop_upload(const std::string& device);
  Failure append_upload(const UploadPart& part);
  Failure replace_optimizer_state(const RoundResult& result);
  Failure load_optimizer_state(Snapshot& snapshot);

  std::unique_ptr<SqliteDatabase> database_;
  UpdateFile update_file_;
  uint64_t doubtful_end_ = 0;  // of bytes whose rows may be on the disk though their commit failed
  RunLock run_lock_;
  uint32_t models_kept_ = kModelsKept;
};

}  // namespace runnel::coordinator
