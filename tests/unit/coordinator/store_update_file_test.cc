// The bytes of accepted updates beside the database: power that fails at any byte, disks that refuse, files that are
// damaged or gone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <memory>

#include "coordinator/store/sqlite_store.h"
#include "runtime/base/crc32c.h"
#include "runtime/base/rng.h"
#include "tests/unit/coordinator/failing_disk.h"
#include "tests/unit/coordinator/temp_folder.h"

namespace runnel::coordinator {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

constexpr size_t kLargeBytes = 100'000;
constexpr size_t kSectorBytes = 512;

UpdateRecord update(uint32_t round, const std::string& device, size_t bytes = kLargeBytes) {
  UpdateRecord record;
  record.round = record.merged_into = round;
  record.device = device;
  record.sequence = round;
  record.model_version = round;
  record.sample_count = 5;
  Rng rng(1000 * round + static_cast<uint64_t>(device.back()));
  record.blob.allocate(bytes);
  for (uint8_t& byte : record.blob) byte = static_cast<uint8_t>(rng.next_u64());
  record.checksum = crc32c(record.blob);
  return record;
}

class StoreUpdateFile : public testing::Test {
 protected:
  void SetUp() override {
    open(true);
    ASSERT_TRUE(store_->create_run({7, "plan", "model"}, {1, {1.0F, 2.0F}}).ok());
    ASSERT_TRUE(store_->open_round({1, 1, {"a", "b", "c"}, 0}).ok());
  }
  void open(bool create = false) {
    store_.reset();
    Result<std::unique_ptr<SqliteStore>> opened = SqliteStore::open(path_, create);
    ASSERT_TRUE(opened.ok()) << opened.failure().text();
    store_ = std::move(*opened);
  }
  Failure accept(std::vector<UpdateRecord> updates) { return store_->accept_updates(updates); }
  void next_round(uint32_t closing) {
    RoundResult result;
    result.round = closing;
    result.model = {closing + 1, {2.0F, 3.0F}};
    ASSERT_TRUE(store_->close_round(result).ok());
    ASSERT_TRUE(store_->open_round({closing + 1, closing + 1, {"a", "b", "c"}, 0}).ok());
  }
  uint64_t file_bytes() const { return fs::file_size(updates_); }

  // What a power failure leaves: the database with its log as it is now, and those bytes beside it.
  struct Disk {
    TempFolder folder;
    std::string path = folder.file("fleet.db");
    explicit Disk(const std::string& from) {
      fs::copy_file(from, path);
      fs::copy_file(from + "-wal", path + "-wal");
    }
    void set_updates(const std::string& bytes) const { write_text(path + "-updates", bytes); }
  };
  static std::vector<std::string> accepted_on(const std::string& path, const std::vector<UpdateRecord>& known) {
    Result<std::unique_ptr<SqliteStore>> store = SqliteStore::open(path, false);
    EXPECT_TRUE(store.ok()) << store.failure().text();
    const Result<Snapshot> snapshot = (*store)->load();
    EXPECT_TRUE(snapshot.ok()) << snapshot.failure().text();
    std::vector<std::string> names;
    if (!snapshot.ok()) return {"unreadable"};
    for (const UpdateRecord& found : snapshot->accepted) {
      const auto same = [&](const UpdateRecord& one) { return one.device == found.device && one.blob == found.blob; };
      names.push_back(std::any_of(known.begin(), known.end(), same) ? found.device : "another's bytes");
    }
    return names;
  }

