#include "runtime/base/byte_buffer.h"

#include <gtest/gtest.h>

#include <utility>

namespace runnel {
namespace {

TEST(ByteBuffer, CopiesAreItsOwn) {
  ByteBuffer first = {1, 2, 3};
  ByteBuffer second = first;
  EXPECT_EQ(first, second);
  EXPECT_NE(first.data(), second.data());
  second.data()[0] = 9;
  EXPECT_EQ(first, (ByteBuffer{1, 2, 3}));
  EXPECT_FALSE(first == second);
  EXPECT_FALSE((first == ByteBuffer{1, 2}));
}

TEST(ByteBuffer, MovesWithoutACopyAndLeavesNothing) {
  ByteBuffer first = {1, 2, 3};
  const uint8_t* where = first.data();
  ByteBuffer second = std::move(first);
  EXPECT_EQ(second.data(), where);
  EXPECT_EQ(second.size(), 3U);
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): what it is after that is the promise
  second = {};
  EXPECT_TRUE(second.empty());
  EXPECT_EQ(ByteView(second).size(), 0U);
}

TEST(ByteBuffer, TakesRoomAnew) {
  ByteBuffer buffer = {1, 2, 3};
  EXPECT_TRUE(buffer.allocate(5));
  EXPECT_EQ(buffer.size(), 5U);
  EXPECT_TRUE(buffer.allocate(0));
  EXPECT_TRUE(buffer.empty());
}

}  // namespace
}  // namespace runnel
