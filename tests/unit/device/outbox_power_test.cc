// Power cuts at every point of random histories of the outbox: what is found afterwards is what was there before the
// change that was cut, or after it, and never anything else.
#include <gtest/gtest.h>

#include <algorithm>

#include "device/engine/outbox.h"
#include "tests/unit/journal/faulty_storage.h"

namespace runnel::device {
namespace {

using journal::test::Aftermath;
using journal::test::FaultyStorage;

constexpr uint64_t kRun = 7;
constexpr size_t kFlashBytes = 12 * 1024;
constexpr size_t kSteps = 14;

std::vector<uint8_t> message_of(uint64_t sequence) {
  std::vector<uint8_t> bytes(40 + 37 * (sequence % 5));
  Rng rng(sequence);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.next_u64());
  return bytes;
}
std::vector<float> residual_of(uint64_t number) {
  return std::vector<float>(20, static_cast<float>(number));
}

// What the outbox must say, as values.
struct Expected {
  struct Entry {
    uint64_t sequence;
    bool given_back;
    bool operator==(const Entry&) const = default;
  };
  uint64_t sequence = 0;
  uint32_t made = 0;
  std::vector<Entry> entries;
  std::vector<float> residual;
  std::vector<uint8_t> state;
  bool operator==(const Expected&) const = default;
};

Expected found_in(const Outbox& outbox) {
  Expected found;
  found.sequence = outbox.newest().sequence;
  found.made = outbox.newest().made;
  found.state.assign(outbox.state().begin(), outbox.state().end());
  const Result<std::vector<float>> residual = outbox.residual(kRun);
  EXPECT_TRUE(residual.ok()) << residual.failure().text();
  if (residual.ok()) found.residual = *residual;
  for (const OutboxEntry& entry : outbox.entries()) {
    std::vector<uint8_t> message(entry.total_bytes);
    EXPECT_TRUE(outbox.read(entry, 0, message).ok());
    EXPECT_EQ(message, message_of(entry.sequence)) << entry.sequence;
    EXPECT_NE(entry.slot, 0U);
    found.entries.push_back({entry.sequence, entry.given_back});
  }
  return found;
}

// One random change to the outbox; `after` is then what it must say if the change succeeded.
Failure change(Outbox& outbox, Rng& rng, Expected& after) {
  const auto state = std::vector<uint8_t>(1 + rng.below(Outbox::kStateBytesMax), static_cast<uint8_t>(rng.below(256)));
  const bool may_store = outbox.has_room(message_of(outbox.next_sequence()).size(), 20);
  const uint64_t kind = after.entries.empty() ? 0 : rng.below(may_store ? 8 : 4) + (may_store ? 0 : 4);
  if (kind < 4) {
    after.state = state;
    after.sequence = outbox.next_sequence();
    const auto round = static_cast<uint32_t>(1 + (after.sequence - 1) / 3);
    after.made = (after.sequence - 1) % 3 == 0 || after.made == 0 ? 1 : after.made + 1;
    after.residual = rng.below(3) == 0 ? std::vector<float>() : residual_of(after.sequence);
    for (const OutboxEntry& entry : outbox.entries()) {
      if (entry.given_back && rng.below(2) == 0) outbox.take(entry.sequence);
    }
    std::erase_if(after.entries, [&](const auto& each) {
      return std::any_of(outbox.entries().begin(), outbox.entries().end(),
                         [&](const auto& entry) { return entry.taken && entry.sequence == each.sequence; });
    });
    after.entries.push_back({after.sequence, false});
    const std::vector<uint8_t> message = message_of(after.sequence);
    const Failure bad = outbox.store({kRun, round, 5, after.sequence, message, after.residual, state, true});
    outbox.untake();
    return bad;
  }
  const size_t index = rng.below(after.entries.size());
  const uint64_t sequence = after.entries[index].sequence;
  if (kind == 5) {
    after.entries[index].given_back = true;
    after.state = state;
    return outbox.give_back(sequence, state);
  }
  after.entries.erase(after.entries.begin() + static_cast<std::ptrdiff_t>(index));
  if (kind == 6) {
    after.residual = residual_of(1000 + sequence);
    return outbox.fold(sequence, after.residual);
  }
  after.state = state;
  return outbox.settle(sequence, state);
}

Result<journal::Journal> open(FaultyStorage& flash) {
  journal::JournalOptions options;
  options.record_bytes_max = kFlashBytes / 2;
  return journal::Journal::open(flash, options);
}

// Plays the history of `seed`, with the power cut after `events` (UINT64_MAX = never), and checks what is found.
// The number of events that the whole history takes.
uint64_t play(uint64_t seed, uint64_t events, Aftermath aftermath) {
  FaultyStorage flash(kFlashBytes);
  Expected before;
  Expected after;
  uint64_t used = 0;
  {
    Result<journal::Journal> journal = open(flash);
    Result<Outbox> outbox = Outbox::open(*journal);
    const uint64_t start = flash.bytes_written() + flash.syncs();
    if (events != UINT64_MAX) flash.cut_power_after(events);
    Rng rng(seed);
    for (size_t step = 0; step < kSteps; ++step) {
      before = after;
      const Failure bad = change(*outbox, rng, after);
      if (!bad.ok()) {
        EXPECT_FALSE(flash.powered()) << "seed " << seed << ", step " << step << ": " << bad.text();
        break;
      }
      before = after;
    }
    used = flash.bytes_written() + flash.syncs() - start;
  }
  flash.reboot(aftermath, events);
  Result<journal::Journal> journal = open(flash);
  EXPECT_TRUE(journal.ok()) << journal.failure().text();
  if (!journal.ok()) return used;
  EXPECT_EQ(journal->recovery().lost_records, 0U);
  Result<Outbox> outbox = Outbox::open(*journal);
  EXPECT_TRUE(outbox.ok()) << outbox.failure().text();
  if (!outbox.ok()) return used;
  EXPECT_EQ(outbox->rotten_count(), 0U);
  const Expected found = found_in(*outbox);
  EXPECT_TRUE(found == before || found == after) << "seed " << seed << ", cut after " << events;
  // And it goes on from there: neither room nor a slot was lost.
  Rng rng(seed + 1);
  Expected later = found;
  for (size_t step = 0; step < 4; ++step) EXPECT_TRUE(change(*outbox, rng, later).ok());
  EXPECT_EQ(found_in(*outbox), later);
  return used;
}

TEST(OutboxPower, AnyHistoryWithoutACutIsAsItWasDone) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    play(seed, UINT64_MAX, Aftermath::kKeepAll);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

TEST(OutboxPower, ACutAnywhereLeavesTheStateBeforeOrAfterTheChange) {
  constexpr uint64_t kHistories = 24;
  constexpr uint64_t kStride = 23;  // bytes and syncs; the first cut is elsewhere in each history
  for (const Aftermath aftermath : {Aftermath::kKeepAll, Aftermath::kLoseAll, Aftermath::kScatter}) {
    for (uint64_t seed = 1; seed <= kHistories; ++seed) {
      const uint64_t whole = play(seed, UINT64_MAX, aftermath);
      for (uint64_t events = seed % kStride; events < whole; events += kStride) {
        play(seed, events, aftermath);
        if (HasFailure()) FAIL() << "seed " << seed << ", cut after " << events;
      }
    }
  }
}

}  // namespace
}  // namespace runnel::device
