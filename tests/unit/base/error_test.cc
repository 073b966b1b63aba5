#include "runtime/base/error.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>

namespace runnel {
namespace {

constexpr Error kAll[] = {
    Error::kOk,          Error::kTruncated,   Error::kMalformed,     Error::kChecksum,        Error::kLimit,
    Error::kVersion,     Error::kWrongType,   Error::kShape,         Error::kNotFinite,       Error::kOutOfRange,
    Error::kDuplicate,   Error::kUnknownName, Error::kUnknownDevice, Error::kUntrusted,       Error::kExpired,
    Error::kRevoked,     Error::kIo,          Error::kStorageFull,   Error::kNotFound,        Error::kBusy,
    Error::kUnreachable, Error::kTimeout,     Error::kCorrupt,       Error::kInvalidArgument, Error::kNoMemory,
    Error::kUnsupported};

TEST(Error, EveryCodeHasANameOfItsOwn) {
  std::set<std::string> names;
  for (const Error error : kAll) names.insert(error_name(error));
  EXPECT_EQ(names.size(), std::size(kAll));
  EXPECT_EQ(names.count("unknown"), 0U);
  EXPECT_STREQ(error_name(Error::kStorageFull), "storage_full");
}

TEST(Error, ANumberWithoutANameIsUnknownAndNotNull) {
  EXPECT_STREQ(error_name(static_cast<Error>(9999)), "unknown");
}

TEST(Error, NumbersAreFixed) {
  EXPECT_EQ(static_cast<int>(Error::kOk), 0);
  EXPECT_EQ(static_cast<int>(Error::kTruncated), 100);
  EXPECT_EQ(static_cast<int>(Error::kUnknownName), 110);
  EXPECT_EQ(static_cast<int>(Error::kUnknownDevice), 200);
  EXPECT_EQ(static_cast<int>(Error::kRevoked), 203);
  EXPECT_EQ(static_cast<int>(Error::kIo), 300);
  EXPECT_EQ(static_cast<int>(Error::kCorrupt), 306);
  EXPECT_EQ(static_cast<int>(Error::kInvalidArgument), 400);
  EXPECT_EQ(static_cast<int>(Error::kUnsupported), 402);
}

TEST(Failure, WithoutWordsHasAnEmptyText) {
  const Failure failure = Error::kIo;
  EXPECT_EQ(failure.error(), Error::kIo);
  EXPECT_FALSE(failure.ok());
  EXPECT_STREQ(failure.text(), "");
  EXPECT_TRUE(Failure(Error::kOk).ok());
}

TEST(Failure, FormatsItsWords) {
  const Failure failure = fail(Error::kShape, "layer %u: %s", 3U, "too wide");
  EXPECT_EQ(failure.error(), Error::kShape);
  EXPECT_STREQ(failure.text(), "layer 3: too wide");
}

TEST(Failure, ALongTextIsCutAtItsEnd) {
  const std::string exact(Failure::kTextBytesMax - 1, 'x');
  EXPECT_EQ(fail(Error::kIo, "%s", exact.c_str()).text(), exact);
  const std::string longer = exact + "tail";
  EXPECT_EQ(fail(Error::kIo, "%s", longer.c_str()).text(), exact);
}

TEST(Failure, PrefixPutsWordsInFront) {
  Failure failure = fail(Error::kMalformed, "unknown layer");
  EXPECT_STREQ(failure.prefix("line %d", 3).text(), "line 3: unknown layer");
  EXPECT_STREQ(failure.prefix("%s", "model.toml").text(), "model.toml: line 3: unknown layer");
  EXPECT_EQ(failure.error(), Error::kMalformed);
}

TEST(Failure, PrefixOfNoWordsAddsNoColon) {
  Failure failure = Error::kIo;
  EXPECT_STREQ(failure.prefix("disk").text(), "disk");
}

TEST(Failure, PrefixKeepsTheFrontAndCutsTheTail) {
  for (size_t front = 0; front < Failure::kTextBytesMax + 10; ++front) {
    Failure failure = fail(Error::kIo, "%s", std::string(100, 'b').c_str());
    failure.prefix("%s", std::string(front, 'a').c_str());
    const std::string whole = std::string(front, 'a') + ": " + std::string(100, 'b');
    EXPECT_EQ(failure.text(), whole.substr(0, Failure::kTextBytesMax - 1)) << front;
  }
}

TEST(Failure, PrefixMayQuoteItsOwnText) {
  Failure failure = fail(Error::kIo, "inner");
  EXPECT_STREQ(failure.prefix("[%s]", failure.text()).text(), "[inner]: inner");
}

TEST(Failure, ACopyIsIndependent) {
  Failure first = fail(Error::kIo, "one");
  const Failure second = first;
  first.prefix("zero");
  EXPECT_STREQ(second.text(), "one");
}

TEST(AssertDeathTest, ABrokenInvariantNamesItselfInEveryBuild) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(RUNNEL_ASSERT(1 + 1 == 3), "broken invariant: 1 \\+ 1 == 3 .*error_test.cc");
}

}  // namespace
}  // namespace runnel
