#include "runtime/wire/reassembly.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace runnel::wire {
namespace {

ByteView view_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
std::string text_of(ByteView bytes) {
  return {bytes.begin(), bytes.end()};
}

TEST(Reassembly, InOrder) {
  Reassembly parts;
  ASSERT_TRUE(parts.start(10, 10).ok());
  EXPECT_FALSE(parts.complete());
  EXPECT_TRUE(parts.add(0, view_of("abcd")).ok());
  EXPECT_EQ(parts.received_bytes(), 4U);
  EXPECT_TRUE(parts.add(4, view_of("efgh")).ok());
  EXPECT_TRUE(parts.add(8, view_of("ij")).ok());
  EXPECT_TRUE(parts.complete());
  EXPECT_EQ(text_of(parts.bytes()), "abcdefghij");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(parts.bytes().data()) % 8, 0U);
}

TEST(Reassembly, WhatWasReceivedIsSkippedAndNotOverwritten) {
  Reassembly parts;
  ASSERT_TRUE(parts.start(6, 6).ok());
  EXPECT_TRUE(parts.add(0, view_of("abcd")).ok());
  EXPECT_TRUE(parts.add(0, view_of("XXXX")).ok());
  EXPECT_TRUE(parts.add(1, view_of("YY")).ok());
  EXPECT_EQ(parts.received_bytes(), 4U);
  EXPECT_TRUE(parts.add(2, view_of("ZZef")).ok());
  EXPECT_TRUE(parts.complete());
  EXPECT_EQ(text_of(parts.bytes()), "abcdef");
  EXPECT_TRUE(parts.add(5, view_of("f")).ok());
}

TEST(Reassembly, AGapIsRefusedAndChangesNothing) {
  Reassembly parts;
  ASSERT_TRUE(parts.start(6, 6).ok());
  EXPECT_TRUE(parts.add(0, view_of("ab")).ok());
  const Failure bad = parts.add(3, view_of("d"));
  EXPECT_EQ(bad.error(), Error::kOutOfRange);
  EXPECT_STREQ(bad.text(), "a chunk [3, +1) where byte 2 of 6 is next");
  EXPECT_EQ(parts.received_bytes(), 2U);
}

TEST(Reassembly, BeyondTheEndIsRefused) {
  Reassembly parts;
  ASSERT_TRUE(parts.start(4, 4).ok());
  EXPECT_EQ(parts.add(0, view_of("abcde")).error(), Error::kOutOfRange);
  EXPECT_EQ(parts.add(5, {}).error(), Error::kOutOfRange);
  EXPECT_EQ(parts.add(UINT64_MAX, view_of("a")).error(), Error::kOutOfRange);
  EXPECT_EQ(parts.received_bytes(), 0U);
}

TEST(Reassembly, LimitsAreCheckedBeforeAnythingIsForgotten) {
  Reassembly parts;
  ASSERT_TRUE(parts.start(2, 2).ok());
  EXPECT_TRUE(parts.add(0, view_of("ab")).ok());
  EXPECT_EQ(parts.start(0, 10).error(), Error::kLimit);
  EXPECT_EQ(parts.start(11, 10).error(), Error::kLimit);
  EXPECT_TRUE(parts.complete());
  EXPECT_EQ(text_of(parts.bytes()), "ab");
}

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kHugeAllocationsAbort = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool kHugeAllocationsAbort = true;
#else
constexpr bool kHugeAllocationsAbort = false;
#endif
#else
constexpr bool kHugeAllocationsAbort = false;
#endif

TEST(Reassembly, TooLittleMemoryIsAFailure) {
  if (kHugeAllocationsAbort) GTEST_SKIP() << "the address sanitizer ends the program instead of saying no";
  Reassembly parts;
  EXPECT_EQ(parts.start(1ULL << 62, UINT64_MAX).error(), Error::kNoMemory);
  EXPECT_FALSE(parts.complete());
  EXPECT_EQ(parts.total_bytes(), 0U);
  EXPECT_TRUE(parts.start(1, 1).ok());
}

TEST(Reassembly, TheMessageIsTakenAsItIsAndAnotherMayFollow) {
  Reassembly parts;
  const std::vector<uint8_t> bytes = {1, 2, 3, 4};
  ASSERT_TRUE(parts.start(bytes.size(), 100).ok());
  ASSERT_TRUE(parts.add(0, bytes).ok());
  const uint8_t* where = parts.bytes().data();
  const ByteBuffer taken = parts.take();
  EXPECT_EQ(taken.data(), where);
  EXPECT_EQ(taken, ByteBuffer(bytes));
  EXPECT_FALSE(parts.complete());
  EXPECT_EQ(parts.total_bytes(), 0U);
  EXPECT_EQ(parts.received_bytes(), 0U);
  EXPECT_FALSE(parts.add(0, bytes).ok());
  EXPECT_TRUE(parts.start(2, 100).ok());
}

TEST(Reassembly, StartsAnewAndForgets) {
  Reassembly parts;
  EXPECT_FALSE(parts.complete());
  EXPECT_EQ(parts.total_bytes(), 0U);
  EXPECT_EQ(parts.add(0, view_of("a")).error(), Error::kOutOfRange);
  ASSERT_TRUE(parts.start(2, 2).ok());
  EXPECT_TRUE(parts.add(0, view_of("ab")).ok());
  ASSERT_TRUE(parts.start(3, 3).ok());
  EXPECT_EQ(parts.received_bytes(), 0U);
  EXPECT_EQ(parts.total_bytes(), 3U);
  parts.reset();
  EXPECT_EQ(parts.total_bytes(), 0U);
  EXPECT_FALSE(parts.complete());
}

// Against the simplest thing that could be: a string, and the number of its bytes that are there.
RC_GTEST_PROP(Reassembly, AnySequenceOfChunksGivesTheMessageOrAsksForTheNextByte,
              (const std::vector<std::pair<uint8_t, uint8_t>>& chunks, uint8_t size)) {
  const size_t total = size % 64 + 1U;
  std::string whole(total + 64, '?');
  for (size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<char>('!' + i % 90);
  Reassembly parts;
  RC_ASSERT(parts.start(total, 64).ok());
  size_t received = 0;
  for (const auto& [at, length] : chunks) {
    const size_t offset = at % 72;
    const size_t bytes = length % 24;
    const bool fits = offset <= received && offset + bytes <= total;
    const std::string chunk = offset < whole.size() ? whole.substr(offset, bytes) : std::string(bytes, '?');
    RC_ASSERT(parts.add(offset, view_of(chunk)).ok() == fits);
    if (fits) received = std::max(received, offset + bytes);
    RC_ASSERT(parts.received_bytes() == received);
    RC_ASSERT(parts.complete() == (received == total));
    RC_ASSERT(text_of(parts.bytes()) == whole.substr(0, received));
  }
}

}  // namespace
}  // namespace runnel::wire
