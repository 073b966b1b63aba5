#include "runtime/host/file_storage.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "runtime/host/file_bytes.h"
#include "runtime/journal/journal.h"

namespace runnel::host {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Bytes = std::vector<uint8_t>;
namespace fs = std::filesystem;

class FileStorageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "runnel_storage_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = (folder_ / "outbox.journal").string();
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::unique_ptr<FileStorage> open(const std::string& path, uint64_t bytes, bool preallocate = false) {
    auto storage = FileStorage::open(path, {.capacity_bytes = bytes, .preallocate = preallocate});
    EXPECT_TRUE(storage.ok()) << storage.failure().text();
    return storage.ok() ? std::move(storage).value() : nullptr;
  }

  fs::path folder_;
  std::string path_;
};

TEST_F(FileStorageTest, CreatesAFileOfItsCapacityForItsOwnerAlone) {
  const auto storage = open(path_, 10000);
  ASSERT_NE(storage, nullptr);
  EXPECT_EQ(storage->size_bytes(), 10000U);
  EXPECT_EQ(fs::file_size(path_), 10000U);
  EXPECT_EQ(fs::status(path_).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  Bytes bytes(10000, 0xEE);
  ASSERT_EQ(storage->read(0, bytes), Error::kOk);
  EXPECT_EQ(bytes, Bytes(10000, 0));
}

TEST_F(FileStorageTest, ReadsWhatItWroteAlsoAfterReopening) {
  const Bytes written{1, 2, 3, 4, 5};
  {
    const auto storage = open(path_, 1000);
    ASSERT_NE(storage, nullptr);
    ASSERT_EQ(storage->write(995, written), Error::kOk);
    ASSERT_EQ(storage->sync(), Error::kOk);
  }
  const auto storage = open(path_, 1000);
  ASSERT_NE(storage, nullptr);
  Bytes read(5);
  ASSERT_EQ(storage->read(995, read), Error::kOk);
  EXPECT_EQ(read, written);
  EXPECT_TRUE(storage->last_failure().empty());
}

TEST_F(FileStorageTest, RefusesRangesOutsideTheFile) {
  const auto storage = open(path_, 100);
  ASSERT_NE(storage, nullptr);
  Bytes bytes(2);
  EXPECT_EQ(storage->read(99, bytes), Error::kInvalidArgument);
  EXPECT_EQ(storage->write(99, bytes), Error::kInvalidArgument);
  EXPECT_EQ(storage->write(UINT64_MAX, bytes), Error::kInvalidArgument);
  EXPECT_THAT(storage->last_failure(), StartsWith(path_));
  EXPECT_EQ(fs::file_size(path_), 100U);
}

TEST_F(FileStorageTest, ExtendsAShorterFileAndKeepsALongerOne) {
  open(path_, 100);
  EXPECT_EQ(open(path_, 300)->size_bytes(), 300U);
  EXPECT_EQ(fs::file_size(path_), 300U);
  EXPECT_EQ(open(path_, 200)->size_bytes(), 300U);
  EXPECT_EQ(fs::file_size(path_), 300U);
}

TEST_F(FileStorageTest, PreallocatesWhenAsked) {
  constexpr uint64_t kBytes = 256 << 10;
  struct stat status {};
  const auto storage = open(path_, kBytes, true);
  ASSERT_NE(storage, nullptr);
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_GE(static_cast<uint64_t>(status.st_blocks) * 512, kBytes);
}

TEST_F(FileStorageTest, SaysWhenTheFileIsCutShortUnderIt) {
  const auto storage = open(path_, 1000);
  ASSERT_NE(storage, nullptr);
  fs::resize_file(path_, 10);
  Bytes bytes(100);
  EXPECT_EQ(storage->read(0, bytes), Error::kIo);
  EXPECT_THAT(storage->last_failure(), HasSubstr("cut short"));
}

TEST_F(FileStorageTest, NamesThePathWhenItCannotOpen) {
  const auto missing = FileStorage::open((folder_ / "no" / "such").string(), {.capacity_bytes = 10});
  EXPECT_EQ(missing.error(), Error::kNotFound);
  EXPECT_THAT(missing.failure().text(), HasSubstr("no/such: open: No such file"));
  EXPECT_FALSE(FileStorage::open(folder_.string(), {.capacity_bytes = 10}).ok());
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  const auto pipe = FileStorage::open(path_, {.capacity_bytes = 10});
  EXPECT_EQ(pipe.error(), Error::kInvalidArgument);
  EXPECT_TRUE(fs::exists(path_));
}

TEST_F(FileStorageTest, ASecondOwnerIsRefusedUntilTheFirstIsGone) {
  auto first = open(path_, 1000);
  ASSERT_NE(first, nullptr);
  const auto second = FileStorage::open(path_, {.capacity_bytes = 2000});
  EXPECT_EQ(second.error(), Error::kBusy);
  EXPECT_THAT(second.failure().text(), EndsWith("/outbox.journal is in use by another process"));
  EXPECT_EQ(fs::file_size(path_), 1000U);
  first.reset();
  EXPECT_NE(open(path_, 1000), nullptr);
}

TEST_F(FileStorageTest, AnotherProcessIsRefusedAndAKilledOneLeavesNoLock) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto storage = FileStorage::open(path_, {.capacity_bytes = 1000});
    const char sign = storage.ok() ? 'y' : 'n';
    if (::write(ready[1], &sign, 1) != 1) ::_exit(2);
    for (;;) ::pause();
  }
  char sign = 0;
  ASSERT_EQ(::read(ready[0], &sign, 1), 1);
  ASSERT_EQ(sign, 'y');
  EXPECT_EQ(FileStorage::open(path_, {.capacity_bytes = 1000}).error(), Error::kBusy);
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_NE(open(path_, 1000), nullptr);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(FileStorageTest, AJournalInAFileSurvivesRestarts) {
  for (uint8_t life = 0; life < 30; ++life) {
    const auto storage = open(path_, 2048);
    ASSERT_NE(storage, nullptr);
    auto journal = journal::Journal::open(*storage, {});
    ASSERT_TRUE(journal.ok()) << journal.failure().text();
    EXPECT_EQ(journal->recovery().formatted, life == 0);
    for (uint8_t key = 0; key < 3 && life > 0; ++key) {
      Bytes value(100);
      ASSERT_TRUE(journal->read(key, 0, value).ok());
      EXPECT_EQ(value, Bytes(100, static_cast<uint8_t>(life - 1 + key)));
    }
    for (uint8_t key = 0; key < 3; ++key) {
      ASSERT_TRUE(journal->put(key, Bytes(100, static_cast<uint8_t>(life + key))).ok());
    }
  }
}

