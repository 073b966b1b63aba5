#include "fleet/delay_line.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace runnel::fleet {
namespace {

constexpr Instant at_ms(int64_t ms) {
  return Instant(milliseconds(ms));
}

ByteView view(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
std::string text_of(ByteView bytes) {
  return {bytes.begin(), bytes.end()};
}

TEST(DelayLine, HandsOutAPieceWhenItIsDue) {
  DelayLine line(100);
  EXPECT_EQ(line.next_due(), kNever);
  line.push(view("hello"), at_ms(30));
  EXPECT_EQ(line.next_due(), at_ms(30));
  EXPECT_TRUE(line.front(at_ms(29)).empty());
  EXPECT_EQ(text_of(line.front(at_ms(30))), "hello");
  line.consume(2);
  EXPECT_EQ(text_of(line.front(at_ms(30))), "llo");
  EXPECT_EQ(line.bytes(), 3U);
  line.consume(3);
  EXPECT_TRUE(line.empty());
  EXPECT_EQ(line.room_bytes(), 100U);
}

TEST(DelayLine, AFallingLatencyDoesNotReorder) {
  DelayLine line(100);
  line.push(view("first"), at_ms(50));
  line.push(view("second"), at_ms(20));
  EXPECT_TRUE(line.front(at_ms(49)).empty());
  EXPECT_EQ(text_of(line.front(at_ms(50))), "first");
  line.consume(5);
  EXPECT_EQ(text_of(line.front(at_ms(50))), "second");
}

TEST(DelayLine, CountsItsRoom) {
  DelayLine line(8);
  line.push(view("12345"), at_ms(1));
  EXPECT_EQ(line.room_bytes(), 3U);
  line.push({}, at_ms(2));
  EXPECT_EQ(line.bytes(), 5U);
  EXPECT_DEATH(line.push(view("1234"), at_ms(2)), "room_bytes");
}

}  // namespace
}  // namespace runnel::fleet
