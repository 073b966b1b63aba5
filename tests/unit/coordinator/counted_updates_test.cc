#include "coordinator/engine/counted_updates.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "runtime/base/rng.h"

namespace runnel::coordinator {
namespace {

TEST(CountedUpdates, NothingIsKnownOfANewDevice) {
  const CountedUpdates counted;
  EXPECT_EQ(counted.last_sequence("d"), 0U);
  EXPECT_FALSE(counted.is_durable("d", 0));
  EXPECT_FALSE(counted.is_durable("d", 1));
  EXPECT_FALSE(counted.is_waiting("d", 0));
}

TEST(CountedUpdates, WhatWaitsIsDurableOnceItIsSaidSo) {
  CountedUpdates counted;
  counted.note_waiting("d", 3, 7);
  EXPECT_TRUE(counted.is_waiting("d", 3));
  EXPECT_FALSE(counted.is_durable("d", 3));
  EXPECT_EQ(counted.last_sequence("d"), 0U);
  counted.note_durable("d", 3);
  EXPECT_FALSE(counted.is_waiting("d", 3));
  EXPECT_TRUE(counted.is_durable("d", 3));
  EXPECT_FALSE(counted.is_durable("e", 3));
  EXPECT_EQ(counted.of("d").round, 7U);
  EXPECT_EQ(counted.of("d").of_round, 1U);
}

TEST(CountedUpdates, AnEarlierOneDoesNotEndTheWait) {
  CountedUpdates counted;
  counted.note_waiting("d", 5, 1);
  counted.note_durable("d", 4);
  EXPECT_TRUE(counted.is_waiting("d", 5));
}

TEST(CountedUpdates, UpdatesOfTheNewestRoundAreCounted) {
  CountedUpdates counted;
  counted.note_round("d", 2);
  counted.note_round("d", 2);
  counted.note_round("d", 1);
  EXPECT_EQ(counted.of("d").round, 2U);
  EXPECT_EQ(counted.of("d").of_round, 2U);
  counted.note_round("d", 9);
  EXPECT_EQ(counted.of("d").of_round, 1U);
}

// In any order, with gaps of any width: the newest, and 64 before it.
TEST(CountedUpdates, TheNewestAndThe64BeforeItAreToldApart) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Rng rng(seed);
    CountedUpdates counted;
    std::set<uint64_t> noted;
    uint64_t next = 1 + rng.below(5);
    for (int i = 0; i < 40; ++i) {
      const uint64_t sequence = rng.below(4) == 0 ? 1 + rng.below(next) : next;
      next = std::max(next, sequence + 1 + rng.below(seed % 3 == 0 ? 90 : 4));
      counted.note_durable("d", sequence);
      noted.insert(sequence);
      const uint64_t newest = *noted.rbegin();
      ASSERT_EQ(counted.last_sequence("d"), newest);
      for (uint64_t each = newest - std::min<uint64_t>(newest, 64); each <= newest + 2; ++each)
        ASSERT_EQ(counted.is_durable("d", each), noted.contains(each)) << "seed " << seed << ", " << each;
    }
  }
}

}  // namespace
}  // namespace runnel::coordinator
