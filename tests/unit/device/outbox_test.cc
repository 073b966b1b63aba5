#include "device/engine/outbox.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/unit/journal/faulty_storage.h"

namespace runnel::device {
namespace {

using journal::test::Aftermath;
using journal::test::FaultyStorage;

constexpr uint64_t kRun = 7;

journal::Journal open(FaultyStorage& flash) {
  journal::JournalOptions options;
  options.record_bytes_max = 4096;
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

TEST(Outbox, KeepsTheResidualWhenTheUpdateIsSettled) {
  FaultyStorage flash(64 * 1024);
  {
    journal::Journal journal = open(flash);
    Result<Outbox> outbox = Outbox::open(journal);
    ASSERT_TRUE(outbox.ok());
    ASSERT_TRUE(outbox->store(kRun, 1, 1, update_of(1), residual_of(1)).ok());
    ASSERT_TRUE(outbox->settle().ok());
    EXPECT_FALSE(outbox->pending());
  }
  journal::Journal journal = open(flash);
  Result<Outbox> outbox = Outbox::open(journal);
  ASSERT_TRUE(outbox.ok());
  const Result<Carried> carried = outbox->carried(kRun);
  ASSERT_TRUE(carried.ok());
  EXPECT_EQ(carried->residual, residual_of(1));
  EXPECT_TRUE(carried->returned.empty());
  // Of another run nothing is carried over.
  EXPECT_TRUE(outbox->carried(kRun + 1)->residual.empty());
}

TEST(Outbox, WhatIsGivenBackIsKeptUntilTheNextUpdate) {
  FaultyStorage flash(64 * 1024);
  {
    journal::Journal journal = open(flash);
    Result<Outbox> outbox = Outbox::open(journal);
    ASSERT_TRUE(outbox->store(kRun, 1, 1, update_of(1), residual_of(1)).ok());
    ASSERT_TRUE(outbox->give_back().ok());
    EXPECT_FALSE(outbox->pending());
  }
  journal::Journal journal = open(flash);
  Result<Outbox> outbox = Outbox::open(journal);
  EXPECT_FALSE(outbox->pending());
  EXPECT_TRUE(outbox->has_trained(kRun, 1));
  EXPECT_EQ(outbox->carried(kRun)->returned, update_of(1));
  ASSERT_TRUE(outbox->store(kRun, 2, 2, update_of(2), residual_of(2)).ok());
  EXPECT_TRUE(outbox->carried(kRun)->returned.empty());
  EXPECT_EQ(outbox->carried(kRun)->residual, residual_of(2));
}

// Wherever the power goes, the update and the residual are both the old ones or both the new ones.
TEST(Outbox, UpdateAndResidualChangeTogether) {
  for (const Aftermath aftermath : {Aftermath::kKeepAll, Aftermath::kLoseAll, Aftermath::kScatter}) {
    bool finished = false;
    for (uint64_t events = 0; !finished; events += 7) {
      FaultyStorage flash(64 * 1024);
      uint64_t stored = 1;
      {
        journal::Journal journal = open(flash);
        Result<Outbox> outbox = Outbox::open(journal);
        ASSERT_TRUE(outbox->store(kRun, 1, 1, update_of(1), residual_of(1)).ok());
        flash.cut_power_after(events);
        for (uint64_t sequence = 2; sequence <= 5; ++sequence) {
          if (!outbox
                   ->store(kRun, static_cast<uint32_t>(sequence), sequence, update_of(sequence), residual_of(sequence))
                   .ok())
            break;
          stored = sequence;
        }
        finished = flash.powered();
      }
      flash.reboot(aftermath, events);
      journal::Journal journal = open(flash);
      Result<Outbox> outbox = Outbox::open(journal);
      ASSERT_TRUE(outbox.ok()) << outbox.failure().text();
      ASSERT_TRUE(outbox->pending());
      const uint64_t found = outbox->newest()->sequence;
      EXPECT_GE(found, stored) << "cut after " << events;
      EXPECT_LE(found, stored + 1) << "cut after " << events;
      std::vector<uint8_t> update(outbox->newest()->total_bytes);
      ASSERT_TRUE(outbox->read(0, update).ok());
      EXPECT_EQ(update, update_of(found));
      const Result<Carried> carried = outbox->carried(kRun);
      ASSERT_TRUE(carried.ok()) << carried.failure().text();
      EXPECT_EQ(carried->residual, residual_of(found)) << "cut after " << events;
    }
  }
}

TEST(Outbox, TheRateControllersStateChangesTogetherWithTheUpdate) {
  FaultyStorage flash(64 * 1024);
  const std::vector<uint8_t> state = {1, 2, 3, 4, 5};
  {
    journal::Journal journal = open(flash);
    Result<Outbox> outbox = Outbox::open(journal);
    EXPECT_TRUE(outbox->state().empty());
    ASSERT_TRUE(outbox->store(kRun, 1, 1, update_of(1), {}, state).ok());
  }
  journal::Journal journal = open(flash);
  Result<Outbox> outbox = Outbox::open(journal);
  ASSERT_TRUE(outbox.ok());
  EXPECT_EQ(std::vector<uint8_t>(outbox->state().begin(), outbox->state().end()), state);
  std::vector<uint8_t> read(update_of(1).size());
  ASSERT_TRUE(outbox->read(0, read).ok());
  EXPECT_EQ(read, update_of(1));
  // Settled without a new one, the old one stays.
  ASSERT_TRUE(outbox->settle().ok());
  EXPECT_EQ(std::vector<uint8_t>(outbox->state().begin(), outbox->state().end()), state);
}

TEST(Outbox, AnUpdateThatIsKeptIsAllResidual) {
  FaultyStorage flash(64 * 1024);
  {
    journal::Journal journal = open(flash);
    Result<Outbox> outbox = Outbox::open(journal);
    ASSERT_TRUE(outbox->store(kRun, 3, 1, {}, residual_of(4)).ok());
    EXPECT_FALSE(outbox->pending());
  }
  journal::Journal journal = open(flash);
  Result<Outbox> outbox = Outbox::open(journal);
  ASSERT_TRUE(outbox.ok());
  EXPECT_FALSE(outbox->pending());
  EXPECT_TRUE(outbox->has_trained(kRun, 3));
  EXPECT_EQ(outbox->next_sequence(), 2U);
  EXPECT_EQ(outbox->carried(kRun)->residual, residual_of(4));
}

// A device that was updated in the field: its journal holds the header of before the state.
TEST(Outbox, ReadsTheFormatWithoutState) {
  FaultyStorage flash(64 * 1024);
  const std::vector<uint8_t> update = update_of(9);
  {
    journal::Journal journal = open(flash);
    std::vector<uint8_t> record(48);
    store_le<uint32_t>(&record[0], 1);
    store_le<uint32_t>(&record[4], 1);
    store_le<uint64_t>(&record[8], 9);
    store_le<uint64_t>(&record[16], kRun);
    store_le<uint32_t>(&record[24], 5);
    store_le<uint64_t>(&record[32], update.size());
    record.insert(record.end(), update.begin(), update.end());
    const std::array<ByteView, 1> parts{ByteView(record)};
    ASSERT_TRUE(journal.put(1, parts).ok());
  }
  journal::Journal journal = open(flash);
  Result<Outbox> outbox = Outbox::open(journal);
  ASSERT_TRUE(outbox.ok()) << outbox.failure().text();
  ASSERT_TRUE(outbox->pending());
  EXPECT_EQ(outbox->newest()->sequence, 9U);
  EXPECT_TRUE(outbox->state().empty());
  std::vector<uint8_t> read(update.size());
  ASSERT_TRUE(outbox->read(0, read).ok());
  EXPECT_EQ(read, update);
}

}  // namespace
}  // namespace runnel::device
