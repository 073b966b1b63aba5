#include "device/engine/outbox.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/unit/journal/faulty_storage.h"

namespace runnel::device {
namespace {

using journal::test::Aftermath;
using journal::test::FaultyStorage;

constexpr uint64_t kRun = 7;

journal::Journal open(FaultyStorage& flash, uint32_t record_bytes_max = 4096) {
  journal::JournalOptions options;
  options.record_bytes_max = record_bytes_max;
  Result<journal::Journal> journal = journal::Journal::open(flash, options);
  EXPECT_TRUE(journal.ok()) << journal.failure().text();
  return std::move(journal).value();
}

std::vector<uint8_t> update_of(uint64_t sequence) {
  return std::vector<uint8_t>(100 + sequence, static_cast<uint8_t>(sequence));
}
std::vector<float> residual_of(uint64_t sequence) {
  return std::vector<float>(50, static_cast<float>(sequence));
}
std::vector<uint8_t> bytes_of(ByteView view) {
  return {view.begin(), view.end()};
}

Failure store(Outbox& outbox, uint64_t sequence, bool with_residual = false, ByteView state = {}) {
  const std::vector<uint8_t> update = update_of(sequence);
  const std::vector<float> residual = with_residual ? residual_of(sequence) : std::vector<float>();
  return outbox.store({kRun, static_cast<uint32_t>(sequence), 10 + sequence, sequence, update, residual, state, false});
}

std::vector<uint8_t> read(const Outbox& outbox, const OutboxEntry& entry) {
  std::vector<uint8_t> bytes(entry.total_bytes);
  EXPECT_TRUE(outbox.read(entry, 0, bytes).ok());
  return bytes;
}

TEST(Outbox, KeepsTheResidualWhenTheUpdateIsSettled) {
  FaultyStorage flash(64 * 1024);
  {
    journal::Journal journal = open(flash);
    Result<Outbox> outbox = Outbox::open(journal);
    ASSERT_TRUE(outbox.ok());
    ASSERT_TRUE(store(*outbox, 1, true).ok());
    ASSERT_TRUE(outbox->settle(1).ok());
    EXPECT_FALSE(outbox->pending());
  }
  journal::Journal journal = open(flash);
  Result<Outbox> outbox = Outbox::open(journal);
  ASSERT_TRUE(outbox.ok());
  EXPECT_EQ(*outbox->residual(kRun), residual_of(1));
  EXPECT_TRUE(outbox->entries().empty());
  // Of another run nothing is carried over.
  EXPECT_TRUE(outbox->residual(kRun + 1)->empty());
}

TEST(Outbox, TheOldestIsInFront) {
  FaultyStorage flash(64 * 1024);
  {
    journal::Journal journal = open(flash);
    Result<Outbox> outbox = Outbox::open(journal);
    for (uint64_t sequence = 1; sequence <= 5; ++sequence) ASSERT_TRUE(store(*outbox, sequence).ok());
    ASSERT_TRUE(outbox->give_back(1).ok());
    ASSERT_TRUE(outbox->settle(2).ok());
  }
  journal::Journal journal = open(flash);
  Result<Outbox> outbox = Outbox::open(journal);
  ASSERT_TRUE(outbox.ok()) << outbox.failure().text();
  ASSERT_EQ(outbox->entries().size(), 4U);
  EXPECT_TRUE(outbox->entries()[0].given_back);
  EXPECT_EQ(outbox->front()->sequence, 3U);
  EXPECT_EQ(outbox->front()->model_version, 13U);
  EXPECT_EQ(read(*outbox, *outbox->front()), update_of(3));
  EXPECT_EQ(outbox->next_sequence(), 6U);
  EXPECT_EQ(outbox->newest().round, 5U);
}

TEST(Outbox, WhatIsGivenBackEndsWithTheUpdateThatTookIt) {
  FaultyStorage flash(64 * 1024);
  {
    journal::Journal journal = open(flash);
    Result<Outbox> outbox = Outbox::open(journal);
    ASSERT_TRUE(store(*outbox, 1, true).ok());
    ASSERT_TRUE(store(*outbox, 2, true).ok());
    ASSERT_TRUE(outbox->give_back(1).ok());
    outbox->take(1);
    // Refused while the next one is trained: that one knows nothing of it.
    ASSERT_TRUE(outbox->give_back(2).ok());
    EXPECT_FALSE(outbox->pending());
  }
  journal::Journal journal = open(flash);
  Result<Outbox> outbox = Outbox::open(journal);
  EXPECT_TRUE(outbox->has_trained(kRun, 2));
  ASSERT_EQ(outbox->entries().size(), 2U);
  EXPECT_FALSE(outbox->entries()[0].taken) << "what was in the making died with the process";
  EXPECT_EQ(read(*outbox, outbox->entries()[0]), update_of(1));
  outbox->take(1);
  ASSERT_TRUE(store(*outbox, 3, true).ok());
  ASSERT_EQ(outbox->entries().size(), 2U);
  EXPECT_EQ(outbox->entries()[0].sequence, 2U);
  EXPECT_EQ(outbox->front()->sequence, 3U);
  EXPECT_EQ(*outbox->residual(kRun), residual_of(3));
}

TEST(Outbox, CountsTheUpdatesOnOnePlan) {
  FaultyStorage flash(64 * 1024);
  journal::Journal journal = open(flash);
  Result<Outbox> outbox = Outbox::open(journal);
  const std::vector<uint8_t> update = update_of(1);
  ASSERT_TRUE(outbox->store({kRun, 4, 9, 1, update, {}, {}, false}).ok());
  EXPECT_EQ(outbox->newest().made, 1U);
  ASSERT_TRUE(outbox->store({kRun, 4, 9, 2, update, {}, {}, false}).ok());
  EXPECT_EQ(Outbox::open(journal)->newest().made, 2U);
  ASSERT_TRUE(outbox->store({kRun, 5, 10, 3, update, {}, {}, false}).ok());
  EXPECT_EQ(outbox->newest().made, 1U);
}

TEST(Outbox, TheRateControllersStateChangesTogetherWithTheUpdate) {
  FaultyStorage flash(64 * 1024);
  const std::vector<uint8_t> state = {1, 2, 3, 4, 5};
  {
    journal::Journal journal = open(flash);
    Result<Outbox> outbox = Outbox::open(journal);
    EXPECT_TRUE(outbox->state().empty());
    ASSERT_TRUE(store(*outbox, 1, false, state).ok());
  }
  journal::Journal journal = open(flash);
  Result<Outbox> outbox = Outbox::open(journal);
  ASSERT_TRUE(outbox.ok());
  EXPECT_EQ(bytes_of(outbox->state()), state);
  // Settled without a new one, the old one stays.
  ASSERT_TRUE(outbox->settle(1).ok());
  EXPECT_EQ(bytes_of(outbox->state()), state);
}

TEST(Outbox, AnUpdateThatIsKeptIsAllResidual) {
  FaultyStorage flash(64 * 1024);
  {
    journal::Journal journal = open(flash);
    Result<Outbox> outbox = Outbox::open(journal);
    const std::vector<float> residual = residual_of(4);
    ASSERT_TRUE(outbox->store({kRun, 3, 1, 1, {}, residual, {}, true}).ok());
    EXPECT_FALSE(outbox->pending());
  }
  journal::Journal journal = open(flash);
  Result<Outbox> outbox = Outbox::open(journal);
  ASSERT_TRUE(outbox.ok());
  EXPECT_FALSE(outbox->pending());
  EXPECT_TRUE(outbox->has_trained(kRun, 3));
  EXPECT_TRUE(outbox->newest().kept);
  EXPECT_EQ(outbox->next_sequence(), 2U);
  EXPECT_EQ(*outbox->residual(kRun), residual_of(4));
}

// A queue that is full says so before anything is written, and no later change needs room that is not there.
TEST(Outbox, WhoeverIsStoredCanAlwaysBeSettledGivenBackAndFolded) {
  FaultyStorage flash(10 * 1024);
  journal::Journal journal = open(flash, 8192);
  Result<Outbox> outbox = Outbox::open(journal);
  const std::vector<uint8_t> state(Outbox::kStateBytesMax, 1);
  uint64_t sequence = 0;
  while (outbox->has_room(update_of(9).size(), 50)) {
    ++sequence;
    ASSERT_TRUE(store(*outbox, sequence, true).ok()) << "there is room for " << sequence;
  }
  EXPECT_GT(sequence, 5U);
  EXPECT_LT(sequence, kOutboxEntriesMax);
  EXPECT_EQ(store(*outbox, sequence + 1, true).error(), Error::kStorageFull);
  EXPECT_EQ(outbox->entries().size(), sequence);
  ASSERT_TRUE(outbox->fold(2, residual_of(76)).ok());
  ASSERT_TRUE(outbox->fold(3, residual_of(77)).ok());
  EXPECT_EQ(*outbox->residual(kRun), residual_of(77));
  EXPECT_TRUE(outbox->has_room(update_of(9).size(), 50)) << "what was folded made room";
  for (uint64_t each = 4; each <= sequence; ++each) ASSERT_TRUE(outbox->give_back(each, state).ok());
  ASSERT_TRUE(outbox->settle(1, state).ok());
}

TEST(Outbox, HoldsAtMostSoMany) {
  FaultyStorage flash(256 * 1024);
  journal::Journal journal = open(flash);
  Result<Outbox> outbox = Outbox::open(journal);
  for (uint64_t sequence = 1; sequence <= kOutboxEntriesMax; ++sequence) ASSERT_TRUE(store(*outbox, sequence).ok());
  EXPECT_FALSE(store(*outbox, 33).ok());
  ASSERT_TRUE(outbox->settle(17).ok());
  EXPECT_TRUE(store(*outbox, 33).ok());
  ASSERT_TRUE(Outbox::open(journal).ok());
  EXPECT_EQ(Outbox::open(journal)->entries().size(), kOutboxEntriesMax);
}

TEST(Outbox, ARottenUpdateIsDroppedAndTheOthersStay) {
  FaultyStorage flash(64 * 1024);
  {
    journal::Journal journal = open(flash);
    Result<Outbox> outbox = Outbox::open(journal);
    for (uint64_t sequence = 1; sequence <= 3; ++sequence) ASSERT_TRUE(store(*outbox, sequence).ok());
  }
  const std::vector<uint8_t> second = update_of(2);
  const auto at = std::search(flash.durable().begin(), flash.durable().end(), second.begin(), second.end());
  ASSERT_NE(at, flash.durable().end());
  flash.flip_bit(8 * static_cast<uint64_t>(at - flash.durable().begin()) + 3);
  journal::Journal journal = open(flash);
  Result<Outbox> outbox = Outbox::open(journal);
  ASSERT_TRUE(outbox.ok()) << outbox.failure().text();
  EXPECT_EQ(outbox->rotten_count(), 1U);
  ASSERT_EQ(outbox->entries().size(), 2U);
  EXPECT_EQ(outbox->entries()[1].sequence, 3U);
  ASSERT_TRUE(store(*outbox, 4).ok());
  EXPECT_EQ(outbox->entries().size(), 3U);
}

// --- age ---

TEST(OutboxAge, GrowsWithUptimeAndWithTheTimeOffAsFarAsItIsBelievable) {
  struct Case {
    const char* what;
    uint64_t stored_at_s, back_at_s;
    uint32_t off_s;
  };
  const std::array<Case, 5> cases = {{{"an hour off", 1'700'000'000, 1'700'003'600, 3600},
                                      {"a clock that went back", 1'700'000'000, 1'600'000'000, 0},
                                      {"a clock that was at its beginning", 5, 1'700'000'000, 10'000},
                                      {"no clock then", 0, 1'700'000'000, 0},
                                      {"no clock now", 1'700'000'000, 0, 0}}};
  for (const Case& each : cases) {
    FaultyStorage flash(64 * 1024);
    {
      journal::Journal journal = open(flash);
      Result<Outbox> outbox = Outbox::open(journal);
      outbox->handle_time(0, each.stored_at_s, 10'000);
      ASSERT_TRUE(store(*outbox, 1).ok());
      outbox->handle_time(100, each.stored_at_s, 10'000);
      ASSERT_TRUE(store(*outbox, 2).ok());
    }
    journal::Journal journal = open(flash);
    Result<Outbox> outbox = Outbox::open(journal);
    EXPECT_EQ(outbox->entries()[0].age_s, 100U) << each.what;
    outbox->handle_time(7, 0, 10'000);
    ASSERT_TRUE(store(*outbox, 3).ok());
    outbox->handle_time(0, each.back_at_s, 10'000);
    outbox->handle_time(0, each.back_at_s + 1'000'000, 10'000);  // jumps while it is up do not count
    EXPECT_EQ(outbox->entries()[0].age_s, 107U + each.off_s) << each.what;
    EXPECT_EQ(outbox->entries()[1].age_s, 7U + each.off_s) << each.what;
    EXPECT_EQ(outbox->entries()[2].age_s, 0U) << each.what << ": it was not there yet";
  }
}

// --- formats of earlier releases ---

std::vector<uint8_t> old_record(uint32_t format, uint32_t state, const std::vector<uint8_t>& update) {
  std::vector<uint8_t> record(format == 1 ? 48 : 56);
  store_le<uint32_t>(&record[0], format);
  store_le<uint32_t>(&record[4], state);
  store_le<uint64_t>(&record[8], 9);
  store_le<uint64_t>(&record[16], kRun);
  store_le<uint32_t>(&record[24], 5);
  store_le<uint64_t>(&record[32], update.size());
  if (format == 2) {
    store_le<uint32_t>(&record[48], 3);
    store_le<uint32_t>(&record[52], 1);
    record.insert(record.end(), {7, 8, 9});
  }
  record.insert(record.end(), update.begin(), update.end());
  return record;
}

TEST(OutboxFormats, AnUpdateThatAnEarlierReleaseStoredIsDelivered) {
  for (const uint32_t format : {1U, 2U}) {
    FaultyStorage flash(64 * 1024);
    {
      journal::Journal journal = open(flash);
      ASSERT_TRUE(journal.put(1, old_record(format, 1, update_of(9))).ok());
    }
    {
      journal::Journal journal = open(flash);
      Result<Outbox> outbox = Outbox::open(journal);
      ASSERT_TRUE(outbox.ok()) << outbox.failure().text();
      ASSERT_TRUE(outbox->pending());
      EXPECT_EQ(outbox->front()->sequence, 9U);
      EXPECT_EQ(outbox->front()->carries, format == 2);
      EXPECT_EQ(outbox->state().size(), format == 2 ? 3U : 0U);
      EXPECT_EQ(read(*outbox, *outbox->front()), update_of(9));
      // Behind it another one queues up; from then on both lie in slots.
      ASSERT_TRUE(store(*outbox, 10).ok());
      EXPECT_EQ(read(*outbox, *outbox->front()), update_of(9));
    }
    journal::Journal journal = open(flash);
    Result<Outbox> outbox = Outbox::open(journal);
    ASSERT_EQ(outbox->entries().size(), 2U);
    EXPECT_EQ(read(*outbox, outbox->entries()[0]), update_of(9));
    EXPECT_EQ(read(*outbox, outbox->entries()[1]), update_of(10));
    ASSERT_TRUE(outbox->settle(9).ok());
    EXPECT_EQ(Outbox::open(journal)->front()->sequence, 10U);
  }
}

TEST(OutboxFormats, SettledGivenBackAndKeptAreReadToo) {
  for (const uint32_t state : {0U, 2U, 3U}) {
    FaultyStorage flash(64 * 1024);
    journal::Journal journal = open(flash);
    const std::vector<uint8_t> update = state == 2 ? update_of(9) : std::vector<uint8_t>();
    ASSERT_TRUE(journal.put(1, old_record(2, state, update)).ok());
    Result<Outbox> outbox = Outbox::open(journal);
    ASSERT_TRUE(outbox.ok()) << outbox.failure().text();
    EXPECT_FALSE(outbox->pending());
    EXPECT_EQ(outbox->entries().size(), state == 2 ? 1U : 0U);
    EXPECT_EQ(outbox->newest().kept, state == 3);
    EXPECT_TRUE(outbox->has_trained(kRun, 5));
    EXPECT_EQ(outbox->next_sequence(), 10U);
  }
}

TEST(OutboxFormats, WhatIsNoHeadIsRefused) {
  OutboxHead head;
  head.sequence = 4;
  head.entries.resize(2);
  head.entries[0].slot = 2;
  head.entries[0].sequence = 3;
  head.entries[1].slot = 1;
  head.entries[1].sequence = 4;
  const std::vector<uint8_t> good = encode_outbox(head);
  uint64_t offset = 0;
  ASSERT_TRUE(decode_outbox(good, good.size(), offset).ok());
  struct Case {
    const char* what;
    size_t at;
    uint8_t value;
    Error error;
  };
  const std::array<Case, 7> cases = {{{"a later format", 0, 4, Error::kVersion},
                                      {"a third residual", 32, 3, Error::kCorrupt},
                                      {"too long a state", 50, 1, Error::kCorrupt},
                                      {"more entries than bytes", 52, 3, Error::kCorrupt},
                                      {"a sequence beyond the newest", 56, 9, Error::kCorrupt},
                                      {"the same slot twice", 56 + 44, 1, Error::kCorrupt},
                                      {"no such slot", 56 + 44, 33, Error::kCorrupt}}};
  for (const Case& each : cases) {
    std::vector<uint8_t> bad = good;
    bad[each.at] = each.value;
    EXPECT_EQ(decode_outbox(bad, bad.size(), offset).error(), each.error) << each.what;
  }
  for (size_t bytes = 0; bytes < good.size(); ++bytes)
    EXPECT_FALSE(decode_outbox(ByteView(good).first(bytes), bytes, offset).ok()) << bytes;
}

}  // namespace
}  // namespace runnel::device
