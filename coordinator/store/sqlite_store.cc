// Opening, the run, its models, and what a restart goes on from. Rounds: sqlite_rounds.cc.
// Unfinished uploads: sqlite_uploads.cc. Devices: sqlite_devices.cc.
#include "coordinator/store/sqlite_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "coordinator/store/sqlite_database.h"
#include "coordinator/store/sqlite_schema.h"
#include "coordinator/store/sync_folder.h"
#include "runtime/base/crc32c.h"

namespace runnel::coordinator {
namespace {

// SQLite's own bound of a blob, so that a damaged length asks for no more memory than one in a row could.
constexpr uint64_t kBlobBytesMax = 1'000'000'000;

Failure create_file(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    return fail(errno == ENOSPC ? Error::kStorageFull : Error::kIo, "%s: %s", path.c_str(), std::strerror(errno));
  }
  ::close(descriptor);
  // The file's name must survive a power cut too, and SQLite looks after its contents only.
  return sync_folder_of(path);
}

ByteView parameter_bytes(const std::vector<float>& parameters) {
  return {reinterpret_cast<const uint8_t*>(parameters.data()), parameters.size() * sizeof(float)};
}

}  // namespace

SqliteStore::SqliteStore(std::unique_ptr<SqliteDatabase> database)
    : database_(std::move(database)), update_file_(database_->path() + "-updates") {}
SqliteStore::~SqliteStore() = default;

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& path, bool create) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno != ENOENT) return fail(Error::kIo, "%s: %s", path.c_str(), std::strerror(errno));
    if (!create) return fail(Error::kNotFound, "%s: no such file", path.c_str());
    RUNNEL_TRY(create_file(path));
  } else if (!S_ISREG(status.st_mode)) {
    return fail(Error::kCorrupt, "%s: not a file", path.c_str());
  }
  auto database = std::make_unique<SqliteDatabase>();
  RUNNEL_TRY(database->connect(path));
  sqlite3_busy_timeout(database->handle(), kBusyTimeoutMs);
  RUNNEL_TRY(prepare_schema(*database, create));
  return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(database)));
}

void SqliteStore::set_busy_timeout_ms(int timeout_ms) {
  sqlite3_busy_timeout(database_->handle(), timeout_ms);
}

void SqliteStore::set_file_bytes_max(uint64_t bytes_max) {
  Result<int64_t> page_bytes = database_->query_integer("PRAGMA page_size");
  if (!page_bytes || *page_bytes <= 0) return;
  const uint64_t pages = std::max<uint64_t>(1, bytes_max / static_cast<uint64_t>(*page_bytes));
  static_cast<void>(database_->query_integer(("PRAGMA max_page_count=" + std::to_string(pages)).c_str()));
  update_file_.set_bytes_max(bytes_max);
}

Failure SqliteStore::lock_for_run() {
  const std::filesystem::path path(database_->path());
  Result<RunLock> lock = RunLock::take((path.parent_path() / "run.lock").string());
  if (!lock) return lock.failure();
  run_lock_ = std::move(*lock);
  return Error::kOk;
}

Failure SqliteStore::create_run(const RunRecord& run, const ModelRecord& initial) {
  if (run.run == 0) return fail(Error::kInvalidArgument, "run 0 means no run");
  if (initial.version != 1 || initial.parameters.empty()) {
    return fail(Error::kInvalidArgument, "a run starts from model version 1, with parameters");
  }
  SqliteTransaction transaction(*database_);
  RUNNEL_TRY(transaction.begin_write());
  Result<int64_t> runs = database_->query_integer("SELECT count(*) FROM run");
  if (!runs) return runs.failure();
  if (*runs != 0) return fail(Error::kDuplicate, "%s: holds a run already", database_->path().c_str());
  SqliteStatement insert(*database_, "INSERT INTO run(only, run, plan_toml, model_toml) VALUES(1, ?, ?, ?)");
  RUNNEL_TRY(insert.bind(run.run).bind(run.plan_toml).bind(run.model_toml).run());
  RUNNEL_TRY(insert_model(initial));
  return transaction.commit();
}

Failure SqliteStore::insert_model(const ModelRecord& model) {
  const ByteView bytes = parameter_bytes(model.parameters);
  SqliteStatement insert(*database_, "INSERT INTO model(version, checksum, parameters) VALUES(?, ?, ?)");
  return insert.bind(model.version).bind(crc32c(bytes)).bind(bytes).run();
}

