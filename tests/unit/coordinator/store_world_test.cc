// The store against the world: full disks, damaged and foreign files, newer versions, and other processes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <functional>
#include <memory>

#include "coordinator/store/sqlite_store.h"
#include "runtime/base/crc32c.h"
#include "tests/unit/coordinator/temp_folder.h"

namespace runnel::coordinator {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::unique_ptr<SqliteStore> open_store(const std::string& path, bool create = false) {
  Result<std::unique_ptr<SqliteStore>> store = SqliteStore::open(path, create);
  EXPECT_TRUE(store.ok()) << store.failure().text();
  return store.ok() ? std::move(*store) : nullptr;
}

Failure open_failure(const std::string& path, bool create = false) {
  Result<std::unique_ptr<SqliteStore>> store = SqliteStore::open(path, create);
  return store.failure();
}

// A store with an open round 1 of devices a and b.
std::unique_ptr<SqliteStore> store_with_round(const std::string& path) {
  std::unique_ptr<SqliteStore> store = open_store(path, true);
  EXPECT_TRUE(store->create_run({7, "plan", "model"}, {1, {1.0F, 2.0F, 3.0F}}).ok());
  EXPECT_TRUE(store->open_round({1, 1, {"a", "b"}, 0}).ok());
  return store;
}

std::vector<UpdateRecord> update_of(const std::string& device, size_t blob_bytes) {
  UpdateRecord update;
  update.round = 1;
  update.merged_into = 1;
  update.device = device;
  update.sequence = 1;
  update.model_version = 1;
  update.blob = ByteBuffer(std::vector<uint8_t>(blob_bytes, 0xA5));
  update.checksum = crc32c(update.blob);
  return {update};
}

void run_sql(const std::string& path, const char* sql) {
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &handle), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(handle, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(handle);
  sqlite3_close(handle);
}

int64_t pragma_of(const std::string& path, const char* sql) {
  sqlite3* handle = nullptr;
  EXPECT_EQ(sqlite3_open(path.c_str(), &handle), SQLITE_OK);
  sqlite3_stmt* statement = nullptr;
  EXPECT_EQ(sqlite3_prepare_v2(handle, sql, -1, &statement, nullptr), SQLITE_OK) << sqlite3_errmsg(handle);
  EXPECT_EQ(sqlite3_step(statement), SQLITE_ROW);
  const int64_t value = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(handle);
  return value;
}

// After a full disk: nothing of the failed call is there, everything before it is, and with room again the same call
// works.
void expect_survives_full_storage(std::unique_ptr<SqliteStore> store, const std::string& path,
                                  const std::function<void(SqliteStore&)>& make_room) {
  ASSERT_TRUE(store->accept_updates(update_of("a", 100)).ok());
  const Failure full = store->accept_updates(update_of("b", 3 << 20));
  EXPECT_EQ(full.error(), Error::kStorageFull) << full.text();
  EXPECT_THAT(full.text(), HasSubstr(path));
  EXPECT_FALSE(*store->has_update("b", 1));
  EXPECT_TRUE(*store->has_update("a", 1));
  ASSERT_EQ(store->load()->accepted.size(), 1U);

  make_room(*store);
  const Failure again = store->accept_updates(update_of("b", 3 << 20));
  EXPECT_TRUE(again.ok()) << again.text();
  store.reset();
  store = open_store(path);
  ASSERT_TRUE(store);
  ASSERT_EQ(store->load()->accepted.size(), 2U);
  EXPECT_EQ(store->load()->accepted[1].blob.size(), 3U << 20);
}

TEST(StoreWorldTest, SurvivesAFileAtItsBound) {
  TempFolder folder;
  const std::string path = folder.file("fleet.db");
  std::unique_ptr<SqliteStore> store = store_with_round(path);
  store->set_file_bytes_max(256 * 1024);
  expect_survives_full_storage(std::move(store), path, [](SqliteStore& full) { full.set_file_bytes_max(64U << 20); });
}

TEST(StoreWorldTest, SurvivesAFullDisk) {
  TempFolder folder;
  if (::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=2m") != 0) {
    GTEST_SKIP() << "mounting a small disk needs root and CAP_SYS_ADMIN";
  }
  const std::string path = folder.file("fleet.db");
  std::unique_ptr<SqliteStore> store = store_with_round(path);
  expect_survives_full_storage(std::move(store), path, [&folder](SqliteStore&) {
    EXPECT_EQ(::mount("tmpfs", folder.path().c_str(), "tmpfs", MS_REMOUNT, "size=32m"), 0);
  });
  EXPECT_EQ(::umount2(folder.path().c_str(), MNT_DETACH), 0);
}

// What format 3 changed, taken back.
constexpr char kBackToFormat2[] =
    "CREATE TABLE old_update(id INTEGER PRIMARY KEY, round INTEGER NOT NULL REFERENCES round(round),"
    " device TEXT NOT NULL, sequence INTEGER NOT NULL, model_version INTEGER NOT NULL, sample_count INTEGER NOT NULL,"
    " mean_loss REAL, coordinates INTEGER NOT NULL, payload_bytes INTEGER NOT NULL, accepted_at INTEGER NOT NULL,"
    " UNIQUE(device, sequence), UNIQUE(round, device)) STRICT;"
    "INSERT INTO old_update SELECT id, round, device, sequence, model_version, sample_count, mean_loss, coordinates,"
    " payload_bytes, accepted_at FROM accepted_update;"
    "DROP TABLE accepted_update; ALTER TABLE old_update RENAME TO accepted_update;"
    "DROP TABLE device_evaluation; ALTER TABLE evaluation DROP COLUMN metric; ALTER TABLE evaluation DROP COLUMN value;"
    "ALTER TABLE evaluation DROP COLUMN details; DROP TABLE update_extent; DROP TABLE optimizer_state; DROP TABLE "
    "upload_part; DROP TABLE "
    "upload; PRAGMA user_version=2";

TEST(StoreWorldTest, BringsAFileOfTheSecondFormatUpToDate) {
  TempFolder folder;
  const std::string path = folder.file("fleet.db");
  ASSERT_TRUE(store_with_round(path)->accept_updates(update_of("b", 100)).ok());
  run_sql(path, kBackToFormat2);
  for (int opened = 1; opened <= 2; ++opened) {
    const std::unique_ptr<SqliteStore> store = open_store(path);
    ASSERT_TRUE(store);
    const Result<Snapshot> snapshot = store->load();
    ASSERT_TRUE(snapshot.ok()) << snapshot.failure().text();
    ASSERT_EQ(snapshot->accepted.size(), 1U) << "its blob is still its own";
    EXPECT_EQ(snapshot->accepted[0].merged_into, 1U);
    EXPECT_EQ(snapshot->accepted[0].blob, update_of("b", 100)[0].blob);
    EXPECT_EQ(store->accept_updates(update_of("b", 1)).error(), Error::kDuplicate);
  }
  const std::unique_ptr<SqliteStore> store = open_store(path);
  std::vector<UpdateRecord> second = update_of("b", 10);
  second[0].sequence = 2;
  EXPECT_TRUE(store->accept_updates(second).ok()) << "a second one of the round";
  RoundResult closed;
  closed.round = 1;
  closed.model = {2, {2.0F, 3.0F, 4.0F}};
  EXPECT_TRUE(store->close_round(closed).ok());
}

// A file of format 1 is the same without what formats 2 and 3 added.
TEST(StoreWorldTest, BringsAFileOfTheFirstFormatUpToDate) {
  TempFolder folder;
  const std::string path = folder.file("fleet.db");
  RoundResult closed;
  closed.round = 1;
  closed.model = {2, {2.0F, 3.0F, 4.0F}};
  closed.update_energy = 5.0;
  ASSERT_TRUE(store_with_round(path)->close_round(closed).ok());
  run_sql(path, kBackToFormat2);
  run_sql(path,
          "ALTER TABLE round DROP COLUMN update_energy; ALTER TABLE round DROP COLUMN mean_energy;"
          "DROP TABLE exact_model; DROP TABLE model_delta; PRAGMA user_version=1");
  for (int opened = 1; opened <= 2; ++opened) {
    const std::unique_ptr<SqliteStore> store = open_store(path);
    ASSERT_TRUE(store);
    const Result<Snapshot> snapshot = store->load();
    ASSERT_TRUE(snapshot.ok()) << snapshot.failure().text();
    EXPECT_EQ(snapshot->model.parameters, closed.model.parameters);
    ASSERT_EQ(snapshot->history.size(), 1U);
    EXPECT_TRUE(std::isnan(snapshot->history[0].result.update_energy));
  }
}

// Some builds of SQLite write zeros over what is deleted.
TEST(StoreWorldTest, TheEndOfARoundDoesNotWriteItsUpdatesAgain) {
  TempFolder folder;
  const std::string path = folder.file("fleet.db");
  std::unique_ptr<SqliteStore> store = store_with_round(path);
  ASSERT_TRUE(store->accept_updates(update_of("a", 1 << 20)).ok());
  const uint64_t before = std::filesystem::file_size(path + "-wal");
  RoundResult closed;
  closed.round = 1;
  closed.model = {2, {2.0F, 3.0F, 4.0F}};
  ASSERT_TRUE(store->close_round(closed).ok());
  const uint64_t after = std::filesystem::file_size(path + "-wal");
  ASSERT_GT(after, before);
  EXPECT_LT(after - before, 512U << 10);
}

// A file keeps the pages that it was made with.
TEST(StoreWorldTest, GoesOnWithAFileOfSmallerPages) {
  TempFolder folder;
  const std::string path = folder.file("fleet.db");
  ASSERT_TRUE(store_with_round(path)->accept_updates(update_of("a", 100'000)).ok());
  EXPECT_EQ(pragma_of(path, "PRAGMA page_size"), 16 * 1024);
  run_sql(path, "PRAGMA journal_mode=DELETE; PRAGMA page_size=4096; VACUUM");
  ASSERT_EQ(pragma_of(path, "PRAGMA page_size"), 4096);
  std::unique_ptr<SqliteStore> store = open_store(path);
  ASSERT_TRUE(store);
  ASSERT_TRUE(store->accept_updates(update_of("b", 100'000)).ok());
  ASSERT_EQ(store->load()->accepted.size(), 2U);
  RoundResult closed;
  closed.round = 1;
  closed.model = {2, {2.0F, 3.0F, 4.0F}};
  EXPECT_TRUE(store->close_round(closed).ok());
  EXPECT_EQ(pragma_of(path, "PRAGMA page_size"), 4096);
  EXPECT_EQ(store->load()->model.version, 2U);
}

TEST(StoreWorldTest, NamesAMissingFile) {
  TempFolder folder;
  const Failure failure = open_failure(folder.file("fleet.db"));
  EXPECT_EQ(failure.error(), Error::kNotFound);
  EXPECT_THAT(failure.text(), HasSubstr(folder.file("fleet.db")));
  EXPECT_FALSE(std::filesystem::exists(folder.file("fleet.db"))) << "looking for it must not make it";
  EXPECT_EQ(open_failure(folder.path().string()).error(), Error::kCorrupt);
  EXPECT_EQ(open_failure(folder.file("no/such/folder/fleet.db"), true).error(), Error::kIo);
}

TEST(StoreWorldTest, RefusesWhatIsNotADatabase) {
  TempFolder folder;
  const std::string path = folder.file("fleet.db");
  const std::string letter(5000, 'x');
  write_text(path, letter);
  const Failure failure = open_failure(path, true);
  EXPECT_EQ(failure.error(), Error::kCorrupt);
  EXPECT_THAT(failure.text(), HasSubstr(path));
  EXPECT_EQ(read_text(path), letter) << "a stranger's file must stay as it is";
}

TEST(StoreWorldTest, RefusesAnEmptyFileAndAnotherProgramsDatabase) {
  TempFolder folder;
  write_text(folder.file("empty.db"), "");
  EXPECT_EQ(open_failure(folder.file("empty.db")).error(), Error::kCorrupt);
  EXPECT_TRUE(open_store(folder.file("empty.db"), true)) << "a creation that was cut short can be done again";
  run_sql(folder.file("other.db"), "CREATE TABLE bookmarks(url TEXT)");
  const Failure other = open_failure(folder.file("other.db"), true);
  EXPECT_EQ(other.error(), Error::kCorrupt);
  EXPECT_THAT(other.text(), AllOf(HasSubstr("other.db"), HasSubstr("not a coordinator's")));
}

TEST(StoreWorldTest, RefusesANewerFormat) {
  TempFolder folder;
  const std::string path = folder.file("fleet.db");
  store_with_round(path).reset();
  run_sql(path, "PRAGMA user_version=7");
  const Failure failure = open_failure(path);
  EXPECT_EQ(failure.error(), Error::kVersion);
  EXPECT_THAT(failure.text(), AllOf(HasSubstr(path), HasSubstr("format 7"), HasSubstr("newer runnel")));
}

TEST(StoreWorldTest, FindsDamagedPages) {
  TempFolder folder;
  const std::string path = folder.file("fleet.db");
  store_with_round(path).reset();
  const std::string intact = read_text(path);
  constexpr size_t kPageBytes = 16 * 1024;
  ASSERT_EQ(intact.size() % kPageBytes, 0U);
  ASSERT_GT(intact.size(), 3 * kPageBytes);
  unsigned found = 0;
  for (size_t page = 1; page < intact.size() / kPageBytes; ++page) {
    std::string damaged = intact;
    damaged.replace(page * kPageBytes, kPageBytes, std::string(kPageBytes, '\x5A'));
    write_text(path, damaged);
    Result<std::unique_ptr<SqliteStore>> opened = SqliteStore::open(path, false);
    ASSERT_FALSE(opened.ok()) << "page " << page;
    EXPECT_EQ(opened.error(), Error::kCorrupt) << opened.failure().text();
    EXPECT_THAT(opened.failure().text(), HasSubstr(path));
    ++found;
  }
  EXPECT_GT(found, 5U);
  write_text(path, intact.substr(0, intact.size() / 2));  // a copy that was cut short
  EXPECT_EQ(open_failure(path).error(), Error::kCorrupt);
}

TEST(StoreWorldTest, FindsAFlippedBitInAWeightAndInAnUpdate) {
  TempFolder folder;
  const std::string path = folder.file("fleet.db");
  std::unique_ptr<SqliteStore> store = store_with_round(path);
  ASSERT_TRUE(store->accept_updates(update_of("a", 64)).ok());
  store.reset();
  run_sql(path, "UPDATE update_blob SET blob = zeroblob(64)");
  Result<Snapshot> update_damaged = open_store(path)->load();
  EXPECT_EQ(update_damaged.error(), Error::kCorrupt);
  EXPECT_THAT(update_damaged.failure().text(), AllOf(HasSubstr(path), HasSubstr("update of a for round 1")));
  run_sql(path, "UPDATE model SET parameters = zeroblob(12)");
  Result<Snapshot> model_damaged = open_store(path)->load();
  EXPECT_EQ(model_damaged.error(), Error::kCorrupt);
  EXPECT_THAT(model_damaged.failure().text(), HasSubstr("model version 1"));
}

TEST(StoreWorldTest, WaitsForAnotherWriterThenSaysBusy) {
  TempFolder folder;
  const std::string path = folder.file("fleet.db");
  std::unique_ptr<SqliteStore> store = store_with_round(path);
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  store->set_busy_timeout_ms(10);
  const Failure busy = store->enroll({"a", "01", 1, false});
  EXPECT_EQ(busy.error(), Error::kBusy) << busy.text();
  EXPECT_TRUE(store->load().ok()) << "reading goes on while another writes";
  ASSERT_EQ(sqlite3_exec(other, "ROLLBACK", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(other);
  EXPECT_TRUE(store->enroll({"a", "01", 1, false}).ok());
}

TEST(StoreWorldTest, SeesWhatAnotherHandleWrote) {
  TempFolder folder;
  const std::string path = folder.file("fleet.db");
  std::unique_ptr<SqliteStore> running = store_with_round(path);
  std::unique_ptr<SqliteStore> enrolling = open_store(path);
  ASSERT_TRUE(enrolling->enroll({"late", "0A", 3, false}).ok());
  EXPECT_EQ(running->device("late")->serial, "0A");
  ASSERT_TRUE(enrolling->revoke("late").ok());
  EXPECT_TRUE(running->device("late")->revoked);
  EXPECT_EQ(enrolling->accept_updates(update_of("a", 5)).error(), Error::kOk);
  EXPECT_EQ(running->accept_updates(update_of("a", 5)).error(), Error::kDuplicate);
}

TEST(StoreWorldTest, KeepsWhatAProcessCommittedBeforeItWasKilled) {
  TempFolder folder;
  const std::string path = folder.file("fleet.db");
  store_with_round(path).reset();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::unique_ptr<SqliteStore> store = open_store(path);
    const bool good = store->lock_for_run().ok() && store->accept_updates(update_of("a", 1000)).ok();
    if (!good) ::_exit(1);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the child failed before it could be killed";
  std::unique_ptr<SqliteStore> store = open_store(path);
  EXPECT_TRUE(store->lock_for_run().ok()) << "the lock ends with its holder";
  EXPECT_EQ(store->load()->accepted.size(), 1U);
}

TEST(StoreWorldTest, LetsOneRunHoldTheFleet) {
  TempFolder folder;
  const std::string path = folder.file("fleet.db");
  std::unique_ptr<SqliteStore> first = store_with_round(path);
  std::unique_ptr<SqliteStore> second = open_store(path);
  ASSERT_TRUE(first->lock_for_run().ok());
  const Failure busy = second->lock_for_run();
  EXPECT_EQ(busy.error(), Error::kBusy);
  EXPECT_THAT(busy.text(), AllOf(HasSubstr("run.lock"), HasSubstr("process " + std::to_string(::getpid()))));
  EXPECT_TRUE(second->enroll({"a", "01", 1, false}).ok()) << "enrolling goes on beside a run";
  first.reset();
  EXPECT_TRUE(second->lock_for_run().ok());
}

}  // namespace
}  // namespace runnel::coordinator
