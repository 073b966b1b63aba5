// SqliteStore's rounds: opened, filled with updates, closed with a new model, and looked back at.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/store/sqlite_database.h"
#include "coordinator/store/sqlite_store.h"
#include "runtime/base/crc32c.h"

namespace runnel::coordinator {

Failure SqliteStore::insert_cohort(uint32_t round, std::span<const std::string> selected) {
  SqliteStatement insert(*database_, "INSERT INTO cohort(round, device) VALUES(?, ?) ON CONFLICT DO NOTHING");
  for (const std::string& device : selected) RUNNEL_TRY(insert.bind(round).bind(device).run());
  return Error::kOk;
}

Failure SqliteStore::require_open(uint32_t round) {
  SqliteStatement select(*database_, "SELECT 1 FROM round WHERE round = ? AND closed_at IS NULL");
  Result<bool> row = select.bind(round).step();
  if (!row) return row.failure();
  return *row ? Failure(Error::kOk) : fail(Error::kInvalidArgument, "round %u is not open", round);
}

Failure SqliteStore::open_round(const RoundRecord& round) {
  SqliteTransaction transaction(*database_);
  RUNNEL_TRY(transaction.begin_write());
  SqliteStatement others(*database_, "SELECT round FROM round WHERE round = ? OR closed_at IS NULL");
  Result<bool> other = others.bind(round.round).step();
  if (!other) return other.failure();
  if (*other) {
    const auto found = others.integer<uint32_t>(0);
    if (found == round.round) return fail(Error::kDuplicate, "round %u has been opened before", found);
    return fail(Error::kInvalidArgument, "round %u is still open", found);
  }
  Result<uint64_t> newest = newest_version();
  if (!newest) return newest.failure();
  if (round.base_version != *newest || *newest == 0) {
    return fail(Error::kInvalidArgument, "round %u starts from model version %llu, but the newest is %llu", round.round,
                static_cast<unsigned long long>(round.base_version), static_cast<unsigned long long>(*newest));
  }
  SqliteStatement insert(*database_, "INSERT INTO round(round, base_version, opened_at) VALUES(?, ?, ?)");
  RUNNEL_TRY(insert.bind(round.round).bind(round.base_version).bind(round.opened_at).run());
  RUNNEL_TRY(insert_cohort(round.round, round.selected));
  return transaction.commit();
}

Failure SqliteStore::extend_round(uint32_t round, std::span<const std::string> selected) {
  SqliteTransaction transaction(*database_);
  RUNNEL_TRY(transaction.begin_write());
  RUNNEL_TRY(require_open(round));
  RUNNEL_TRY(insert_cohort(round, selected));
  return transaction.commit();
}

Failure SqliteStore::duplicate_update(const UpdateRecord& update, const Failure& otherwise) {
  if (database_->last_extended_code() != SQLITE_CONSTRAINT_UNIQUE) return otherwise;
  return fail(Error::kDuplicate, "update %llu of %s was accepted before",
              static_cast<unsigned long long>(update.sequence), update.device.c_str());
}

// The bytes are on the disk before the rows that name them are committed. Gives where they begin.
Result<uint64_t> SqliteStore::write_blobs(std::span<const UpdateRecord> updates) {
  // Ids and offsets ascend together, and only the open round has any.
  const Result<int64_t> end =
      database_->query_integer("SELECT offset + bytes FROM update_extent ORDER BY update_id DESC LIMIT 1");
  if (!end) return end.failure();
  const uint64_t begin = UpdateFile::next_block(std::max(static_cast<uint64_t>(*end), doubtful_end_));
  std::vector<ByteView> blobs;
  blobs.reserve(updates.size());
  for (const UpdateRecord& update : updates) blobs.emplace_back(update.blob);
  RUNNEL_TRY(update_file_.write(begin, blobs));
  return begin;
}

Failure SqliteStore::insert_updates(std::span<const UpdateRecord> updates, bool in_file, uint64_t offset) {
  SqliteStatement insert(*database_,
                         "INSERT INTO accepted_update(round, merged_into, device, sequence, model_version,"
                         " sample_count, mean_loss, coordinates, payload_bytes, accepted_at)"
                         " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  SqliteStatement insert_blob(*database_, "INSERT INTO update_blob(update_id, checksum, blob) VALUES(?, ?, ?)");
  SqliteStatement insert_extent(*database_,
                                "INSERT INTO update_extent(update_id, checksum, offset, bytes) VALUES(?, ?, ?, ?)");
  SqliteStatement drop_upload(*database_, "DELETE FROM upload WHERE device = ? AND sequence <= ?");
  SqliteStatement insert_evaluation(*database_,
                                    "INSERT INTO device_evaluation(device, sequence, round, metric, examples,"
                                    " loss_before, value_before, loss_after, value_after, tuned_steps,"
                                    " loss_tuned, value_tuned)"
                                    " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  for (const UpdateRecord& update : updates) {
    insert.bind(update.round).bind(update.merged_into).bind(update.device).bind(update.sequence);
    insert.bind(update.model_version);
    insert.bind(update.sample_count).bind(static_cast<double>(update.mean_loss)).bind(update.coordinates);
    insert.bind(update.payload_bytes).bind(update.accepted_at);
    if (Failure inserted = insert.run(); !inserted.ok()) return duplicate_update(update, inserted);
    const ByteView blob(update.blob);
    if (in_file) {
      insert_extent.bind(database_->last_row()).bind(update.checksum).bind(offset).bind(blob.size());
      RUNNEL_TRY(insert_extent.run());
      offset += blob.size();
    } else {
      RUNNEL_TRY(insert_blob.bind(database_->last_row()).bind(update.checksum).bind(blob).run());
    }
    RUNNEL_TRY(drop_upload.bind(update.device).bind(update.sequence).run());
    const DeviceEvaluation& found = update.evaluation;
    if (found.examples == 0) continue;
    insert_evaluation.bind(update.device).bind(update.sequence).bind(update.round).bind(uint32_t{found.metric});
    insert_evaluation.bind(found.examples).bind(found.loss_before).bind(found.value_before);
    insert_evaluation.bind(found.loss_after).bind(found.value_after).bind(found.tuned_steps);
    RUNNEL_TRY(insert_evaluation.bind(found.loss_tuned).bind(found.value_tuned).run());
  }
  return Error::kOk;
}

// A commit whose sync failed may be found on the disk after all if power fails next, and would then speak of these
// bytes: they are not written over before a later commit has taken its place.
Failure SqliteStore::commit_updates(SqliteTransaction& transaction, uint64_t begin, uint64_t end) {
  Failure outcome = transaction.commit();
  if (outcome.ok()) {
    doubtful_end_ = 0;
    return outcome;
  }
  const int code = database_->last_extended_code() & 0xFF;
  if (code == SQLITE_FULL || code == SQLITE_BUSY) {
    if (end > begin) update_file_.cut(begin);
  } else {
    doubtful_end_ = std::max(doubtful_end_, end);
  }
  return outcome;
}

Failure SqliteStore::accept_updates(std::span<const UpdateRecord> updates) {
  if (updates.empty()) return Error::kOk;
  uint64_t bytes = 0;
  for (const UpdateRecord& update : updates) {
    bytes += update.blob.size();
    if (update.merged_into != updates.front().merged_into) {
      return fail(Error::kInvalidArgument, "updates merged into rounds %u and %u in one call",
                  updates.front().merged_into, update.merged_into);
    }
  }
  SqliteTransaction transaction(*database_);
  RUNNEL_TRY(transaction.begin_write());
  RUNNEL_TRY(require_open(updates.front().merged_into));
  if (bytes <= kRowBytesMax) {
    RUNNEL_TRY(insert_updates(updates, false, 0));
    return commit_updates(transaction, 0, 0);
  }
  const Result<uint64_t> begin = write_blobs(updates);
  if (!begin) return begin.failure();
  if (Failure bad = insert_updates(updates, true, *begin); !bad.ok()) {
    update_file_.cut(*begin);
    return bad;
  }
  return commit_updates(transaction, *begin, *begin + bytes);
}

Failure SqliteStore::close_round(const RoundResult& result) {
  SqliteTransaction transaction(*database_);
  RUNNEL_TRY(transaction.begin_write());
  RUNNEL_TRY(require_open(result.round));
  Result<uint64_t> newest = newest_version();
  if (!newest) return newest.failure();
  if (result.model.version <= *newest || result.model.version > INT64_MAX) {
    return fail(Error::kInvalidArgument, "model version %llu does not follow version %llu",
                static_cast<unsigned long long>(result.model.version), static_cast<unsigned long long>(*newest));
  }
  Result<int64_t> bytes =
      database_->query_integer("SELECT length(parameters) FROM model WHERE version = (SELECT max(version) FROM model)");
  if (!bytes) return bytes.failure();
  if (result.model.parameters.size() * sizeof(float) != static_cast<uint64_t>(*bytes)) {
    return fail(Error::kShape, "model version %llu has %zu parameters, version %llu has %llu",
                static_cast<unsigned long long>(result.model.version), result.model.parameters.size(),
                static_cast<unsigned long long>(*newest), static_cast<unsigned long long>(*bytes) / sizeof(float));
  }

  RUNNEL_TRY(insert_model(result.model));
  RUNNEL_TRY(replace_downlink(result));
  RUNNEL_TRY(replace_optimizer_state(result));
  SqliteStatement close(*database_,
                        "UPDATE round SET closed_at = ?, model_version = ?, participants = ?, sample_count = ?,"
                        " mean_loss = ?, bits_per_coordinate = ?, update_energy = ?, mean_energy = ?, seconds = ?"
                        " WHERE round = ?");
  close.bind(result.closed_at).bind(result.model.version).bind(result.participants).bind(result.sample_count);
  close.bind(result.mean_loss).bind(result.bits_per_coordinate).bind(result.update_energy).bind(result.mean_energy);
  close.bind(result.seconds).bind(result.round);
  RUNNEL_TRY(close.run());
  SqliteStatement drop_blobs(
      *database_, "DELETE FROM update_blob WHERE update_id IN (SELECT id FROM accepted_update WHERE merged_into = ?)");
  RUNNEL_TRY(drop_blobs.bind(result.round).run());
  RUNNEL_TRY(database_->execute("DELETE FROM update_extent"));
  SqliteStatement prune(*database_,
                        "DELETE FROM model WHERE version != 1 AND version NOT IN"
                        " (SELECT version FROM model ORDER BY version DESC LIMIT ?)");
  RUNNEL_TRY(prune.bind(models_kept_).run());
  RUNNEL_TRY(transaction.commit());
  doubtful_end_ = 0;
  update_file_.cut(UpdateFile::kKeptBytes);
  return Error::kOk;
}

// What the quantized downlink goes on from.
Failure SqliteStore::replace_downlink(const RoundResult& result) {
  RUNNEL_TRY(database_->execute("DELETE FROM exact_model"));
  if (!result.exact.empty()) {
    const ByteView bytes(reinterpret_cast<const uint8_t*>(result.exact.data()), result.exact.size() * sizeof(float));
    SqliteStatement insert(*database_,
                           "INSERT INTO exact_model(only, version, checksum, parameters) VALUES(1, ?, ?, ?)");
    RUNNEL_TRY(insert.bind(result.model.version).bind(crc32c(bytes)).bind(bytes).run());
  }
  if (result.delta.version != 0) {
    const ByteView blob(result.delta.blob);
    SqliteStatement insert(*database_, "INSERT INTO model_delta(version, step, checksum, blob) VALUES(?, ?, ?, ?)");
    insert.bind(result.delta.version).bind(static_cast<double>(result.delta.step));
    RUNNEL_TRY(insert.bind(crc32c(blob)).bind(blob).run());
  }
  SqliteStatement prune(*database_, "DELETE FROM model_delta WHERE version < ?");
  return prune.bind(std::min<uint64_t>(result.oldest_delta, INT64_MAX)).run();
}

Failure SqliteStore::replace_optimizer_state(const RoundResult& result) {
  RUNNEL_TRY(database_->execute("DELETE FROM optimizer_state"));
  if (result.optimizer_state.empty()) return Error::kOk;
  const ByteView state(result.optimizer_state);
  SqliteStatement insert(*database_, "INSERT INTO optimizer_state(only, version, checksum, state) VALUES(1, ?, ?, ?)");
  return insert.bind(result.model.version).bind(crc32c(state)).bind(state).run();
}

Failure SqliteStore::record_evaluation(const Evaluation& evaluation) {
  SqliteTransaction transaction(*database_);
  RUNNEL_TRY(transaction.begin_write());
  SqliteStatement insert(
      *database_,
      "INSERT INTO evaluation(model_version, round, examples, accuracy, loss, metric, value, details)"
      " VALUES(?, ?, ?, ?, ?, ?, ?, ?)"
      " ON CONFLICT(model_version) DO UPDATE SET round = excluded.round, examples = excluded.examples,"
      " accuracy = excluded.accuracy, loss = excluded.loss, metric = excluded.metric, value = excluded.value,"
      " details = excluded.details");
  insert.bind(evaluation.model_version).bind(evaluation.round).bind(evaluation.examples);
  insert.bind(evaluation.accuracy).bind(evaluation.loss).bind(uint32_t{evaluation.metric}).bind(evaluation.value);
  RUNNEL_TRY(insert.bind(evaluation.details).run());
  return transaction.commit();
}

Result<bool> SqliteStore::has_update(const std::string& device, uint64_t sequence) {
  SqliteStatement select(*database_, "SELECT 1 FROM accepted_update WHERE device = ? AND sequence = ?");
  return select.bind(device).bind(sequence).step();
}

Result<std::vector<RoundHistory>> SqliteStore::history() {
  SqliteStatement select(
      *database_,
      "SELECT r.round, r.model_version, r.participants, r.sample_count, r.mean_loss,"
      " r.bits_per_coordinate, r.update_energy, r.mean_energy, r.closed_at, r.seconds, e.round, e.examples,"
      " e.accuracy, e.loss, e.metric, e.value, e.details"
      " FROM round r LEFT JOIN evaluation e ON e.model_version = r.model_version"
      " WHERE r.closed_at IS NOT NULL ORDER BY r.round");
  std::vector<RoundHistory> history;
  for (;;) {
    Result<bool> row = select.step();
    if (!row) return row.failure();
    if (!*row) return history;
    RoundHistory entry;
    entry.result.round = select.integer<uint32_t>(0);
    entry.result.model.version = select.integer<uint64_t>(1);
    entry.result.participants = select.integer<uint32_t>(2);
    entry.result.sample_count = select.integer<uint64_t>(3);
    entry.result.mean_loss = select.real(4);
    entry.result.bits_per_coordinate = select.real(5);
    entry.result.update_energy = select.real(6);
    entry.result.mean_energy = select.real(7);
    entry.result.closed_at = select.integer<int64_t>(8);
    entry.result.seconds = select.real(9);
    entry.evaluated = !select.is_null(10);
    if (entry.evaluated) {
      entry.evaluation = {entry.result.model.version,
                          select.integer<uint32_t>(10),
                          select.integer<uint32_t>(11),
                          select.real(12),
                          select.real(13),
                          select.integer<uint8_t>(14),
                          select.real(15),
                          select.text(16)};
    }
    history.push_back(std::move(entry));
  }
}

Result<std::vector<LedgerEntry>> SqliteStore::ledger() {
  SqliteStatement select(*database_,
                         "SELECT round, device, sequence, sample_count, payload_bytes, merged_into, model_version"
                         " FROM accepted_update ORDER BY merged_into, device, sequence");
  std::vector<LedgerEntry> ledger;
  for (;;) {
    Result<bool> row = select.step();
    if (!row) return row.failure();
    if (!*row) return ledger;
    ledger.push_back({select.integer<uint32_t>(0), select.text(1), select.integer<uint64_t>(2),
                      select.integer<uint32_t>(3), select.integer<uint64_t>(4), select.integer<uint32_t>(5),
                      select.integer<uint64_t>(6)});
  }
}

Result<std::vector<DeviceEvaluation>> SqliteStore::device_evaluations() {
  SqliteStatement select(*database_,
                         "SELECT round, device, max(sequence), metric, examples, loss_before, value_before, loss_after,"
                         " value_after, tuned_steps, loss_tuned, value_tuned"
                         " FROM device_evaluation GROUP BY device ORDER BY device");
  std::vector<DeviceEvaluation> evaluations;
  for (;;) {
    Result<bool> row = select.step();
    if (!row) return row.failure();
    if (!*row) return evaluations;
    evaluations.push_back({select.integer<uint32_t>(0), select.text(1), select.integer<uint64_t>(2),
                           select.integer<uint8_t>(3), select.integer<uint32_t>(4), select.real(5), select.real(6),
                           select.real(7), select.real(8), select.integer<uint32_t>(9), select.real(10),
                           select.real(11)});
  }
}

}  // namespace runnel::coordinator
