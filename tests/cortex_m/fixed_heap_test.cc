#include "device/port/fixed_heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "runtime/base/rng.h"

namespace runnel::port {
namespace {

// Blocks of random sizes come and go; none may overlap another, and when all are gone the whole is there again.
TEST(FixedHeap, GivesBlocksApartAndTakesThemBack) {
  alignas(8) static std::array<uint8_t, 20000> block;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    FixedHeap heap(block);
    Rng rng(seed);
    std::map<uint8_t*, std::pair<size_t, uint8_t>> held;
    for (int i = 0; i < 3000; ++i) {
      if (held.empty() || rng.below(2) == 0) {
        const auto bytes = static_cast<size_t>(rng.below(rng.below(10) == 0 ? 6000 : 300));
        auto* memory = static_cast<uint8_t*>(heap.allocate(bytes));
        if (memory == nullptr) continue;
        ASSERT_EQ(reinterpret_cast<uintptr_t>(memory) % FixedHeap::kAlignment, 0U);
        ASSERT_TRUE(memory >= block.data() && memory + bytes <= block.data() + block.size());
        const auto fill = static_cast<uint8_t>(rng.below(256));
        std::fill_n(memory, bytes, fill);
        held[memory] = {bytes, fill};
      } else {
        auto one = held.begin();
        std::advance(one, static_cast<std::ptrdiff_t>(rng.below(held.size())));
        const auto [bytes, fill] = one->second;
        ASSERT_TRUE(std::all_of(one->first, one->first + bytes, [fill = fill](uint8_t b) { return b == fill; }));
        heap.release(one->first);
        held.erase(one);
      }
    }
    for (const auto& [memory, what] : held) heap.release(memory);
    EXPECT_EQ(heap.used_bytes(), 0U);
    EXPECT_GT(heap.peak_bytes(), 0U);
    EXPECT_LE(heap.peak_bytes(), heap.reach_bytes());
    EXPECT_NE(heap.allocate(block.size() - 16), nullptr);
  }
}

TEST(FixedHeap, RefusesWhatDoesNotFitAndCountsIt) {
  alignas(8) static std::array<uint8_t, 1024> block;
  FixedHeap heap(block);
  EXPECT_EQ(heap.allocate(1024), nullptr);
  EXPECT_EQ(heap.allocate(SIZE_MAX), nullptr);
  EXPECT_EQ(heap.refused(), 2U);
  EXPECT_EQ(heap.largest_refused_bytes(), SIZE_MAX);
  EXPECT_NE(heap.allocate(1016), nullptr);
  EXPECT_EQ(heap.used_bytes(), 1024U);
}

TEST(FixedHeap, GivesNothingWhileSealed) {
  alignas(8) static std::array<uint8_t, 1024> block;
  FixedHeap heap(block);
  void* before = heap.allocate(10);
  heap.seal();
  EXPECT_EQ(heap.allocate(1), nullptr);
  EXPECT_EQ(heap.refused(), 1U);
  heap.release(before);
  heap.unseal();
  EXPECT_NE(heap.allocate(1), nullptr);
}

}  // namespace
}  // namespace runnel::port
