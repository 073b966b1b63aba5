#include "fleet/token_bucket.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "fleet/rate_trace.h"

namespace runnel::fleet {
namespace {

constexpr Instant at_ms(int64_t ms) {
  return Instant(milliseconds(ms));
}

TEST(TokenBucket, StartsFullAndHoldsOnePacketOnAThinLink) {
  TokenBucket bucket(at_ms(0), 10.0);
  EXPECT_EQ(bucket.available_bytes(at_ms(0)), 1500U);
  EXPECT_EQ(bucket.available_bytes(at_ms(1'000'000)), 1500U);  // no more than a burst is saved up
}

TEST(TokenBucket, GrowsAtItsRate) {
  TokenBucket bucket(at_ms(0), 80.0);  // 10 bytes a millisecond
  bucket.take(1500);
  EXPECT_EQ(bucket.available_bytes(at_ms(0)), 0U);
  EXPECT_EQ(bucket.available_bytes(at_ms(7)), 70U);
  bucket.take(20);
  EXPECT_EQ(bucket.available_bytes(at_ms(7)), 50U);
}

TEST(TokenBucket, LetsThroughWhatTheRateSaysOverTime) {
  for (const double kbps : {10.0, 70.0, 340.0, 3000.0, 20000.0}) {
    TokenBucket bucket(at_ms(0), kbps);
    uint64_t passed = 0;
    Instant now = at_ms(0);
    while (now < at_ms(60'000)) {
      const uint64_t bytes = bucket.available_bytes(now);
      bucket.take(bytes);
      passed += bytes;
      const Instant next = bucket.ready_at(now);
      ASSERT_GT(next, now);
      now = next;
    }
    const double expected = kbps * 1000.0 / 8.0 * 60.0;
    EXPECT_NEAR(static_cast<double>(passed), expected, expected * 0.02 + 2000.0) << kbps;
  }
}

TEST(TokenBucket, AnOutageEmptiesItAndNeverWakes) {
  TokenBucket bucket(at_ms(0), 500.0);
  bucket.set_rate(at_ms(10), 0.0);
  EXPECT_EQ(bucket.available_bytes(at_ms(10)), 0U);
  EXPECT_EQ(bucket.ready_at(at_ms(10)), kNever);
  EXPECT_EQ(bucket.available_bytes(at_ms(60'000)), 0U);
  bucket.set_rate(at_ms(60'000), 80.0);
  EXPECT_EQ(bucket.available_bytes(at_ms(60'000)), 0U);
  EXPECT_EQ(bucket.available_bytes(at_ms(60'010)), 100U);
}

TEST(TokenBucket, ARateChangeKeepsWhatHasGrown) {
  TokenBucket bucket(at_ms(0), 80.0);
  bucket.take(1500);
  bucket.set_rate(at_ms(10), 160.0);  // 100 bytes so far
  EXPECT_EQ(bucket.available_bytes(at_ms(15)), 200U);
}

TEST(TokenBucket, UnlimitedIsUnlimited) {
  TokenBucket bucket(at_ms(0), kUnlimitedKbps);
  EXPECT_TRUE(bucket.unlimited());
  bucket.take(1'000'000'000);
  EXPECT_EQ(bucket.available_bytes(at_ms(0)), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(bucket.ready_at(at_ms(3)), at_ms(3));
  bucket.set_rate(at_ms(5), 80.0);
  EXPECT_FALSE(bucket.unlimited());
  EXPECT_EQ(bucket.available_bytes(at_ms(5)), 1500U);
}

}  // namespace
}  // namespace runnel::fleet
