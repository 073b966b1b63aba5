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

// Notes what is done to it, and in which step of a history.
class NotingStorage final : public FaultyStorage {
 public:
  struct Operation {
    uint64_t offset = 0;
    std::vector<uint8_t> bytes;  // empty: a sync
    size_t step = 0;
  };
  using FaultyStorage::FaultyStorage;

  Error write(uint64_t offset, ByteView bytes) override {
    operations.push_back({offset, {bytes.begin(), bytes.end()}, step});
    return FaultyStorage::write(offset, bytes);
  }
  Error sync() override {
    operations.push_back({0, {}, step});
    return FaultyStorage::sync();
  }

  std::vector<Operation> operations;
  size_t step = 0;
};

struct History {
  std::vector<uint8_t> formatted;  // the storage before the first step
  std::vector<NotingStorage::Operation> operations;
  std::vector<Expected> states;  // before each step, and after the last
};

History play(uint64_t seed) {
  NotingStorage flash(kFlashBytes);
  Result<journal::Journal> journal = open(flash);
  Result<Outbox> outbox = Outbox::open(*journal);
  History history;
  history.formatted = flash.bytes();
  flash.operations.clear();
  Rng rng(seed);
  Expected state;
  for (flash.step = 0; flash.step < kSteps; ++flash.step) {
    history.states.push_back(state);
    const Failure bad = change(*outbox, rng, state);
    EXPECT_TRUE(bad.ok()) << "seed " << seed << ", step " << flash.step << ": " << bad.text();
  }
  history.states.push_back(state);
  history.operations = std::move(flash.operations);
  return history;
}

// What is found on it is one of the two states, and the outbox goes on from there: neither room nor a slot was lost.
void check(FaultyStorage& flash, const Expected& before, const Expected& after, uint64_t seed) {
  Result<journal::Journal> journal = open(flash);
  ASSERT_TRUE(journal.ok()) << journal.failure().text();
  EXPECT_EQ(journal->recovery().lost_records, 0U);
  Result<Outbox> outbox = Outbox::open(*journal);
  ASSERT_TRUE(outbox.ok()) << outbox.failure().text();
  EXPECT_EQ(outbox->rotten_count(), 0U);
  const Expected found = found_in(*outbox);
  EXPECT_TRUE(found == before || found == after);
  Rng rng(seed + 1);
  Expected later = found;
  for (size_t step = 0; step < 4; ++step) EXPECT_TRUE(change(*outbox, rng, later).ok());
  EXPECT_EQ(found_in(*outbox), later);
}

// The power goes in the middle of `operation`, after so many of its bytes.
void check_cut(const FaultyStorage& flash, const NotingStorage::Operation& operation, uint64_t bytes,
               Aftermath aftermath, const History& history, uint64_t seed) {
  FaultyStorage cut = flash;
  cut.cut_power_after(bytes);
  EXPECT_NE(operation.bytes.empty() ? cut.sync() : cut.write(operation.offset, operation.bytes), Error::kOk);
  cut.reboot(aftermath, bytes);
  check(cut, history.states[operation.step], history.states[operation.step + 1], seed);
}

TEST(OutboxPower, AnyHistoryWithoutACutIsAsItWasDone) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    const History history = play(seed);
    FaultyStorage flash(kFlashBytes);
    flash.load(history.formatted);
    for (const NotingStorage::Operation& each : history.operations)
      EXPECT_EQ(each.bytes.empty() ? flash.sync() : flash.write(each.offset, each.bytes), Error::kOk);
    check(flash, history.states.back(), history.states.back(), seed);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

TEST(OutboxPower, ACutAnywhereLeavesTheStateBeforeOrAfterTheChange) {
  constexpr uint64_t kHistories = 6;
  uint64_t cuts = 0;
  for (uint64_t seed = 1; seed <= kHistories; ++seed) {
    const History history = play(seed);
    FaultyStorage flash(kFlashBytes);
    flash.load(history.formatted);
    for (const NotingStorage::Operation& each : history.operations) {
      const uint64_t ends = std::max<uint64_t>(1, each.bytes.size());
      for (uint64_t bytes = 0; bytes < ends; ++bytes) {
        for (const Aftermath aftermath : {Aftermath::kKeepAll, Aftermath::kLoseAll, Aftermath::kScatter}) {
          if (aftermath == Aftermath::kLoseAll && bytes > 0) continue;  // the same as for the first byte
          check_cut(flash, each, bytes, aftermath, history, seed);
          ++cuts;
        }
        if (HasFailure()) FAIL() << "seed " << seed << ", step " << each.step << ", cut after " << bytes << " bytes";
      }
      EXPECT_EQ(each.bytes.empty() ? flash.sync() : flash.write(each.offset, each.bytes), Error::kOk);
    }
  }
  RecordProperty("cuts", static_cast<int>(cuts));
}

}  // namespace
}  // namespace runnel::device