Result<uint64_t> SqliteStore::newest_version() {
  Result<int64_t> version = database_->query_integer("SELECT max(version) FROM model");
  if (!version) return version.failure();
  return static_cast<uint64_t>(*version);
}

Result<ModelRecord> SqliteStore::read_model(uint64_t version) {
  SqliteStatement select(*database_, "SELECT checksum, parameters FROM model WHERE version = ?");
  Result<bool> row = select.bind(version).step();
  if (!row) return row.failure();
  if (!*row) {
    SqliteStatement range(*database_, "SELECT coalesce(group_concat(version, ', '), 'none') FROM model");
    Result<bool> versions = range.step();
    if (!versions) return versions.failure();
    return fail(Error::kNotFound, "%s: no model version %llu; there are: %s", database_->path().c_str(),
                static_cast<unsigned long long>(version), range.text(0).c_str());
  }
  const ByteView bytes = select.blob(1);
  if (bytes.size() % sizeof(float) != 0 || crc32c(bytes) != select.integer<uint32_t>(0)) {
    return database_->corrupt(("model version " + std::to_string(version)).c_str());
  }
  ModelRecord model{version, std::vector<float>(bytes.size() / sizeof(float))};
  if (!bytes.empty()) std::memcpy(model.parameters.data(), bytes.data(), bytes.size());
  return model;
}

Result<ModelRecord> SqliteStore::model(uint64_t version) {
  SqliteTransaction transaction(*database_);
  RUNNEL_TRY(transaction.begin_read());
  if (version == 0) {
    Result<uint64_t> newest = newest_version();
    if (!newest) return newest.failure();
    version = *newest;
  }
  return read_model(version);
}

Result<RunRecord> SqliteStore::run() {
  SqliteStatement select(*database_, "SELECT run, plan_toml, model_toml FROM run");
  Result<bool> row = select.step();
  if (!row) return row.failure();
  if (!*row) return fail(Error::kNotFound, "%s: holds no run yet", database_->path().c_str());
  return RunRecord{select.integer<uint64_t>(0), select.text(1), select.text(2)};
}

Result<Snapshot> SqliteStore::load() {
  SqliteTransaction transaction(*database_);
  RUNNEL_TRY(transaction.begin_read());
  Snapshot snapshot;
  Result<RunRecord> record = run();
  if (!record) return record.failure();
  snapshot.run = std::move(*record);

  Result<uint64_t> newest = newest_version();
  if (!newest) return newest.failure();
  Result<ModelRecord> model = read_model(*newest);
  if (!model) {
    // A run without any model: the file was changed by something else.
    return model.error() == Error::kNotFound ? database_->corrupt("no model") : model.failure();
  }
  snapshot.model = std::move(*model);
  RUNNEL_TRY(load_downlink(snapshot));
  RUNNEL_TRY(load_optimizer_state(snapshot));

  Result<int64_t> closed = database_->query_integer("SELECT count(*) FROM round WHERE closed_at IS NOT NULL");
  if (!closed) return closed.failure();
  snapshot.rounds_closed = static_cast<uint32_t>(*closed);
  Result<std::vector<RoundHistory>> rounds = history();
  if (!rounds) return rounds.failure();
  snapshot.history = std::move(*rounds);
  RUNNEL_TRY(load_open_round(snapshot));
  RUNNEL_TRY(load_uploads(snapshot));
  return snapshot;
}

Failure SqliteStore::load_downlink(Snapshot& snapshot) {
  SqliteStatement exact(*database_, "SELECT checksum, parameters FROM exact_model WHERE version = ?");
  Result<bool> row = exact.bind(snapshot.model.version).step();
  if (!row) return row.failure();
  if (*row) {
    const ByteView bytes = exact.blob(1);
    if (bytes.size() != snapshot.model.parameters.size() * sizeof(float) || crc32c(bytes) != exact.integer<uint32_t>(0))
      return database_->corrupt("the exact model");
    snapshot.exact.resize(snapshot.model.parameters.size());
    if (!bytes.empty()) std::memcpy(snapshot.exact.data(), bytes.data(), bytes.size());
  }
  SqliteStatement deltas(*database_, "SELECT version, step, checksum, blob FROM model_delta ORDER BY version");
  for (;;) {
    Result<bool> next = deltas.step();
    if (!next) return next.failure();
    if (!*next) return Error::kOk;
    ModelDelta delta{deltas.integer<uint64_t>(0), static_cast<float>(deltas.real(1)), {}};
    const ByteView blob = deltas.blob(3);
    if (crc32c(blob) != deltas.integer<uint32_t>(2))
      return database_->corrupt(("the delta to model version " + std::to_string(delta.version)).c_str());
    delta.blob.assign(blob.begin(), blob.end());
    snapshot.deltas.push_back(std::move(delta));
  }
}

