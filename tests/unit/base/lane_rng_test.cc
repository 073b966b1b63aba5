#include "runtime/base/lane_rng.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

namespace runnel {
namespace {

std::vector<uint16_t> numbers_of(const LaneRng& rng, uint64_t chunk, size_t count) {
  std::vector<uint16_t> numbers(count);
  LaneRng::State state = rng.start(chunk);
  for (size_t first = 0; first < count; first += LaneRng::kStep) {
    LaneRng::step(state, std::span<uint16_t>(numbers).subspan(first).first<LaneRng::kStep>());
  }
  return numbers;
}

TEST(LaneRng, TheNumbersStay) {
  const std::vector<uint16_t> numbers = numbers_of(LaneRng(42), 7, 64);
  uint64_t digest = 0;
  for (const uint16_t number : numbers) digest = derive_key(digest, number);
  EXPECT_EQ(digest, UINT64_C(7003931101975588440));
}

TEST(LaneRng, EveryChunkAndEveryKeyIsAnother) {
  const std::vector<uint16_t> one = numbers_of(LaneRng(1), 0, 4096);
  size_t same_key = 0;
  size_t same_chunk = 0;
  const std::vector<uint16_t> other_key = numbers_of(LaneRng(2), 0, 4096);
  // Beyond 2^32 coordinates too.
  const std::vector<uint16_t> other_chunk = numbers_of(LaneRng(1), uint64_t{1} << 32, 4096);
  for (size_t i = 0; i < one.size(); ++i) {
    same_key += one[i] == other_key[i] ? 1 : 0;
    same_chunk += one[i] == other_chunk[i] ? 1 : 0;
  }
  EXPECT_LT(same_key, 5U);
  EXPECT_LT(same_chunk, 5U);
}

TEST(LaneRng, BitsAndPlacesAreBalanced) {
  std::array<uint32_t, 16> ones{};
  std::array<uint64_t, LaneRng::kStep> sums{};
  constexpr uint64_t kChunks = 64;
  double neighbours = 0.0;
  for (uint64_t chunk = 0; chunk < kChunks; ++chunk) {
    const std::vector<uint16_t> numbers = numbers_of(LaneRng(3), chunk, LaneRng::kChunk);
    for (size_t i = 0; i < numbers.size(); ++i) {
      for (size_t bit = 0; bit < 16; ++bit) ones[bit] += numbers[i] >> bit & 1;
      sums[i % LaneRng::kStep] += numbers[i];
      if (i > 0) neighbours += (numbers[i] / 65536.0 - 0.5) * (numbers[i - 1] / 65536.0 - 0.5);
    }
  }
  const double count = static_cast<double>(kChunks) * LaneRng::kChunk;
  for (const uint32_t bit : ones) EXPECT_NEAR(bit, count / 2.0, 5.0 * std::sqrt(count) / 2.0);
  const double in_place = count / LaneRng::kStep;
  for (const uint64_t sum : sums) {
    EXPECT_NEAR(static_cast<double>(sum) / in_place, 32767.5, 5.0 * 65536.0 / std::sqrt(12.0 * in_place));
  }
  EXPECT_NEAR(neighbours / count, 0.0, 5.0 / 12.0 / std::sqrt(count));
}

}  // namespace
}  // namespace runnel
