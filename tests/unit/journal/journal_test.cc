#include "runtime/journal/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/journal/faulty_storage.h"
#include "tests/unit/journal/journal_state.h"

namespace runnel::journal::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Journal open_or_die(Storage& storage, const JournalOptions& options = {}) {
  auto journal = Journal::open(storage, options);
  EXPECT_TRUE(journal.ok()) << journal.failure().text();
  return std::move(journal).value();
}

TEST(JournalTest, FormatsAnEmptyStorageOnce) {
  for (const uint8_t fill : {uint8_t{0x00}, uint8_t{0xFF}}) {
    FaultyStorage storage(1024, fill);
    EXPECT_TRUE(open_or_die(storage).recovery().formatted);
    const Journal journal = open_or_die(storage);
    EXPECT_FALSE(journal.recovery().formatted);
    EXPECT_FALSE(journal.recovery().dropped_tail);
    EXPECT_TRUE(journal.keys().empty());
  }
}

TEST(JournalTest, OpeningWritesNothingToAFormattedStorage) {
  FaultyStorage storage(1024);
  Journal journal = open_or_die(storage);
  ASSERT_TRUE(journal.put(1, bytes_of("one")).ok());
  const Bytes before = storage.bytes();
  storage.fail_writes(0, 1000, Error::kIo);
  EXPECT_EQ(state_of(open_or_die(storage)), (State{{1, bytes_of("one")}}));
  EXPECT_EQ(storage.bytes(), before);
}

TEST(JournalTest, KeepsTheLastValueOfEachKeyAcrossReopening) {
  FaultyStorage storage(4096);
  State expected;
  {
    Journal journal = open_or_die(storage);
    for (const Change& change :
         {Change{7, bytes_of("first")}, Change{3, bytes_of("three")}, Change{7, bytes_of("second, longer")},
          Change{9, bytes_of("gone")}, Change{9, std::nullopt}, Change{UINT32_MAX, Bytes(700, 0xAB)}}) {
      ASSERT_TRUE(change.apply_to(journal).ok());
      expected = change.apply_to(expected);
      EXPECT_EQ(state_of(journal), expected);
    }
  }
  const Journal journal = open_or_die(storage);
  EXPECT_EQ(state_of(journal), expected);
  const auto keys = journal.keys();
  EXPECT_THAT(std::vector<uint32_t>(keys.begin(), keys.end()), ElementsAre(3, 7, UINT32_MAX));
  EXPECT_EQ(journal.recovery().replayed_records, 6U);
}

TEST(JournalTest, JoinsPartsAndReadsAnyRange) {
  FaultyStorage storage(8192);
  Journal journal = open_or_die(storage);
  const Bytes head = bytes_of("head|");
  const Bytes body(1500, 'b');
  const ByteView parts[] = {head, {}, body, head};
  ASSERT_TRUE(journal.put(5, parts).ok());
  ASSERT_EQ(journal.size(5).value(), 1510U);
  Bytes middle(9);
  ASSERT_TRUE(journal.read(5, 1501, middle).ok());
  EXPECT_EQ(middle, bytes_of("bbbbhead|"));
  EXPECT_TRUE(journal.read(5, 1510, {}).ok());
  EXPECT_TRUE(journal.verify(5).ok());
  EXPECT_EQ(journal.read(5, 1502, middle).error(), Error::kOutOfRange);
  EXPECT_EQ(journal.read(5, UINT64_MAX, middle).error(), Error::kOutOfRange);
}

TEST(JournalTest, AnAbsentKeyIsNotFoundAndErasingItWritesNothing) {
  FaultyStorage storage(1024);
  Journal journal = open_or_die(storage);
  const uint64_t written = storage.bytes_written();
  EXPECT_TRUE(journal.erase(1).ok());
  EXPECT_EQ(storage.bytes_written(), written);
  EXPECT_EQ(journal.size(1).error(), Error::kNotFound);
  EXPECT_EQ(journal.verify(1).error(), Error::kNotFound);
  EXPECT_EQ(journal.read(1, 0, {}).error(), Error::kNotFound);
  EXPECT_FALSE(journal.contains(1));
}

TEST(JournalTest, ZeroLengthValuesAreValues) {
  FaultyStorage storage(1024);
  Journal journal = open_or_die(storage);
  ASSERT_TRUE(journal.put(1, ByteView{}).ok());
  ASSERT_TRUE(journal.put(2, std::span<const ByteView>{}).ok());
  EXPECT_EQ(state_of(open_or_die(storage)), (State{{1, {}}, {2, {}}}));
  EXPECT_TRUE(journal.read(1, 0, {}).ok());
}

