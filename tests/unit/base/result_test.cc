#include "runtime/base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace runnel {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return fail(Error::kOutOfRange, "%d is odd", value);
  return value / 2;
}

Failure check_even(int value) {
  if (value % 2 != 0) return fail(Error::kOutOfRange, "%d is odd", value);
  return Error::kOk;
}

Result<std::string> quarter_in_words(int value) {
  RUNNEL_TRY(check_even(value));
  RUNNEL_TRY(check_even(value / 2));
  return std::to_string(value / 4);
}

// Counts how many of its kind are alive.
struct Counted {
  explicit Counted(int* alive) : alive_(alive) { ++*alive_; }
  Counted(Counted&& other) noexcept : alive_(other.alive_) { ++*alive_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  Counted& operator=(Counted&&) = delete;
  ~Counted() { --*alive_; }
  int* alive_;
};

// Kept out of line: the compiler cannot follow that a failure holds no value, and warns of one.
__attribute__((noinline)) Result<Counted> fail_to_count() {
  return Error::kIo;
}

TEST(Result, HoldsAValue) {
  const Result<int> result = half(8);
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(static_cast<bool>(result));
  EXPECT_EQ(result.value(), 4);
  EXPECT_EQ(*result, 4);
  EXPECT_EQ(result.error(), Error::kOk);
}

TEST(Result, HoldsAFailure) {
  const Result<int> result = half(7);
  EXPECT_FALSE(result.ok());
  EXPECT_FALSE(static_cast<bool>(result));
  EXPECT_EQ(result.error(), Error::kOutOfRange);
  EXPECT_STREQ(result.failure().text(), "7 is odd");
}

TEST(Result, ABareErrorIsAFailure) {
  const Result<int> result = Error::kBusy;
  EXPECT_EQ(result.error(), Error::kBusy);
  EXPECT_STREQ(result.failure().text(), "");
}

TEST(Result, TheValueCanBeChangedAndMovedOut) {
  Result<std::string> result = std::string("abc");
  *result += "d";
  result->push_back('e');
  EXPECT_EQ(*result, "abcde");
  const std::string taken = std::move(result).value();
  EXPECT_EQ(taken, "abcde");
}

TEST(Result, HoldsWhatCanOnlyBeMoved) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
  Result<std::unique_ptr<int>> moved = std::move(result);
  ASSERT_TRUE(moved.ok());
  EXPECT_EQ(**moved, 5);
}

TEST(Result, DestroysItsValueOnceAndOnlyIfThereIsOne) {
  int alive = 0;
  {
    Result<Counted> value = Counted(&alive);
    EXPECT_EQ(alive, 1);
    const Result<Counted> moved = std::move(value);
    EXPECT_EQ(alive, 2);  // the one moved from lives until its Result goes
    const Result<Counted> failure = fail_to_count();
    EXPECT_EQ(alive, 2);
  }
  EXPECT_EQ(alive, 0);
}

TEST(Result, TryLeavesWithTheFirstFailure) {
  EXPECT_EQ(*quarter_in_words(12), "3");
  EXPECT_STREQ(quarter_in_words(9).failure().text(), "9 is odd");
  EXPECT_STREQ(quarter_in_words(6).failure().text(), "3 is odd");
}

TEST(ResultDeathTest, TheValueOfAFailureIsOurBug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH((void)half(7).value(), "broken invariant");
}

TEST(ResultDeathTest, SuccessWithoutAValueIsOurBug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH((void)Result<int>(Error::kOk), "broken invariant");
}

}  // namespace
}  // namespace runnel
