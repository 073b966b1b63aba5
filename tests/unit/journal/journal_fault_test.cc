// Write and sync errors, full disks, unreadable sectors and rotten bits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "runtime/journal/journal.h"
#include "tests/unit/journal/faulty_storage.h"
#include "tests/unit/journal/journal_state.h"

namespace runnel::journal::test {
namespace {

constexpr size_t kStorageBytes = size_t{2} * 440;

// Changes with a compaction in the middle, and the state after each.
struct History {
  std::vector<Change> changes;
  std::vector<State> states{State{}};

  explicit History(unsigned count) {
    Rng rng(11);
    for (unsigned i = 0; i < count; ++i) {
      Change change{static_cast<uint32_t>(rng.below(3)), std::nullopt};
      if (i % 5 != 4) {
        change.value = Bytes(static_cast<size_t>(rng.below(60)));
        for (uint8_t& byte : *change.value) byte = static_cast<uint8_t>(rng.next_u64());
      }
      changes.push_back(change);
      states.push_back(change.apply_to(states.back()));
    }
  }

  void apply_to(Storage& storage) const {
    auto journal = Journal::open(storage, {});
    ASSERT_TRUE(journal.ok());
    for (const Change& change : changes) ASSERT_TRUE(change.apply_to(*journal).ok());
    ASSERT_EQ(state_of(*journal), states.back());
  }
};

// Makes the k-th write (or sync) fail for every k, and then goes on: the failed change left no trace, now or after a
// restart.
void fail_each(bool syncs, Aftermath aftermath) {
  const History history(20);
  for (uint64_t k = 0;; ++k) {
    FaultyStorage storage(kStorageBytes, 0, k + 1);
    std::optional<Journal> journal(std::move(Journal::open(storage, {})).value());
    if (syncs) {
      storage.fail_syncs(k, 1);
    } else {
      storage.fail_writes(k, 1, Error::kStorageFull);
    }
    State state;
    unsigned failed = 0;
    for (const Change& change : history.changes) {
      const Failure failure = change.apply_to(*journal);
      if (failure.ok()) {
        state = change.apply_to(state);
      } else {
        ++failed;
        EXPECT_EQ(failure.error(), syncs ? Error::kIo : Error::kStorageFull);
        storage.reboot(aftermath, k);
        auto reopened = Journal::open(storage, {});
        ASSERT_TRUE(reopened.ok()) << k << ": " << reopened.failure().text();
        journal.emplace(std::move(reopened).value());
      }
      ASSERT_EQ(state_of(*journal), state) << k;
    }
    // Either the fault hit a change, or the retirement of an old bank, which is tried again; or the script has ended.
    if (failed == 0 && state == history.states.back() && k > 150) return;
    ASSERT_LE(failed, 1U);
  }
}

TEST(JournalFaultTest, AFailedWriteChangesNothing) {
  fail_each(false, Aftermath::kKeepAll);
  fail_each(false, Aftermath::kScatter);
}

TEST(JournalFaultTest, AFailedSyncChangesNothing) {
  fail_each(true, Aftermath::kKeepAll);
  fail_each(true, Aftermath::kScatter);
}

TEST(JournalFaultTest, AFullDiskLeavesTheJournalUsable) {
  FaultyStorage storage(kStorageBytes);
  auto journal = Journal::open(storage, {});
  ASSERT_TRUE(journal.ok());
  ASSERT_TRUE(journal->put(1, bytes_of("kept")).ok());
  ASSERT_TRUE(journal->put(2, bytes_of("also kept")).ok());
  const State state = state_of(*journal);
  for (uint64_t good_writes = 0; good_writes < 3; ++good_writes) {
    storage.fail_writes(good_writes, UINT64_MAX, Error::kStorageFull);
    EXPECT_EQ(journal->put(1, Bytes(30, 7)).error(), Error::kStorageFull);
    EXPECT_EQ(journal->erase(2).error(), Error::kStorageFull);
    EXPECT_EQ(state_of(*journal), state);
    storage.stop_faults();
  }
  EXPECT_TRUE(journal->put(1, Bytes(30, 8)).ok());
  EXPECT_TRUE(journal->erase(2).ok());
  auto reopened = Journal::open(storage, {});
  ASSERT_TRUE(reopened.ok());
  EXPECT_EQ(state_of(*reopened), (State{{1, Bytes(30, 8)}}));
}

TEST(JournalFaultTest, AReadErrorIsNeverTakenForTheEndOfTheLog) {
  FaultyStorage storage(kStorageBytes);
  History(8).apply_to(storage);
  const Bytes before = storage.bytes();
  storage.fail_reads(true);
  EXPECT_EQ(Journal::open(storage, {}).error(), Error::kIo);
  storage.fail_reads(false);
  EXPECT_EQ(storage.bytes(), before);
  auto journal = Journal::open(storage, {});
  ASSERT_TRUE(journal.ok());
  const uint32_t key = journal->keys()[0];
  Bytes value(static_cast<size_t>(journal->size(key).value()));
  storage.fail_reads(true);
  EXPECT_EQ(journal->verify(key).error(), Error::kIo);
  EXPECT_EQ(journal->read(key, 0, value).error(), Error::kIo);
}

// Opens a storage that has rotted. Whatever can be read must be the truth, or a state of the past that the report
// admits to.
// One thing no log can see: blank bytes over all of its last records look like its end (`may_end_early`).
void expect_honest(FaultyStorage& storage, const History& history, bool may_end_early = false) {
  auto journal = Journal::open(storage, {});
  if (!journal.ok()) {
    ASSERT_EQ(journal.error(), Error::kCorrupt) << journal.failure().text();
    return;
  }
  const RecoveryReport& report = journal->recovery();
  ASSERT_FALSE(report.formatted);
  unsigned corrupt = 0;
  State state;
  for (const uint32_t key : journal->keys()) {
    Bytes value(static_cast<size_t>(journal->size(key).value()));
    const Failure read = journal->read(key, 0, value);
    ASSERT_EQ(read.error(), journal->verify(key).error());
    if (read.ok()) {
      state.emplace(key, std::move(value));
    } else {
      ASSERT_EQ(read.error(), Error::kCorrupt);
      ++corrupt;
    }
  }
  ASSERT_EQ(corrupt, report.corrupt_values);
  if (corrupt == 0 && report.lost_records == 0) {
    ASSERT_TRUE(state == history.states.back() || report.dropped_tail || may_end_early);
    ASSERT_TRUE(std::count(history.states.begin(), history.states.end(), state) > 0);
  } else if (corrupt == 0) {
    ASSERT_TRUE(report.dropped_tail);
    ASSERT_TRUE(std::any_of(history.states.begin(), history.states.end(), [&](const State& past) {
      return std::includes(past.begin(), past.end(), state.begin(), state.end());
    }));
  } else if (!report.dropped_tail && !may_end_early) {
    for (const auto& [key, value] : state) ASSERT_EQ(history.states.back().at(key), value);
    ASSERT_EQ(state.size() + corrupt, history.states.back().size());
  }
  // It goes on working, and what is written now is not mixed up with what was dropped.
  const auto size_before = journal->keys().size();
  for (uint32_t key = 100; key < 103; ++key) ASSERT_TRUE(journal->put(key, Bytes(3, static_cast<uint8_t>(key))).ok());
  auto reopened = Journal::open(storage, {});
  ASSERT_TRUE(reopened.ok());
  ASSERT_FALSE(reopened->recovery().dropped_tail);
  ASSERT_EQ(reopened->keys().size(), size_before + 3);
  ASSERT_EQ(reopened->recovery().corrupt_values, corrupt);
}

TEST(JournalFaultTest, EveryFlippedBitIsFoundOrHarmless) {
  for (const unsigned count : {2U, 6U, 9U, 13U, 20U}) {
    const History history(count);
    FaultyStorage storage(kStorageBytes);
    ASSERT_NO_FATAL_FAILURE(history.apply_to(storage));
    const Bytes image = storage.bytes();
    for (uint64_t bit = 0; bit < image.size() * 8; ++bit) {
      storage.load(image);
      storage.flip_bit(bit);
      ASSERT_NO_FATAL_FAILURE(expect_honest(storage, history)) << count << " changes, bit " << bit;
    }
  }
}

TEST(JournalFaultTest, RottenSectorsAreFoundOrHarmless) {
  Rng rng(5);
  const History history(16);
  FaultyStorage storage(kStorageBytes);
  ASSERT_NO_FATAL_FAILURE(history.apply_to(storage));
  const Bytes image = storage.bytes();
  for (int round = 0; round < 4000; ++round) {
    Bytes rotten = image;
    const auto bytes = static_cast<size_t>(1 + rng.below(64));
    const auto at = static_cast<size_t>(rng.below(image.size() - bytes));
    const uint64_t kind = rng.below(3);
    for (size_t i = at; i < at + bytes; ++i) {
      rotten[i] = kind == 0 ? 0x00 : kind == 1 ? 0xFF : static_cast<uint8_t>(rng.next_u64());
    }
    storage.load(rotten);
    ASSERT_NO_FATAL_FAILURE(expect_honest(storage, history, kind < 2)) << "round " << round;
  }
}

TEST(JournalFaultTest, BitsThatRotWhileOpenAreFound) {
  FaultyStorage storage(kStorageBytes);
  auto journal = Journal::open(storage, {});
  ASSERT_TRUE(journal.ok());
  const Bytes value(40, 0x11);
  ASSERT_TRUE(journal->put(1, value).ok());
  const Bytes image = storage.bytes();
  unsigned found = 0;
  for (uint64_t bit = 0; bit < image.size() * 8; ++bit) {
    storage.load(image);
    storage.flip_bit(bit);
    Bytes read(value.size());
    const Failure failure = journal->read(1, 0, read);
    EXPECT_EQ(failure.error(), journal->verify(1).error());
    if (failure.ok()) {
      EXPECT_EQ(read, value);
    } else {
      EXPECT_EQ(failure.error(), Error::kCorrupt);
      ++found;
    }
  }
  EXPECT_EQ(found, value.size() * 8);
}

TEST(JournalFaultTest, ARottenValueStaysKnownAsSuchThroughCompaction) {
  FaultyStorage storage(kStorageBytes);
  auto journal = Journal::open(storage, {});
  ASSERT_TRUE(journal.ok());
  ASSERT_TRUE(journal->put(1, Bytes(40, 0x11)).ok());
  ASSERT_TRUE(journal->put(2, Bytes(40, 0x22)).ok());
  storage.flip_bit((kRecordsOffset + kHeaderBytes + 5) * 8);
  EXPECT_EQ(journal->verify(1).error(), Error::kCorrupt);
  const uint64_t epoch = journal->recovery().epoch;
  for (uint8_t i = 0; i < 20; ++i) ASSERT_TRUE(journal->put(2, Bytes(40, i)).ok());
  auto reopened = Journal::open(storage, {});
  ASSERT_TRUE(reopened.ok());
  EXPECT_GT(reopened->recovery().epoch, epoch);
  EXPECT_EQ(reopened->recovery().corrupt_values, 1U);
  EXPECT_EQ(reopened->verify(1).error(), Error::kCorrupt);
  EXPECT_TRUE(reopened->verify(2).ok());
  EXPECT_TRUE(reopened->put(1, Bytes(40, 0x33)).ok());
  EXPECT_TRUE(reopened->verify(1).ok());
}

TEST(JournalFaultTest, AcknowledgedChangesBehindARottenHeaderAreReportedLostAndStayDropped) {
  FaultyStorage storage(4096);
  auto journal = Journal::open(storage, {});
  ASSERT_TRUE(journal.ok());
  for (uint32_t key = 1; key <= 5; ++key) ASSERT_TRUE(journal->put(key, Bytes(8, static_cast<uint8_t>(key))).ok());
  const uint64_t second = kRecordsOffset + record_bytes(8);
  storage.flip_bit((second + 8) * 8);
  auto reopened = Journal::open(storage, {});
  ASSERT_TRUE(reopened.ok());
  EXPECT_EQ(reopened->recovery().lost_records, 4U);
  EXPECT_TRUE(reopened->recovery().dropped_tail);
  EXPECT_EQ(reopened->recovery().dropped_offset, second);
  // The very record that was lost, put again in its place, must not bring back those that followed it.
  ASSERT_TRUE(reopened->put(2, Bytes(8, 2)).ok());
  auto again = Journal::open(storage, {});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(state_of(*again), (State{{1, Bytes(8, 1)}, {2, Bytes(8, 2)}}));
  EXPECT_EQ(again->recovery().lost_records, 0U);
}

TEST(JournalFaultTest, ARottenCommitSlotIsCorruptAndNotYesterdaysState) {
  FaultyStorage storage(kStorageBytes);
  History(20).apply_to(storage);
  for (const uint64_t bank : {uint64_t{0}, uint64_t{kStorageBytes / 2}})
    storage.flip_bit((bank + kCommitOffset + 9) * 8);
  const auto journal = Journal::open(storage, {});
  EXPECT_EQ(journal.error(), Error::kCorrupt);
}

}  // namespace
}  // namespace runnel::journal::test