TEST(JournalTest, CompactsManyTimesWithoutLosingAnything) {
  FaultyStorage storage(2048);
  Journal journal = open_or_die(storage);
  State expected;
  Rng rng(42);
  for (int step = 0; step < 2000; ++step) {
    const auto key = static_cast<uint32_t>(rng.below(4));
    const Change change{key, Bytes(static_cast<size_t>(rng.below(150)), static_cast<uint8_t>(step))};
    ASSERT_TRUE(change.apply_to(journal).ok()) << step;
    expected = change.apply_to(expected);
    ASSERT_EQ(state_of(journal), expected) << step;
  }
  const Journal reopened = open_or_die(storage);
  EXPECT_EQ(state_of(reopened), expected);
  EXPECT_GT(reopened.recovery().epoch, 100U);
}

TEST(JournalTest, APutSyncsOnceWhileTheBankHasRoom) {
  FaultyStorage storage(1 << 16);
  Journal journal = open_or_die(storage);
  ASSERT_TRUE(journal.put(1, bytes_of("settles the spare bank")).ok());
  const uint64_t syncs = storage.syncs();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(journal.put(1, Bytes(100, 1)).ok());
  EXPECT_EQ(storage.syncs(), syncs + 10);
}

TEST(JournalTest, RefusesWhatExceedsTheLimits) {
  FaultyStorage storage(4096);
  Journal journal = open_or_die(storage, {.record_bytes_max = 100, .keys_max = 2});
  const Failure too_large = journal.put(1, Bytes(101));
  EXPECT_EQ(too_large.error(), Error::kLimit);
  EXPECT_THAT(too_large.text(), HasSubstr("101 bytes"));
  ASSERT_TRUE(journal.put(1, Bytes(100)).ok());
  ASSERT_TRUE(journal.put(2, Bytes(1)).ok());
  EXPECT_EQ(journal.put(3, Bytes(1)).error(), Error::kLimit);
  EXPECT_TRUE(journal.put(2, Bytes(2)).ok());
  EXPECT_EQ(journal.free_bytes(), 100U);
  ASSERT_TRUE(journal.erase(1).ok());
  EXPECT_TRUE(journal.put(3, Bytes(1)).ok());
}

TEST(JournalTest, NarrowerLimitsDoNotHideWhatIsStored) {
  FaultyStorage storage(4096);
  const State stored{{1, Bytes(50)}, {2, Bytes(60)}, {3, Bytes(70)}};
  {
    Journal journal = open_or_die(storage);
    for (const auto& [key, value] : stored) ASSERT_TRUE(journal.put(key, value).ok());
  }
  Journal journal = open_or_die(storage, {.record_bytes_max = 10, .keys_max = 1});
  EXPECT_EQ(state_of(journal), stored);
  EXPECT_EQ(journal.put(4, Bytes(1)).error(), Error::kLimit);
  EXPECT_TRUE(journal.put(3, Bytes(10)).ok());
}

TEST(JournalTest, HoldsTheGreatestNumberOfKeys) {
  FaultyStorage storage(storage_bytes_for(kKeysMax * 13, kKeysMax));
  Journal journal = open_or_die(storage);
  for (int round = 0; round < 3; ++round) {
    for (uint32_t key = 0; key < kKeysMax; ++key) {
      ASSERT_TRUE(journal.put(kKeysMax - key, Bytes(13, static_cast<uint8_t>(round))).ok()) << key;
    }
  }
  EXPECT_EQ(journal.put(1000, Bytes(1)).error(), Error::kLimit);
  EXPECT_EQ(open_or_die(storage).keys().size(), kKeysMax);
}

TEST(JournalTest, RefusesUnusableOptionsAndStorages) {
  FaultyStorage small(kStorageBytesMin - 1);
  EXPECT_EQ(Journal::open(small, {}).error(), Error::kInvalidArgument);
  FaultyStorage nothing(0);
  EXPECT_EQ(Journal::open(nothing, {}).error(), Error::kInvalidArgument);
  FaultyStorage storage(kStorageBytesMin);
  EXPECT_EQ(Journal::open(storage, {.keys_max = 0}).error(), Error::kInvalidArgument);
  EXPECT_EQ(Journal::open(storage, {.keys_max = kKeysMax + 1}).error(), Error::kInvalidArgument);
  Journal journal = open_or_die(storage);
  EXPECT_EQ(journal.free_bytes(), 0U);
  EXPECT_TRUE(journal.put(1, ByteView{}).ok());
  EXPECT_TRUE(journal.put(1, ByteView{}).ok());
  EXPECT_TRUE(journal.erase(1).ok());
}

