#include "runtime/base/arena.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <memory>
#include <vector>

namespace runnel {
namespace {

bool is_aligned(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % Arena::kAlignment == 0;
}

TEST(Arena, GivesZeroedAlignedMemory) {
  alignas(Arena::kAlignment) uint8_t block[256];
  std::memset(block, 0xAB, sizeof block);
  Arena arena(block);
  const std::span<uint8_t> first = arena.allocate<uint8_t>(3);
  const std::span<double> second = arena.allocate<double>(4);
  ASSERT_EQ(first.size(), 3U);
  ASSERT_EQ(second.size(), 4U);
  EXPECT_TRUE(is_aligned(first.data()));
  EXPECT_TRUE(is_aligned(second.data()));
  for (const uint8_t value : first) EXPECT_EQ(value, 0);
  for (const double value : second) EXPECT_EQ(value, 0.0);
  EXPECT_EQ(arena.used_bytes(), 64 + 32U);
  EXPECT_EQ(block[3], 0xAB);  // nothing beyond what was asked for
}

TEST(Arena, AnUnalignedBlockCostsItsPaddingOnly) {
  alignas(Arena::kAlignment) uint8_t block[192];
  Arena arena(MutableByteView(block).subspan(1));
  EXPECT_TRUE(is_aligned(arena.allocate<uint32_t>(1).data()));
  EXPECT_EQ(arena.used_bytes(), 63 + 4U);
}

TEST(Arena, TheLastByteCanBeUsedAndNotOneMore) {
  alignas(Arena::kAlignment) uint8_t block[128];
  Arena arena(block);
  EXPECT_EQ(arena.allocate<uint8_t>(128).size(), 128U);
  EXPECT_TRUE(arena.allocate<uint8_t>(1).empty());
}

TEST(Arena, WhatDoesNotFitChangesNothing) {
  alignas(Arena::kAlignment) uint8_t block[128];
  Arena arena(block);
  ASSERT_EQ(arena.allocate<uint8_t>(10).size(), 10U);
  EXPECT_TRUE(arena.allocate<uint8_t>(65).empty());
  EXPECT_EQ(arena.used_bytes(), 10U);
  EXPECT_EQ(arena.allocate<uint8_t>(64).size(), 64U);
}

TEST(Arena, NothingAskedNothingTaken) {
  alignas(Arena::kAlignment) uint8_t block[64];
  Arena arena(block);
  EXPECT_TRUE(arena.allocate<uint64_t>(0).empty());
  EXPECT_EQ(arena.used_bytes(), 0U);
}

TEST(Arena, AnEmptyBlockGivesNothing) {
  Arena arena{MutableByteView{}};
  EXPECT_TRUE(arena.allocate<uint8_t>(1).empty());
  EXPECT_EQ(arena.capacity_bytes(), 0U);
}

TEST(Arena, ACountWhoseBytesOverflowDoesNotFit) {
  alignas(Arena::kAlignment) uint8_t block[64];
  Arena arena(block);
  EXPECT_TRUE(arena.allocate<uint64_t>(SIZE_MAX / 4).empty());
  EXPECT_TRUE(arena.allocate<uint8_t>(SIZE_MAX).empty());
  EXPECT_EQ(arena.used_bytes(), 0U);
}

// The pattern with which a plan of memory is proved: with one byte less than needed it must fail, with the bytes it
// says it must succeed, and at no size in between is anything outside the block touched (a sanitizer watches).
TEST(Arena, SucceedsExactlyFromTheSizeThatIsNeeded) {
  const auto fits = [](size_t bytes) {
    std::vector<uint64_t> storage((bytes + 2 * Arena::kAlignment) / 8);
    void* start = storage.data();
    size_t space = storage.size() * 8;
    uint8_t* aligned = static_cast<uint8_t*>(std::align(Arena::kAlignment, bytes, start, space));
    Arena arena(MutableByteView(aligned, bytes));
    return !arena.allocate<float>(5).empty() && !arena.allocate<uint8_t>(70).empty() &&
           !arena.allocate<uint64_t>(3).empty();
  };
  const size_t needed = Arena::aligned_bytes(20) + Arena::aligned_bytes(70) + 24;
  for (size_t bytes = 1; bytes < needed + 80; ++bytes) EXPECT_EQ(fits(bytes), bytes >= needed) << bytes;
}

RC_GTEST_PROP(Arena, PiecesNeverOverlapAndStayInside, (const std::vector<uint8_t>& sizes, uint8_t skew)) {
  std::vector<uint8_t> block(2048);
  const MutableByteView view = MutableByteView(block).subspan(skew % 64);
  Arena arena(view);
  const uint8_t* end = view.data();
  for (const uint8_t size : sizes) {
    const std::span<uint8_t> piece = arena.allocate<uint8_t>(size);
    if (piece.empty()) continue;
    RC_ASSERT(piece.size() == size);
    RC_ASSERT(is_aligned(piece.data()));
    RC_ASSERT(piece.data() >= end);
    end = piece.data() + piece.size();
    RC_ASSERT(end <= view.data() + view.size());
  }
  RC_ASSERT(arena.used_bytes() <= arena.capacity_bytes());
}

}  // namespace
}  // namespace runnel
