#include "coordinator/store/sqlite_schema.h"

#include <algorithm>
#include <string>

namespace runnel::coordinator {
namespace {

// Of a new file. An update of 100 KB takes 7 such pages and 25 of SQLite's usual 4 KiB, and each costs a system call, a
// checksum and a place in the log.
constexpr int kPageBytes = 16 * 1024;
// Of the log: an update that ends before the log is full never reaches the database's own pages, but a small disk must
// not be filled by the log of a database that would fit it.
constexpr int64_t kCheckpointBytes = 4 << 20;

// Blobs carry a CRC-32C: SQLite's own checks see broken structure, not a flipped bit in a weight.
constexpr const char* kSchema = R"sql(
CREATE TABLE run(
  only INTEGER PRIMARY KEY CHECK(only = 1),
  run INTEGER NOT NULL,
  plan_toml TEXT NOT NULL,
  model_toml TEXT NOT NULL
) STRICT;

CREATE TABLE model(
  version INTEGER PRIMARY KEY,
  checksum INTEGER NOT NULL,
  parameters BLOB NOT NULL
) STRICT;

CREATE TABLE round(
  round INTEGER PRIMARY KEY,
  base_version INTEGER NOT NULL,
  opened_at INTEGER NOT NULL,
  closed_at INTEGER,
  model_version INTEGER,
  participants INTEGER,
  sample_count INTEGER,
  mean_loss REAL,
  bits_per_coordinate REAL,
  seconds REAL
) STRICT;
CREATE UNIQUE INDEX one_open_round ON round((closed_at IS NULL)) WHERE closed_at IS NULL;

CREATE TABLE cohort(
  round INTEGER NOT NULL REFERENCES round(round),
  device TEXT NOT NULL,
  PRIMARY KEY(round, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE accepted_update(
  id INTEGER PRIMARY KEY,
  round INTEGER NOT NULL REFERENCES round(round),
  device TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  model_version INTEGER NOT NULL,
  sample_count INTEGER NOT NULL,
  mean_loss REAL,
  coordinates INTEGER NOT NULL,
  payload_bytes INTEGER NOT NULL,
  accepted_at INTEGER NOT NULL,
  UNIQUE(device, sequence),
  UNIQUE(round, device)
) STRICT;

CREATE TABLE update_blob(
  update_id INTEGER PRIMARY KEY REFERENCES accepted_update(id),
  checksum INTEGER NOT NULL,
  blob BLOB NOT NULL
) STRICT;

CREATE TABLE evaluation(
  model_version INTEGER PRIMARY KEY,
  round INTEGER NOT NULL,
  examples INTEGER NOT NULL,
  accuracy REAL,
  loss REAL
) STRICT;

CREATE TABLE device(
  name TEXT PRIMARY KEY,
  serial TEXT NOT NULL,
  enrolled_at INTEGER NOT NULL,
  revoked INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)sql";

// Format 2: how much the devices agreed, and the quantized downlink (what the newest model would be without
// quantization, and how to come to a version from the one before).
constexpr const char* kFormat2 = R"sql(
ALTER TABLE round ADD COLUMN update_energy REAL;
ALTER TABLE round ADD COLUMN mean_energy REAL;

CREATE TABLE exact_model(
  only INTEGER PRIMARY KEY CHECK(only = 1),
  version INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  parameters BLOB NOT NULL
) STRICT;

CREATE TABLE model_delta(
  version INTEGER PRIMARY KEY,
  step REAL NOT NULL,
  checksum INTEGER NOT NULL,
  blob BLOB NOT NULL
) STRICT;
)sql";

// Format 3: an update may be merged into a later round than it was trained for, and several of a device into one; the
// server optimizer's state; uploads that are not complete.
constexpr const char* kFormat3 = R"sql(
CREATE TABLE accepted_update_3(
  id INTEGER PRIMARY KEY,
  round INTEGER NOT NULL REFERENCES round(round),
  merged_into INTEGER NOT NULL REFERENCES round(round),
  device TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  model_version INTEGER NOT NULL,
  sample_count INTEGER NOT NULL,
  mean_loss REAL,
  coordinates INTEGER NOT NULL,
  payload_bytes INTEGER NOT NULL,
  accepted_at INTEGER NOT NULL,
  UNIQUE(device, sequence)
) STRICT;
INSERT INTO accepted_update_3(id, round, merged_into, device, sequence, model_version, sample_count, mean_loss,
  coordinates, payload_bytes, accepted_at)
  SELECT id, round, round, device, sequence, model_version, sample_count, mean_loss, coordinates, payload_bytes,
  accepted_at FROM accepted_update;
DROP TABLE accepted_update;
ALTER TABLE accepted_update_3 RENAME TO accepted_update;
CREATE INDEX update_by_merged_into ON accepted_update(merged_into);

CREATE TABLE optimizer_state(
  only INTEGER PRIMARY KEY CHECK(only = 1),
  version INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  state BLOB NOT NULL
) STRICT;

CREATE TABLE upload(
  device TEXT PRIMARY KEY,
  run INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  round INTEGER NOT NULL,
  model_version INTEGER NOT NULL,
  total_bytes INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  received_bytes INTEGER NOT NULL,
  saved_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE upload_part(
  device TEXT NOT NULL REFERENCES upload(device) ON DELETE CASCADE,
  offset INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  UNIQUE(device, offset)
) STRICT;
)sql";

// Format 4: other metrics than accuracy, and what devices find on examples of their own.
constexpr const char* kFormat4 = R"sql(
ALTER TABLE evaluation ADD COLUMN metric INTEGER NOT NULL DEFAULT 1;
ALTER TABLE evaluation ADD COLUMN value REAL;
ALTER TABLE evaluation ADD COLUMN details TEXT NOT NULL DEFAULT '';
UPDATE evaluation SET value = accuracy;

CREATE TABLE device_evaluation(
  device TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  round INTEGER NOT NULL,
  metric INTEGER NOT NULL,
  examples INTEGER NOT NULL,
  loss_before REAL,
  value_before REAL,
  loss_after REAL,
  value_after REAL,
  PRIMARY KEY(device, sequence)
) STRICT, WITHOUT ROWID;
)sql";

// Format 5: updates whose bytes lie in the file beside the database.
constexpr const char* kFormat5 = R"sql(
CREATE TABLE update_extent(
  update_id INTEGER PRIMARY KEY REFERENCES accepted_update(id),
  checksum INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;
)sql";

// Format 6: what fine-tuning for itself gave a device.
constexpr const char* kFormat6 = R"sql(
ALTER TABLE device_evaluation ADD COLUMN tuned_steps INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device_evaluation ADD COLUMN loss_tuned REAL;
ALTER TABLE device_evaluation ADD COLUMN value_tuned REAL;
)sql";

Failure set_version(SqliteDatabase& database) {
  return database.execute(("PRAGMA user_version=" + std::to_string(kSchemaVersion)).c_str());
}

Failure create_tables(SqliteDatabase& database) {
  SqliteTransaction transaction(database);
  RUNNEL_TRY(transaction.begin_write());
  // Another process may have been first while this one waited for the lock.
  Result<int64_t> tables = database.query_integer("SELECT count(*) FROM sqlite_schema");
  if (!tables) return tables.failure();
  if (*tables == 0) {
    RUNNEL_TRY(database.execute(("PRAGMA application_id=" + std::to_string(kApplicationId)).c_str()));
    RUNNEL_TRY(database.execute(kSchema));
    RUNNEL_TRY(database.execute(kFormat2));
    RUNNEL_TRY(database.execute(kFormat3));
    RUNNEL_TRY(database.execute(kFormat4));
    RUNNEL_TRY(database.execute(kFormat5));
    RUNNEL_TRY(database.execute(kFormat6));
    RUNNEL_TRY(set_version(database));
  }
  return transaction.commit();
}

Failure upgrade(SqliteDatabase& database) {
  Result<int64_t> version = database.query_integer("PRAGMA user_version");
  if (!version) return version.failure();
  if (*version == kSchemaVersion) return Error::kOk;
  SqliteTransaction transaction(database);
  RUNNEL_TRY(transaction.begin_write());
  // Another process may have been first while this one waited for the lock.
  const Result<int64_t> now = database.query_integer("PRAGMA user_version");
  if (!now) return now.failure();
  if (*now < 2) RUNNEL_TRY(database.execute(kFormat2));
  if (*now < 3) RUNNEL_TRY(database.execute(kFormat3));
  if (*now < 4) RUNNEL_TRY(database.execute(kFormat4));
  if (*now < 5) RUNNEL_TRY(database.execute(kFormat5));
  if (*now < 6) RUNNEL_TRY(database.execute(kFormat6));
  RUNNEL_TRY(set_version(database));
  return transaction.commit();
}

Failure check_identity(SqliteDatabase& database) {
  Result<int64_t> application = database.query_integer("PRAGMA application_id");
  if (!application) return application.failure();
  if (*application != kApplicationId) {
    return fail(Error::kCorrupt, "%s: a database, but not a coordinator's", database.path().c_str());
  }
  Result<int64_t> version = database.query_integer("PRAGMA user_version");
  if (!version) return version.failure();
  if (*version > kSchemaVersion) {
    return fail(Error::kVersion,
                "%s: written by a newer runnel (format %lld, this one knows up to %lld); update runnel",
                database.path().c_str(), static_cast<long long>(*version), static_cast<long long>(kSchemaVersion));
  }
  if (*version < 1) {
    return fail(Error::kCorrupt, "%s: damaged: format number %lld", database.path().c_str(),
                static_cast<long long>(*version));
  }
  return Error::kOk;
}

Failure check_pages(SqliteDatabase& database) {
  SqliteStatement check(database, "PRAGMA quick_check(1)");
  Result<bool> row = check.step();
  if (!row) return row.failure();
  const std::string verdict = *row ? check.text(0) : "no verdict";
  return verdict == "ok" ? Failure(Error::kOk) : database.corrupt(verdict.c_str());
}

}  // namespace

