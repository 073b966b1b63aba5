#include "runtime/base/bytes.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace runnel {
namespace {

TEST(Bytes, NumbersAreLittleEndianAtAnyAddress) {
  uint8_t bytes[9] = {};
  store_le<uint32_t>(bytes + 1, 0x04030201U);
  EXPECT_EQ(bytes[1], 1);
  EXPECT_EQ(bytes[4], 4);
  EXPECT_EQ(load_le<uint32_t>(bytes + 1), 0x04030201U);
  EXPECT_EQ(load_le<uint16_t>(bytes + 3), 0x0403U);
}

TEST(Bytes, RangeWithin) {
  EXPECT_TRUE(range_within(0, 0, 0));
  EXPECT_TRUE(range_within(5, 0, 5));
  EXPECT_TRUE(range_within(2, 3, 5));
  EXPECT_FALSE(range_within(3, 3, 5));
  EXPECT_FALSE(range_within(6, 0, 5));
  EXPECT_FALSE(range_within(1, UINT64_MAX, 5));
  EXPECT_FALSE(range_within(UINT64_MAX, UINT64_MAX, UINT64_MAX - 1));
  EXPECT_TRUE(range_within(UINT64_MAX, 0, UINT64_MAX));
}

RC_GTEST_PROP(Bytes, RangeWithinIsThePlainComparisonWhereNothingOverflows,
              (uint32_t offset, uint32_t bytes, uint32_t total)) {
  RC_ASSERT(range_within(offset, bytes, total) == (uint64_t{offset} + bytes <= total));
}

}  // namespace
}  // namespace runnel
