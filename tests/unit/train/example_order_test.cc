#include "runtime/train/example_order.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <vector>

namespace runnel::train {
namespace {

std::vector<uint32_t> whole_order(uint32_t count, uint64_t key) {
  const ExampleOrder order(count, key);
  std::vector<uint32_t> examples;
  for (uint32_t position = 0; position < count; ++position) examples.push_back(order.at(position));
  return examples;
}

TEST(ExampleOrder, VisitsEveryExampleOnce) {
  std::vector<uint32_t> counts{1000, 4096, 4097, 65537, 300001};
  for (uint32_t count = 0; count < 300; ++count) counts.push_back(count);
  for (const uint32_t count : counts) {
    std::vector<bool> seen(count);
    for (const uint32_t example : whole_order(count, 7 + count)) {
      ASSERT_LT(example, count);
      ASSERT_FALSE(seen[example]) << example << " of " << count << " twice";
      seen[example] = true;
    }
  }
}

TEST(ExampleOrder, HoldsTheLargestCount) {
  const ExampleOrder order(UINT32_MAX, 5);
  std::set<uint32_t> seen;
  for (uint32_t position = UINT32_MAX - 1000; position < UINT32_MAX; ++position) seen.insert(order.at(position));
  EXPECT_EQ(seen.size(), 1000U);
}

TEST(ExampleOrder, DependsOnTheKeyAlone) {
  EXPECT_EQ(whole_order(100, 1), whole_order(100, 1));
  EXPECT_NE(whole_order(100, 1), whole_order(100, 2));
}

TEST(ExampleOrder, ReachesEveryOrderOfThree) {
  std::set<std::vector<uint32_t>> orders;
  for (uint64_t key = 0; key < 500; ++key) orders.insert(whole_order(3, key));
  EXPECT_EQ(orders.size(), 6U);
}

// Over many keys each example comes about equally often at each position, and after each other example.
TEST(ExampleOrder, IsEven) {
  constexpr uint32_t kCount = 10;
  constexpr uint32_t kKeys = 20000;
  std::array<std::array<uint32_t, kCount>, kCount> at{};
  std::array<std::array<uint32_t, kCount>, kCount> follows{};
  for (uint64_t key = 0; key < kKeys; ++key) {
    const std::vector<uint32_t> order = whole_order(kCount, key);
    for (uint32_t position = 0; position < kCount; ++position) {
      ++at[position][order[position]];
      if (position > 0) ++follows[order[position - 1]][order[position]];
    }
  }
  for (uint32_t a = 0; a < kCount; ++a) {
    for (uint32_t b = 0; b < kCount; ++b) {
      EXPECT_NEAR(at[a][b], kKeys / kCount, 300.0) << a << " " << b;  // seven standard deviations
      if (a != b) {
        EXPECT_NEAR(follows[a][b], kKeys / kCount, 300.0) << a << " " << b;
      }
    }
  }
}

}  // namespace
}  // namespace runnel::train