Failure prepare_schema(SqliteDatabase& database, bool create) {
  // The first read: a file that is not a database fails here, before anything (the journal mode) is written to it.
  Result<int64_t> tables = database.query_integer("SELECT count(*) FROM sqlite_schema");
  if (!tables) return tables.failure();
  if (*tables == 0 && !create) return database.corrupt("the file is empty");
  if (*tables > 0) RUNNEL_TRY(check_identity(database));

  if (*tables == 0) RUNNEL_TRY(database.execute(("PRAGMA page_size=" + std::to_string(kPageBytes)).c_str()));
  // FULL: with WAL, a commit has then reached the disk before it returns.
  RUNNEL_TRY(database.execute("PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL"));
  RUNNEL_TRY(database.execute("PRAGMA journal_size_limit=16777216"));
  Result<int64_t> page_bytes = database.query_integer("PRAGMA page_size");
  if (!page_bytes) return page_bytes.failure();
  const int64_t pages = std::max<int64_t>(1, kCheckpointBytes / std::max<int64_t>(1, *page_bytes));
  RUNNEL_TRY(database.execute(("PRAGMA wal_autocheckpoint=" + std::to_string(pages)).c_str()));
  // Some builds of SQLite overwrite what is deleted: every update would be written a third time, as zeros, when its
  // round closes. FAST does so only where it costs no further page.
  RUNNEL_TRY(database.execute("PRAGMA secure_delete=FAST"));
  if (*tables == 0) {
    RUNNEL_TRY(create_tables(database));
    RUNNEL_TRY(check_identity(database));
  }
  RUNNEL_TRY(check_pages(database));
  // Foreign keys only from here on: an upgrade puts a table in the place of one that others refer to.
  RUNNEL_TRY(upgrade(database));
  return database.execute("PRAGMA foreign_keys=ON");
}

}  // namespace runnel::coordinator