  TempFolder folder_;
  std::string path_ = folder_.file("fleet.db");
  std::string updates_ = path_ + "-updates";
  std::unique_ptr<SqliteStore> store_;
};

TEST_F(StoreUpdateFile, KeepsUpdatesBesideTheDatabaseUntilTheirRoundCloses) {
  const std::vector<UpdateRecord> first{update(1, "a"), update(1, "b", 70'001)};
  const uint64_t log_before = fs::file_size(path_ + "-wal");
  ASSERT_TRUE(accept(first).ok());
  EXPECT_EQ(mode_of(updates_), 0600U);
  EXPECT_EQ(file_bytes(), kLargeBytes + 70'001);
  EXPECT_LT(fs::file_size(path_ + "-wal") - log_before, kLargeBytes + 70'001) << "the bytes are not in the log too";
  ASSERT_TRUE(accept({update(1, "c")}).ok());
  EXPECT_EQ(file_bytes(), UpdateFile::next_block(kLargeBytes + 70'001) + kLargeBytes);
  open();
  const Result<Snapshot> snapshot = store_->load();
  ASSERT_TRUE(snapshot.ok()) << snapshot.failure().text();
  ASSERT_EQ(snapshot->accepted.size(), 3U);
  EXPECT_EQ(snapshot->accepted[0].blob, first[0].blob);
  EXPECT_EQ(snapshot->accepted[1].blob, first[1].blob);
  EXPECT_EQ(snapshot->accepted[2].blob, update(1, "c").blob);

  const uint64_t before = file_bytes();
  next_round(1);
  ASSERT_TRUE(accept({update(2, "a")}).ok());
  EXPECT_EQ(file_bytes(), before) << "the next round writes over what was the last one's";
  EXPECT_EQ(store_->load()->accepted.at(0).blob, update(2, "a").blob);
}

TEST_F(StoreUpdateFile, FewBytesStayInTheirRows) {
  ASSERT_TRUE(accept({update(1, "a", 30'000), update(1, "b", 30'000)}).ok());
  EXPECT_FALSE(fs::exists(updates_));
  ASSERT_TRUE(accept({update(1, "c")}).ok());
  EXPECT_EQ(accepted_on(path_, {update(1, "a", 30'000), update(1, "b", 30'000), update(1, "c")}).size(), 3U);
}

TEST_F(StoreUpdateFile, GivesTheRoomOfALargeRoundBack) {
  ASSERT_TRUE(accept({update(1, "a", UpdateFile::kKeptBytes), update(1, "b")}).ok());
  EXPECT_GT(file_bytes(), UpdateFile::kKeptBytes);
  next_round(1);
  EXPECT_EQ(file_bytes(), UpdateFile::kKeptBytes);
}

// Before the commit nothing of the new bytes counts, in whatever order and however far they reached the disk.
TEST_F(StoreUpdateFile, PowerFailsBeforeTheCommit) {
  const std::vector<UpdateRecord> known{update(1, "a"), update(1, "b"), update(1, "c")};
  ASSERT_TRUE(accept({known[0]}).ok());
  const std::string before = read_text(updates_);
  std::string after;
  {
    const Disk disk(path_);  // the log of before
    ASSERT_TRUE(accept({known[1], known[2]}).ok());
    after = read_text(updates_);
    ASSERT_GT(after.size(), before.size());
    Rng rng(5);
    for (int trial = 0; trial < 40; ++trial) {
      std::string torn = after.substr(0, before.size() + rng.below(after.size() - before.size() + 1));
      for (size_t at = UpdateFile::next_block(before.size()); at < torn.size(); at += kSectorBytes) {
        if (rng.below(2) == 0) torn.replace(at, kSectorBytes, std::string(kSectorBytes, '\0'));
      }
      disk.set_updates(torn);
      ASSERT_THAT(accepted_on(disk.path, known), testing::ElementsAre("a")) << "trial " << trial;
    }
    Result<std::unique_ptr<SqliteStore>> store = SqliteStore::open(disk.path, false);
    ASSERT_TRUE(store.ok());
    ASSERT_TRUE((*store)->accept_updates(std::vector{known[1], known[2]}).ok()) << "and it comes again";
    EXPECT_EQ(accepted_on(disk.path, known).size(), 3U);
  }
  const Disk later(path_);
  later.set_updates(after);
  EXPECT_EQ(accepted_on(later.path, known).size(), 3U);
}

// The next round writes where the last one's bytes were: until its own commit, nothing counts there.
TEST_F(StoreUpdateFile, PowerFailsWhileTheNextRoundWritesOverTheLast) {
  const std::vector<UpdateRecord> known{update(1, "a"), update(2, "b")};
  ASSERT_TRUE(accept({known[0]}).ok());
  const std::string last = read_text(updates_);
  const Disk full(path_);  // the round is open, its bytes count
  full.set_updates(last);
  EXPECT_THAT(accepted_on(full.path, known), testing::ElementsAre("a"));
  next_round(1);
  const Disk empty(path_);
  ASSERT_TRUE(accept({known[1]}).ok());
  std::string mixed = read_text(updates_);
  for (size_t at = 0; at < mixed.size(); at += 2 * kSectorBytes)
    mixed.replace(at, kSectorBytes, last, at, kSectorBytes);
  empty.set_updates(mixed);
  EXPECT_TRUE(accepted_on(empty.path, known).empty());
}

// A write that is torn may spoil the sector that it begins in. What counts ends before that.
TEST_F(StoreUpdateFile, NoTwoWritesShareABlock) {
  ASSERT_TRUE(accept({update(1, "a", 65'537)}).ok());
  const std::string before = read_text(updates_);
  ASSERT_TRUE(accept({update(1, "b")}).ok());
  const std::string after = read_text(updates_);
  EXPECT_EQ(after.substr(0, before.size()), before);
  const ByteBuffer second = update(1, "b").blob;
  EXPECT_EQ(after.find(std::string(second.begin(), second.begin() + 64)), UpdateFile::next_block(before.size()));
}

TEST_F(StoreUpdateFile, ACommitInDoubtMayBeFoundOnTheDisk) {
  store_.reset();
  const FailingDisk disk;
  open();
  const std::vector<UpdateRecord> known{update(1, "a"), update(1, "b"), update(1, "c")};
  ASSERT_TRUE(accept({known[0]}).ok());
  disk.refuse(FailingDisk::Refuses::kSync);
  EXPECT_EQ(accept({known[1]}).error(), Error::kIo);
  const Disk found(path_);  // its log did reach the disk
  disk.refuse(FailingDisk::Refuses::kNothing);
  ASSERT_TRUE(accept({known[2]}).ok());
  found.set_updates(read_text(updates_));  // and so did the bytes of what came after, but not its log
  EXPECT_THAT(accepted_on(found.path, known), testing::ElementsAre("a", "b"));
  EXPECT_THAT(accepted_on(path_, known), testing::ElementsAre("a", "c")) << "for those who still have power";
  const uint64_t before = file_bytes();
  next_round(1);
  ASSERT_TRUE(accept({update(2, "a")}).ok());
  EXPECT_EQ(file_bytes(), before) << "after a commit that went through, nothing is in doubt";
}

TEST_F(StoreUpdateFile, AFullDiskUnderTheDatabaseTakesNoRoomBesideIt) {
  store_.reset();
  const FailingDisk disk;
  open();
  ASSERT_TRUE(accept({update(1, "a")}).ok());
  const uint64_t before = file_bytes();
  disk.refuse(FailingDisk::Refuses::kRoom);
  for (int trial = 0; trial < 3; ++trial) {
    const Failure full = accept({update(1, "b"), update(1, "c")});
    EXPECT_EQ(full.error(), Error::kStorageFull) << full.text();
    EXPECT_LE(file_bytes(), UpdateFile::next_block(before));
  }
  disk.refuse(FailingDisk::Refuses::kNothing);
  EXPECT_TRUE(accept({update(1, "b"), update(1, "c")}).ok());
  EXPECT_EQ(accepted_on(path_, {update(1, "a"), update(1, "b"), update(1, "c")}).size(), 3U);
}

TEST_F(StoreUpdateFile, WhatIsRefusedTakesNoRoom) {
  ASSERT_TRUE(accept({update(1, "a")}).ok());
  const uint64_t before = file_bytes();
  EXPECT_EQ(accept({update(1, "b"), update(1, "a")}).error(), Error::kDuplicate);
  EXPECT_LE(file_bytes(), UpdateFile::next_block(before));
  EXPECT_EQ(store_->load()->accepted.size(), 1U);
}

TEST_F(StoreUpdateFile, DamageIsFoundAndNamed) {
  ASSERT_TRUE(accept({update(1, "a"), update(1, "b")}).ok());
  const std::string intact = read_text(updates_);
  std::string flipped = intact;
  flipped[kLargeBytes + 7] = static_cast<char>(flipped[kLargeBytes + 7] ^ 4);
  write_text(updates_, flipped);
  open();
  Result<Snapshot> damaged = store_->load();
  EXPECT_EQ(damaged.error(), Error::kCorrupt);
  EXPECT_THAT(damaged.failure().text(), HasSubstr("update of b for round 1"));
  write_text(updates_, intact.substr(0, kLargeBytes));
  open();
  Result<Snapshot> cut = store_->load();
  EXPECT_EQ(cut.error(), Error::kCorrupt);
  EXPECT_THAT(cut.failure().text(), AllOf(HasSubstr(updates_), HasSubstr("too early")));
  fs::remove(updates_);
  open();
  Result<Snapshot> gone = store_->load();
  EXPECT_EQ(gone.error(), Error::kCorrupt);
  EXPECT_THAT(gone.failure().text(), AllOf(HasSubstr(updates_), HasSubstr("missing")));
  write_text(updates_, intact);
  open();
  EXPECT_TRUE(store_->load().ok());
}

// A file of format 4 has every update in a row, and keeps those there.
TEST_F(StoreUpdateFile, BringsAFileOfTheFourthFormatUpToDate) {
  const std::vector<UpdateRecord> known{update(1, "a", 60'000), update(1, "b")};
  ASSERT_TRUE(accept({known[0]}).ok());
  store_.reset();
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &handle), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(handle,
                         "ALTER TABLE device_evaluation DROP COLUMN tuned_steps;"
                         "ALTER TABLE device_evaluation DROP COLUMN loss_tuned;"
                         "ALTER TABLE device_evaluation DROP COLUMN value_tuned;"
                         "DROP TABLE update_extent; PRAGMA user_version=4",
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(handle);
  open();
  ASSERT_TRUE(accept({known[1]}).ok());
  EXPECT_THAT(accepted_on(path_, known), testing::ElementsAre("a", "b"));
}

}  // namespace
}  // namespace runnel::coordinator
