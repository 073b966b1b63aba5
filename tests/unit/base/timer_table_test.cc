#include "runtime/base/timer_table.h"

#include <gtest/gtest.h>

namespace runnel {
namespace {

enum class Timer : uint8_t { kReply, kPing, kRetry, kCount };

Instant at_ms(int64_t ms) {
  return Instant(milliseconds(ms));
}

TEST(TimerTable, StartsWithNothingDue) {
  TimerTable<Timer> timers;
  EXPECT_EQ(timers.next_timeout(), kNever);
  EXPECT_FALSE(timers.is_set(Timer::kReply));
  EXPECT_FALSE(timers.take_expired(Timer::kReply, at_ms(1)));
  EXPECT_FALSE(timers.take_expired(Timer::kReply, kNever));
}

TEST(TimerTable, TheNextTimeoutIsTheEarliest) {
  TimerTable<Timer> timers;
  timers.set(Timer::kReply, at_ms(30));
  timers.set(Timer::kPing, at_ms(10));
  timers.set(Timer::kRetry, at_ms(20));
  EXPECT_EQ(timers.next_timeout(), at_ms(10));
  timers.stop(Timer::kPing);
  EXPECT_EQ(timers.next_timeout(), at_ms(20));
  timers.set(Timer::kRetry, at_ms(40));  // setting again moves it
  EXPECT_EQ(timers.next_timeout(), at_ms(30));
}

TEST(TimerTable, ExpiresAtItsInstantNotBeforeAndOnce) {
  TimerTable<Timer> timers;
  timers.set(Timer::kPing, at_ms(10));
  EXPECT_FALSE(timers.take_expired(Timer::kPing, at_ms(10) - Duration(1)));
  EXPECT_TRUE(timers.is_set(Timer::kPing));
  EXPECT_TRUE(timers.take_expired(Timer::kPing, at_ms(10)));
  EXPECT_FALSE(timers.is_set(Timer::kPing));
  EXPECT_FALSE(timers.take_expired(Timer::kPing, at_ms(11)));
}

TEST(TimerTable, ALateLookStillFindsIt) {
  TimerTable<Timer> timers;
  timers.set(Timer::kRetry, at_ms(5));
  timers.set(Timer::kReply, at_ms(50));
  EXPECT_TRUE(timers.take_expired(Timer::kRetry, at_ms(5000)));
  EXPECT_TRUE(timers.take_expired(Timer::kReply, at_ms(5000)));
  EXPECT_EQ(timers.next_timeout(), kNever);
}

TEST(TimerTable, NeverIsTheSameAsStopped) {
  TimerTable<Timer> timers;
  timers.set(Timer::kReply, at_ms(1));
  timers.set(Timer::kReply, kNever);
  EXPECT_FALSE(timers.is_set(Timer::kReply));
}

TEST(Time, MillisecondsAreCutTowardsZero) {
  EXPECT_EQ(to_ms(Duration(1999)), 1);
  EXPECT_EQ(to_ms(Duration(-1999)), -1);
  EXPECT_EQ(to_ms(seconds(2)), 2000);
}

}  // namespace
}  // namespace runnel