// A small file system of its own, when the test may mount one.
class SmallDiskTest : public FileStorageTest {
 protected:
  void SetUp() override {
    FileStorageTest::SetUp();
    if (::mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=64k") != 0) {
      GTEST_SKIP() << "mounting a tmpfs of 64 KiB is not permitted here";
    }
    mounted_ = true;
  }
  void TearDown() override {
    if (mounted_) ::umount(folder_.c_str());
    FileStorageTest::TearDown();
  }
  // Fills the disk but for `spare_bytes`; the file's removal gives the space back.
  std::string fill_disk(uint64_t spare_bytes) {
    const uint64_t available = fs::space(folder_).available;
    const std::string path = (folder_ / "filler").string();
    const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    EXPECT_EQ(::posix_fallocate(file.get(), 0, static_cast<off_t>(available - spare_bytes)), 0);
    return path;
  }
  bool mounted_ = false;
};

TEST_F(SmallDiskTest, PreallocatingOnAFullDiskFailsAtTheStartAndLeavesNoFile) {
  const auto storage = FileStorage::open(path_, {.capacity_bytes = 256 << 10, .preallocate = true});
  EXPECT_EQ(storage.error(), Error::kStorageFull);
  EXPECT_THAT(storage.failure().text(), HasSubstr("outbox.journal: take the disk space: No space left"));
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(SmallDiskTest, AJournalOnAFullDiskLosesNothingAndGoesOnWhenThereIsSpace) {
  const auto storage = open(path_, 128 << 10);
  ASSERT_NE(storage, nullptr);
  auto journal = journal::Journal::open(*storage, {});
  ASSERT_TRUE(journal.ok());
  ASSERT_TRUE(journal->put(1, Bytes(1000, 1)).ok());
  const std::string filler = fill_disk(8 << 10);
  Bytes value(1000);
  for (int attempt = 0; attempt < 3; ++attempt) {
    const Failure failure = journal->put(1, Bytes(30000, 2));
    ASSERT_EQ(failure.error(), Error::kStorageFull);
    EXPECT_THAT(storage->last_failure(), HasSubstr("No space left"));
    EXPECT_TRUE(journal->read(1, 0, value).ok());
  }
  {
    auto reopened = journal::Journal::open(*storage, {});
    ASSERT_TRUE(reopened.ok());
    EXPECT_TRUE(reopened->read(1, 0, value).ok());
    EXPECT_EQ(value, Bytes(1000, 1));
  }
  fs::remove(filler);
  ASSERT_TRUE(journal->put(1, Bytes(30000, 2)).ok());
  EXPECT_EQ(journal::Journal::open(*storage, {})->size(1).value(), 30000U);
}

TEST_F(SmallDiskTest, ReplacingAFileOnAFullDiskKeepsTheOldOneAndNoTemporary) {
  ASSERT_TRUE(write_file_atomically(path_, Bytes(100, 1)).ok());
  fill_disk(4 << 10);
  const Failure failure = write_file_atomically(path_, Bytes(50000, 2));
  EXPECT_EQ(failure.error(), Error::kStorageFull);
  EXPECT_EQ(read_file(path_, 1000).value(), Bytes(100, 1));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 2);
}

