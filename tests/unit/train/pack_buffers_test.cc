#include "runtime/train/pack_buffers.h"

#include <gtest/gtest.h>

#include "runtime/base/rng.h"

namespace runnel::train {
namespace {

Buffers buffers(std::initializer_list<Buffer> list) {
  Buffers result;
  for (const Buffer& buffer : list) EXPECT_TRUE(result.push_back(buffer));
  return result;
}

TEST(PackBuffers, SharesWhatNeverMeets) {
  Buffers two = buffers({{10, 0, 0, 1}, {7, 0, 2, 3}});
  EXPECT_EQ(pack_buffers(two), 10U);
  EXPECT_EQ(two[0].place, 0U);
  EXPECT_EQ(two[1].place, 0U);
}

TEST(PackBuffers, SeparatesWhatMeetsAtOneMoment) {
  Buffers two = buffers({{10, 0, 0, 2}, {7, 0, 2, 3}});
  EXPECT_EQ(pack_buffers(two), 17U);
  EXPECT_EQ(two[1].place, 10U);
}

TEST(PackBuffers, TakesTheSmallestGapThatHoldsIt) {
  // The three long ones leave nothing between them; when the second and the fourth are over, gaps of 6 and 4 are left.
  Buffers five = buffers({{20, 0, 0, 9}, {6, 0, 0, 1}, {5, 0, 0, 9}, {4, 0, 0, 1}, {3, 0, 2, 9}, {3, 0, 0, 9}});
  const uint64_t lines = pack_buffers(five);
  EXPECT_EQ(lines, 38U);
  EXPECT_EQ(five[4].place, five[3].place);
}

TEST(PackBuffers, NothingThatMeetsOverlapsAndLittleIsLost) {
  Rng rng(3);
  double lost = 0.0;
  for (int trial = 0; trial < 300; ++trial) {
    Buffers many;
    const auto count = static_cast<size_t>(1 + rng.below(120));
    for (size_t index = 0; index < count; ++index) {
      const auto first = static_cast<uint32_t>(rng.below(60));
      EXPECT_TRUE(many.push_back({1 + rng.below(50), 0, first, first + static_cast<uint32_t>(rng.below(12))}));
    }
    const uint64_t lines = pack_buffers(many);
    uint64_t end = 0;
    for (size_t a = 0; a < count; ++a) {
      end = std::max(end, many[a].place + many[a].lines);
      for (size_t b = a + 1; b < count; ++b) {
        const bool meet = many[a].first <= many[b].last && many[b].first <= many[a].last;
        const bool overlap =
            many[a].place < many[b].place + many[b].lines && many[b].place < many[a].place + many[a].lines;
        ASSERT_FALSE(meet && overlap) << trial;
      }
    }
    ASSERT_EQ(lines, end);
    ASSERT_GE(lines, lines_alive_max(many));
    lost += static_cast<double>(lines) / static_cast<double>(lines_alive_max(many)) - 1.0;
  }
  EXPECT_LT(lost / 300, 0.10);
}

}  // namespace
}  // namespace runnel::train
