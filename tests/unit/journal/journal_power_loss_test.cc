// Power cuts at every byte and every sync, with every kind of aftermath. After each the journal must hold the state
// before or after the change that was cut, and go on working.
#include <gtest/gtest.h>

#include <set>

#include "runtime/journal/journal.h"
#include "tests/unit/journal/faulty_storage.h"
#include "tests/unit/journal/journal_state.h"

namespace runnel::journal::test {
namespace {

constexpr size_t kStorageBytes = size_t{2} * 384;

Bytes pattern(size_t bytes, unsigned salt) {
  Bytes value(bytes);
  for (size_t i = 0; i < bytes; ++i) value[i] = static_cast<uint8_t>(i * 7 + size_t{salt} * 31);
  return value;
}

// Fills the bank several times over; ends with a compaction by an erase and one by a put that only fits by replacing.
std::vector<Change> script() {
  std::vector<Change> changes;
  for (unsigned i = 0; i < 12; ++i) {
    changes.push_back({i % 3, pattern(5 + 13 * (i % 4), i)});
    if (i % 4 == 2) changes.push_back({(i + 1) % 3, std::nullopt});
    if (i % 5 == 1) changes.push_back({9, Bytes{}});
  }
  changes.push_back({1, std::nullopt});
  changes.push_back({2, std::nullopt});
  changes.push_back({0, pattern(130, 1)});
  changes.push_back({0, pattern(120, 2)});
  changes.push_back({9, std::nullopt});
  return changes;
}

struct Outcome {
  State before;  // acknowledged
  State after;   // had the change that was cut been finished
  bool finished = false;
};

Outcome run_script(FaultyStorage& storage, const std::vector<Change>& changes) {
  Outcome run;
  auto journal = Journal::open(storage, {});
  if (!journal.ok()) return run;
  for (const Change& change : changes) {
    run.after = change.apply_to(run.before);
    if (!change.apply_to(*journal).ok()) return run;
    run.before = run.after;
  }
  run.finished = true;
  return run;
}

void expect_works(FaultyStorage& storage, State state) {
  {
    auto journal = Journal::open(storage, {});
    ASSERT_TRUE(journal.ok()) << journal.failure().text();
    for (const Change& change : {Change{2, std::nullopt}, Change{1, std::nullopt}, Change{0, pattern(21, 99)},
                                 Change{7, pattern(30, 98)}, Change{0, std::nullopt}}) {
      const Failure failure = change.apply_to(*journal);
      ASSERT_TRUE(failure.ok()) << failure.text();
      state = change.apply_to(state);
      ASSERT_EQ(state_of(*journal), state);
    }
  }
  auto journal = Journal::open(storage, {});
  ASSERT_TRUE(journal.ok()) << journal.failure().text();
  EXPECT_EQ(state_of(*journal), state);
  EXPECT_FALSE(journal->recovery().dropped_tail);
}

struct Scenario {
  Aftermath aftermath;
  uint64_t seed;
  uint8_t fill;
};

class PowerLossTest : public ::testing::TestWithParam<Scenario> {};

TEST_P(PowerLossTest, AtEveryByteLeavesTheStateBeforeOrAfter) {
  const auto [aftermath, seed, fill] = GetParam();
  const std::vector<Change> changes = script();
  uint64_t torn = 0;
  uint64_t kept = 0;
  uint64_t cut = 0;
  for (;; ++cut) {
    FaultyStorage storage(kStorageBytes, fill);
    storage.cut_power_after(cut);
    const Outcome run = run_script(storage, changes);
    if (run.finished) break;
    storage.reboot(aftermath, derive_key(seed, cut));
    {
      auto journal = Journal::open(storage, {});
      ASSERT_TRUE(journal.ok()) << "cut after " << cut << ": " << journal.failure().text();
      const State state = state_of(*journal);
      ASSERT_TRUE(state == run.before || state == run.after) << "cut after " << cut;
      ASSERT_EQ(journal->recovery().lost_records, 0U) << "cut after " << cut;
      ASSERT_EQ(journal->recovery().corrupt_values, 0U) << "cut after " << cut;
      torn += journal->recovery().dropped_tail ? 1 : 0;
      kept += state == run.after && run.after != run.before ? 1 : 0;
      ASSERT_NO_FATAL_FAILURE(expect_works(storage, state)) << "cut after " << cut;
    }
  }
  // The script reached what it is for: many epochs, and with torn writes also torn tails.
  EXPECT_GT(cut, 2500U);
  if (aftermath == Aftermath::kLoseAll) {
    EXPECT_EQ(torn, 0U);
    EXPECT_EQ(kept, 0U);
  } else {
    EXPECT_GT(torn, 100U);
    EXPECT_GT(kept, 10U);
  }
}

// A second cut while the journal recovers from the first and makes its next change.
TEST_P(PowerLossTest, TwiceLeavesAKnownState) {
  const auto [aftermath, seed, fill] = GetParam();
  const std::vector<Change> changes = script();
  for (uint64_t first = 3; first < 4000; first += 37) {
    for (uint64_t second = 0; second < 900; second += 1 + second / 8) {
      FaultyStorage storage(kStorageBytes, fill);
      storage.cut_power_after(first);
      if (run_script(storage, changes).finished) return;
      storage.reboot(aftermath, derive_key(seed, first));
      storage.cut_power_after(second);
      Outcome run;
      bool opened = false;
      if (auto journal = Journal::open(storage, {}); journal.ok()) {
        opened = true;
        run.before = run.after = state_of(*journal);
        const Change change{1, pattern(25, 77)};
        if (change.apply_to(*journal).ok()) run.before = change.apply_to(run.before);
        run.after = change.apply_to(run.after);
      }
      storage.reboot(aftermath, derive_key(seed, first, second));
      auto journal = Journal::open(storage, {});
      ASSERT_TRUE(journal.ok()) << first << ", " << second << ": " << journal.failure().text();
      const State state = state_of(*journal);
      ASSERT_TRUE(!opened || state == run.before || state == run.after) << first << ", " << second;
      ASSERT_EQ(journal->recovery().lost_records, 0U) << first << ", " << second;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Aftermaths, PowerLossTest,
    ::testing::Values(Scenario{Aftermath::kKeepAll, 0, 0x00}, Scenario{Aftermath::kLoseAll, 0, 0xFF},
                      Scenario{Aftermath::kScatter, 1, 0x00}, Scenario{Aftermath::kScatter, 2, 0xFF},
                      Scenario{Aftermath::kScatter, 3, 0x00}, Scenario{Aftermath::kScatter, 4, 0xFF},
                      Scenario{Aftermath::kScatter, 5, 0x00}));

// One storage through thousands of lives: power cuts, killed processes, transient write and sync errors. Values are few
// and alike, so that two half-written attempts could complete each other if the journal let them.
TEST(JournalLifetimeTest, NeverShowsAStateThatWasNotAcknowledgedOrUnderWay) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    Rng rng(seed);
    FaultyStorage storage(kStorageBytes, seed % 2 == 0 ? 0xFF : 0x00, seed);
    std::set<State> possible{State{}};
    uint64_t cuts = 0;
    uint64_t failures = 0;
    uint64_t uncertain = 0;
    for (int life = 0; life < 4000; ++life) {
      auto journal = Journal::open(storage, {});
      ASSERT_TRUE(journal.ok()) << "seed " << seed << ", life " << life << ": " << journal.failure().text();
      State state = state_of(*journal);
      ASSERT_TRUE(possible.contains(state)) << "seed " << seed << ", life " << life;
      ASSERT_EQ(journal->recovery().lost_records, 0U) << "seed " << seed << ", life " << life;
      possible = {state};
      storage.cut_power_after(rng.below(1500));
      if (rng.below(3) == 0) storage.fail_writes(rng.below(20), 1 + rng.below(4), Error::kStorageFull);
      if (rng.below(3) == 0) storage.fail_syncs(rng.below(6), 1 + rng.below(3));
      for (uint64_t changes = rng.below(12); changes > 0 && storage.powered(); --changes) {
        Change change{static_cast<uint32_t>(rng.below(4)), std::nullopt};
        if (rng.below(4) != 0) {
          const auto bytes = static_cast<size_t>(8 * rng.below(5));
          change.value = Bytes(bytes, static_cast<uint8_t>(rng.below(2)));
        }
        const Failure failure = change.apply_to(*journal);
        if (failure.ok()) {
          state = change.apply_to(state);
          possible = {state};
        } else if (!storage.powered()) {
          possible.insert(change.apply_to(state));
          ++cuts;
        } else {
          ++failures;
          if (std::string_view(failure.text()).find("could not be withdrawn") != std::string_view::npos) {
            possible.insert(change.apply_to(state));
            ++uncertain;
          }
          ASSERT_EQ(state_of(*journal), state) << "seed " << seed << ", life " << life;
        }
      }
      if (rng.below(2) == 0) {
        storage.restart_process();
        continue;
      }
      const auto aftermath = static_cast<Aftermath>(rng.below(3));
      storage.reboot(aftermath, rng.next_u64());
    }
    EXPECT_GT(cuts, 500U);
    EXPECT_GT(failures, 500U);
    EXPECT_GT(uncertain, 20U);
  }
}

}  // namespace
}  // namespace runnel::journal::test
