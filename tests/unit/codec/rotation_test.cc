#include "runtime/codec/rotation.h"

#include <gtest/gtest.h>

#include "runtime/base/instruction_set.h"
#include "tests/unit/codec/vectors.h"

namespace runnel::codec {
namespace {

constexpr size_t kLengths[] = {0,   1,   2,    3,    5,    16,   63,   64,   65,   100,  127,  128,
                               129, 500, 1024, 2047, 4095, 4096, 4097, 5000, 8191, 8192, 9999, 10000};

TEST(Rotation, EveryInstructionSetMakesTheSameBits) {
  for (const size_t count : kLengths) {
    const std::vector<float> values = laplace_vector(count, count);
    ASSERT_TRUE(limit_instruction_set("reference"));
    std::vector<float> there = values;
    rotate(there, 9);
    std::vector<float> back = there;
    rotate_back(back, 9);
    for (const char* name : {"sse4", "avx2", "avx512", "neon"}) {
      if (!limit_instruction_set(name)) continue;
      std::vector<float> fast = values;
      rotate(fast, 9);
      EXPECT_EQ(fast, there) << name << ", " << count << " values";
      rotate_back(fast, 9);
      EXPECT_EQ(fast, back) << name << ", " << count << " values";
    }
    limit_instruction_set("auto");
  }
}

TEST(Rotation, KeepsTheNormAndComesBack) {
  for (const size_t count : kLengths) {
    const std::vector<float> values = laplace_vector(count, 3 * count);
    std::vector<float> rotated = values;
    rotate(rotated, 10);
    EXPECT_NEAR(squared_norm(rotated), squared_norm(values), 1e-5 * squared_norm(values)) << count;
    if (count > 1) {
      EXPECT_NE(rotated, values) << count;
    }
    rotate_back(rotated, 10);
    for (size_t i = 0; i < count; ++i) ASSERT_NEAR(rotated[i], values[i], 3e-5F) << i << " of " << count;
  }
}

// Columns of an orthogonal matrix: unit vectors stay orthogonal to each other.
TEST(Rotation, IsOrthogonal) {
  for (const size_t count : {7U, 48U, 128U, 200U}) {
    std::vector<std::vector<float>> columns(count, std::vector<float>(count));
    for (size_t k = 0; k < count; ++k) {
      columns[k][k] = 1.0F;
      rotate(columns[k], 11);
    }
    for (size_t a = 0; a < count; ++a) {
      for (size_t b = 0; b <= a; ++b) {
        double product = 0.0;
        for (size_t i = 0; i < count; ++i) product += double{columns[a][i]} * columns[b][i];
        ASSERT_NEAR(product, a == b ? 1.0 : 0.0, 1e-5) << a << ", " << b << " of " << count;
      }
    }
  }
}

TEST(Rotation, SpreadsOneCoordinateOverItsChunkOnly) {
  std::vector<float> values(3 * kRotationChunk);
  values[kRotationChunk + 5] = 1.0F;
  rotate(values, 12);
  for (size_t i = 0; i < values.size(); ++i) {
    if (i / kRotationChunk != 1) {
      ASSERT_EQ(values[i], 0.0F);
    }
    ASSERT_LT(std::abs(values[i]), 0.1F);
  }
}

TEST(Rotation, EverySeedAndEveryChunkIsAnother) {
  std::vector<float> first(2 * kRotationChunk, 1.0F);
  std::vector<float> second = first;
  rotate(first, 13);
  rotate(second, 14);
  EXPECT_NE(first, second);
  EXPECT_NE(std::vector<float>(first.begin(), first.begin() + kRotationChunk),
            std::vector<float>(first.begin() + kRotationChunk, first.end()));
}

}  // namespace
}  // namespace runnel::codec