Failure SqliteStore::load_optimizer_state(Snapshot& snapshot) {
  SqliteStatement select(*database_, "SELECT checksum, state FROM optimizer_state WHERE version = ?");
  Result<bool> row = select.bind(snapshot.model.version).step();
  if (!row) return row.failure();
  if (!*row) return Error::kOk;
  const ByteView state = select.blob(1);
  if (crc32c(state) != select.integer<uint32_t>(0)) return database_->corrupt("the server optimizer's state");
  snapshot.optimizer_state.assign(state.begin(), state.end());
  return Error::kOk;
}

Failure SqliteStore::load_open_round(Snapshot& snapshot) {
  SqliteStatement open(*database_, "SELECT round, base_version, opened_at FROM round WHERE closed_at IS NULL");
  Result<bool> row = open.step();
  if (!row) return row.failure();
  snapshot.round_open = *row;
  if (!*row) return Error::kOk;
  snapshot.round.round = open.integer<uint32_t>(0);
  snapshot.round.base_version = open.integer<uint64_t>(1);
  snapshot.round.opened_at = open.integer<int64_t>(2);

  SqliteStatement cohort(*database_, "SELECT device FROM cohort WHERE round = ? ORDER BY device");
  cohort.bind(snapshot.round.round);
  for (;;) {
    Result<bool> member = cohort.step();
    if (!member) return member.failure();
    if (!*member) return load_accepted(snapshot);
    snapshot.round.selected.push_back(cohort.text(0));
  }
}

Failure SqliteStore::corrupt_update(const UpdateRecord& update) const {
  return database_->corrupt(("the update of " + update.device + " for round " + std::to_string(update.round)).c_str());
}

Failure SqliteStore::load_accepted(Snapshot& snapshot) {
  SqliteStatement updates(
      *database_,
      "SELECT u.round, u.device, u.sequence, u.model_version, u.sample_count, u.mean_loss, u.coordinates,"
      " u.payload_bytes, u.accepted_at, b.checksum, b.blob, u.merged_into, e.checksum, e.offset, e.bytes"
      " FROM accepted_update u LEFT JOIN update_blob b ON b.update_id = u.id"
      " LEFT JOIN update_extent e ON e.update_id = u.id"
      " WHERE u.merged_into = ? ORDER BY u.device, u.sequence");
  updates.bind(snapshot.round.round);
  for (;;) {
    Result<bool> row = updates.step();
    if (!row) return row.failure();
    if (!*row) return Error::kOk;
    UpdateRecord update;
    update.round = updates.integer<uint32_t>(0);
    update.merged_into = updates.integer<uint32_t>(11);
    update.device = updates.text(1);
    update.sequence = updates.integer<uint64_t>(2);
    update.model_version = updates.integer<uint64_t>(3);
    update.sample_count = updates.integer<uint32_t>(4);
    update.mean_loss = static_cast<float>(updates.real(5));
    update.coordinates = updates.integer<uint64_t>(6);
    update.payload_bytes = updates.integer<uint64_t>(7);
    update.accepted_at = updates.integer<int64_t>(8);
    const bool in_file = !updates.is_null(12);
    if (in_file) {
      const auto bytes = updates.integer<uint64_t>(14);
      if (bytes > kBlobBytesMax) return corrupt_update(update);
      if (!update.blob.allocate(bytes)) return fail(Error::kNoMemory, "no memory for the updates of the open round");
      RUNNEL_TRY(update_file_.read(updates.integer<uint64_t>(13), update.blob));
    } else {
      update.blob = ByteBuffer(updates.blob(10));
    }
    const int checksum = in_file ? 12 : 9;
    update.checksum = crc32c(update.blob);
    if (updates.is_null(checksum) || update.checksum != updates.integer<uint32_t>(checksum))
      return corrupt_update(update);
    snapshot.accepted.push_back(std::move(update));
  }
}

}  // namespace runnel::coordinator
