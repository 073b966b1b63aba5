// Unfinished uploads in the store: appended, found again, ended with their update, and replaced.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <memory>
#include <numeric>

#include "coordinator/store/sqlite_store.h"
#include "tests/unit/coordinator/temp_folder.h"

namespace runnel::coordinator {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

UploadPart part(const std::string& device, uint64_t sequence, uint64_t offset, size_t bytes, int64_t saved_at = 5) {
  UploadPart made;
  made.device = device;
  made.run = 0xFEDCBA9876543210ULL;
  made.sequence = sequence;
  made.round = 1;
  made.model_version = 1;
  made.total_bytes = 1000;
  made.checksum = 0xABCD0000U + static_cast<uint32_t>(sequence);
  made.offset = offset;
  made.saved_at = saved_at;
  made.bytes.resize(bytes);
  std::iota(made.bytes.begin(), made.bytes.end(), static_cast<uint8_t>(offset));
  return made;
}

class StoreUploadsTest : public testing::Test {
 protected:
  void SetUp() override {
    reopen(true);
    ASSERT_TRUE(store_->create_run({7, "plan", "model"}, {1, {1.0F}}).ok());
    ASSERT_TRUE(store_->open_round({1, 1, {"a", "b"}, 0}).ok());
  }
  void reopen(bool create = false) {
    store_.reset();
    Result<std::unique_ptr<SqliteStore>> opened = SqliteStore::open(path_, create);
    ASSERT_TRUE(opened.ok()) << opened.failure().text();
    store_ = std::move(*opened);
  }
  Failure save(const std::vector<UploadPart>& parts, const std::vector<std::string>& forgotten = {}) {
    return store_->save_uploads(parts, forgotten);
  }
  std::vector<UploadPart> uploads() {
    reopen();
    Result<Snapshot> loaded = store_->load();
    EXPECT_TRUE(loaded.ok()) << loaded.failure().text();
    return loaded.ok() ? std::move(loaded->uploads) : std::vector<UploadPart>{};
  }
  std::vector<std::string> devices() {
    std::vector<std::string> names;
    for (const UploadPart& upload : uploads()) names.push_back(upload.device);
    return names;
  }

  TempFolder folder_;
  std::string path_ = folder_.file("fleet.db");
  std::unique_ptr<SqliteStore> store_;
};

TEST_F(StoreUploadsTest, PartsOfAnUpdateAreOneAfterARestart) {
  ASSERT_TRUE(save({part("b", 3, 0, 200), part("a", 0xFFFFFFFFFFFFFFFFULL, 0, 10)}).ok());
  ASSERT_TRUE(save({part("b", 3, 200, 100, 6)}).ok());
  ASSERT_TRUE(save({part("b", 3, 300, 1, 7)}).ok());
  const std::vector<UploadPart> found = uploads();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].device, "a");
  EXPECT_EQ(found[0].sequence, 0xFFFFFFFFFFFFFFFFULL);
  const UploadPart expected = part("b", 3, 0, 301, 7);
  EXPECT_EQ(found[1].run, expected.run);
  EXPECT_EQ(found[1].sequence, 3U);
  EXPECT_EQ(found[1].round, 1U);
  EXPECT_EQ(found[1].model_version, 1U);
  EXPECT_EQ(found[1].total_bytes, 1000U);
  EXPECT_EQ(found[1].checksum, expected.checksum);
  EXPECT_EQ(found[1].saved_at, 7);
  EXPECT_EQ(found[1].offset, 0U);
  // Each part counts on from its own offset, so that the whole shows their order.
  std::vector<uint8_t> bytes = part("b", 3, 0, 200).bytes;
  for (const UploadPart& more : {part("b", 3, 200, 100), part("b", 3, 300, 1)})
    bytes.insert(bytes.end(), more.bytes.begin(), more.bytes.end());
  EXPECT_EQ(found[1].bytes, bytes);
}

TEST_F(StoreUploadsTest, AnAcceptedUpdateEndsItsParts) {
  ASSERT_TRUE(save({part("a", 3, 0, 200), part("b", 9, 0, 50)}).ok());
  UpdateRecord accepted;
  accepted.round = accepted.merged_into = 1;
  accepted.device = "a";
  accepted.sequence = 3;
  UpdateRecord older = accepted;
  older.device = "b";
  older.sequence = 8;
  ASSERT_TRUE(store_->accept_updates(std::vector{accepted, older}).ok());
  EXPECT_THAT(devices(), ElementsAre("b")) << "b's newer one is still on its way";
}

TEST_F(StoreUploadsTest, ForgetsAndReplaces) {
  ASSERT_TRUE(save({part("a", 3, 0, 200), part("b", 3, 0, 200), part("c", 3, 0, 200)}).ok());
  ASSERT_TRUE(save({part("a", 4, 0, 7), part("c", 3, 0, 5)}, {"b", "c", "nobody"}).ok());
  const std::vector<UploadPart> found = uploads();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].sequence, 4U);
  EXPECT_EQ(found[0].bytes.size(), 7U);
  EXPECT_EQ(found[1].device, "c");
  EXPECT_EQ(found[1].bytes.size(), 5U) << "forgotten first, then begun anew";
}

TEST_F(StoreUploadsTest, AGapChangesNothing) {
  ASSERT_TRUE(save({part("a", 3, 0, 200)}).ok());
  const Failure gap = save({part("b", 1, 0, 5), part("a", 3, 201, 1)}, {"a"});
  EXPECT_EQ(gap.error(), Error::kInvalidArgument);
  EXPECT_EQ(save({part("a", 3, 199, 10)}).error(), Error::kInvalidArgument);
  EXPECT_EQ(save({part("a", 4, 200, 10)}).error(), Error::kInvalidArgument) << "another update";
  EXPECT_EQ(save({part("a", 3, 200, 801)}).error(), Error::kInvalidArgument) << "beyond its end";
  const std::vector<UploadPart> found = uploads();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].bytes.size(), 200U);
}

TEST_F(StoreUploadsTest, AFullDiskLeavesWhatWasThere) {
  ASSERT_TRUE(save({part("a", 3, 0, 200)}).ok());
  store_->set_file_bytes_max(4096);
  UploadPart large = part("a", 3, 200, 800);
  large.total_bytes = 1000;
  std::vector<UploadPart> many{large};
  for (int i = 0; i < 100; ++i) many.push_back(part("x" + std::to_string(i), 1, 0, 1000));
  EXPECT_EQ(save(many).error(), Error::kStorageFull);
  EXPECT_EQ(uploads().at(0).bytes.size(), 200U);
  EXPECT_TRUE(save(many).ok());
  EXPECT_EQ(uploads().size(), 101U);
}

TEST_F(StoreUploadsTest, AFlippedBitIsFound) {
  ASSERT_TRUE(save({part("a", 3, 0, 200)}).ok());
  store_.reset();
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &handle), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(handle, "UPDATE upload_part SET bytes = zeroblob(200)", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(handle);
  reopen();
  const Result<Snapshot> damaged = store_->load();
  EXPECT_EQ(damaged.error(), Error::kCorrupt);
  EXPECT_THAT(damaged.failure().text(), HasSubstr("unfinished update 3 of a"));
}

TEST_F(StoreUploadsTest, NothingToSaveIsNoTransaction) {
  EXPECT_TRUE(save({}).ok());
  EXPECT_THAT(devices(), IsEmpty());
}

}  // namespace
}  // namespace runnel::coordinator