TEST(JournalTest, AFullJournalRefusesReplacesAndFrees) {
  FaultyStorage storage(1024);
  Journal journal = open_or_die(storage);
  ASSERT_TRUE(journal.put(1, Bytes(100, 1)).ok());
  const auto room = static_cast<size_t>(journal.free_bytes());
  const Failure refused = journal.put(2, Bytes(room + 1, 2));
  EXPECT_EQ(refused.error(), Error::kStorageFull);
  EXPECT_THAT(refused.text(), HasSubstr("does not fit"));
  ASSERT_TRUE(journal.put(2, Bytes(room, 2)).ok());
  EXPECT_EQ(journal.free_bytes(), 0U);
  EXPECT_EQ(journal.put(3, ByteView{}).error(), Error::kStorageFull);
  EXPECT_EQ(state_of(open_or_die(storage)), (State{{1, Bytes(100, 1)}, {2, Bytes(room, 2)}}));
  // Replacing needs no room beyond the value's own, and erasing none at all.
  ASSERT_TRUE(journal.put(2, Bytes(room, 3)).ok());
  ASSERT_TRUE(journal.erase(1).ok());
  EXPECT_EQ(journal.free_bytes(), 104U);
  ASSERT_TRUE(journal.put(3, Bytes(104, 4)).ok());
  EXPECT_EQ(state_of(open_or_die(storage)), (State{{2, Bytes(room, 3)}, {3, Bytes(104, 4)}}));
}

TEST(JournalTest, SurvivesAStorageThatHasGrownAndRefusesOneThatHasShrunk) {
  FaultyStorage storage(1024);
  Journal journal = open_or_die(storage);
  for (uint8_t i = 0; i < 30; ++i) ASSERT_TRUE(journal.put(i % 3U, Bytes(50, i)).ok());
  const State expected = state_of(journal);
  storage.grow(5000);
  Journal grown = open_or_die(storage);
  EXPECT_EQ(state_of(grown), expected);
  for (uint8_t i = 0; i < 30; ++i) ASSERT_TRUE(grown.put(i % 3U, Bytes(50, i)).ok());
  EXPECT_EQ(state_of(open_or_die(storage)), expected);
  storage.grow(1000);
  EXPECT_EQ(Journal::open(storage, {}).error(), Error::kInvalidArgument);
}

TEST(JournalTest, AGrownStorageIsReadableWhileBankZeroIsBeingPrepared) {
  FaultyStorage storage(1024);
  Journal journal = open_or_die(storage);
  while (open_or_die(storage).recovery().epoch != 2) ASSERT_TRUE(journal.put(1, bytes_of("in bank 1")).ok());
  for (uint64_t byte = 0; byte < kRecordsOffset; ++byte) storage.flip_bit(byte * 8);
  storage.grow(5000);
  Journal grown = open_or_die(storage);
  EXPECT_EQ(state_of(grown), (State{{1, bytes_of("in bank 1")}}));
  for (uint8_t i = 0; i < 30; ++i) ASSERT_TRUE(grown.put(2, Bytes(50, i)).ok());
  EXPECT_EQ(state_of(open_or_die(storage)), (State{{1, bytes_of("in bank 1")}, {2, Bytes(50, 29)}}));
}

TEST(JournalTest, FormatWipesWhatOpenRefuses) {
  FaultyStorage storage(1024, 0x5A);
  const auto refused = Journal::open(storage, {});
  EXPECT_EQ(refused.error(), Error::kCorrupt);
  EXPECT_THAT(refused.failure().text(), HasSubstr("not empty (offset 120)"));
  auto journal = Journal::format(storage, {});
  ASSERT_TRUE(journal.ok()) << journal.failure().text();
  ASSERT_TRUE(journal->put(1, bytes_of("new")).ok());
  EXPECT_EQ(state_of(open_or_die(storage)), (State{{1, bytes_of("new")}}));
}

}  // namespace
}  // namespace runnel::journal::test