// A file size limit is a full disk that needs no privilege. In a process of its own: a limit once lowered stays.
TEST_F(FileStorageTest, AFileSizeLimitIsAFullStorage) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const auto storage = FileStorage::open(path_, {.capacity_bytes = 64 << 10});
    if (!storage.ok()) ::_exit(1);
    const rlimit limit{8 << 10, 8 << 10};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(2);
    auto journal = journal::Journal::open(**storage, {});
    if (!journal.ok() || !journal->put(1, Bytes(100, 1)).ok()) ::_exit(3);
    if (journal->put(1, Bytes(20000, 2)).error() != Error::kStorageFull) ::_exit(4);
    if (!journal->put(2, Bytes(100, 3)).ok()) ::_exit(5);
    if (FileStorage::open(path_ + "2", {.capacity_bytes = 9 << 10}).error() != Error::kStorageFull) ::_exit(6);
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  ASSERT_EQ(WEXITSTATUS(status), 0);
  EXPECT_FALSE(fs::exists(path_ + "2"));
  const auto storage = open(path_, 64 << 10);
  ASSERT_NE(storage, nullptr);
  auto journal = journal::Journal::open(*storage, {});
  ASSERT_TRUE(journal.ok());
  Bytes value(100);
  EXPECT_TRUE(journal->read(1, 0, value).ok());
  EXPECT_EQ(value, Bytes(100, 1));
  EXPECT_TRUE(journal->read(2, 0, value).ok());
  EXPECT_EQ(value, Bytes(100, 3));
}

TEST_F(FileStorageTest, ReadsWholeFilesUpToALimit) {
  EXPECT_EQ(read_file(path_, 10).error(), Error::kNotFound);
  EXPECT_FALSE(read_file(folder_.string(), 10).ok());
  Bytes bytes(200000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 31 >> 3);
  ASSERT_TRUE(write_file_atomically(path_, bytes).ok());
  EXPECT_EQ(read_file(path_, 200000).value(), bytes);
  EXPECT_EQ(read_file(path_, UINT64_MAX).value(), bytes);
  const auto refused = read_file(path_, 199999);
  EXPECT_EQ(refused.error(), Error::kLimit);
  EXPECT_THAT(refused.failure().text(), HasSubstr("outbox.journal: more than 199999 bytes"));
  ASSERT_TRUE(write_file_atomically(path_, {}).ok());
  EXPECT_TRUE(read_file(path_, 0).value().empty());
  EXPECT_FALSE(read_file("/proc/self/status", 1 << 20).value().empty());
}

TEST_F(FileStorageTest, ReplacesAFileWithItsModeAndLeavesNothingElse) {
  ASSERT_TRUE(write_file_atomically(path_, Bytes{1}, 0600).ok());
  EXPECT_EQ(fs::status(path_).permissions(), fs::perms(0600));
  ASSERT_TRUE(write_file_atomically(path_, Bytes{2, 3}, 0666).ok());
  EXPECT_EQ(fs::status(path_).permissions(), fs::perms(0666));
  EXPECT_EQ(read_file(path_, 10).value(), (Bytes{2, 3}));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(FileStorageTest, AFailedReplacementLeavesNoTemporary) {
  EXPECT_EQ(write_file_atomically((folder_ / "no" / "such").string(), Bytes{1}).error(), Error::kNotFound);
  fs::create_directory(path_);
  const Failure failure = write_file_atomically(path_, Bytes{1});
  EXPECT_EQ(failure.error(), Error::kIo);
  EXPECT_THAT(failure.text(), StartsWith(path_));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

}  // namespace
}  // namespace runnel::host
