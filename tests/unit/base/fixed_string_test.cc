#include "runtime/base/fixed_string.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace runnel {
namespace {

TEST(FixedString, FillsUpToItsCapacityAndRefusesMore) {
  FixedString<4> text;
  EXPECT_TRUE(text.empty());
  EXPECT_STREQ(text.c_str(), "");
  EXPECT_TRUE(text.assign("abcd"));
  EXPECT_FALSE(text.assign("abcde"));
  EXPECT_EQ(text.view(), "abcd");
  EXPECT_EQ(text.size(), 4U);
  EXPECT_STREQ(text.c_str(), "abcd");
}

TEST(FixedString, AShorterTextIsTerminatedWhereItEnds) {
  FixedString<8> text;
  EXPECT_TRUE(text.assign("longer"));
  EXPECT_TRUE(text.assign("ab"));
  EXPECT_STREQ(text.c_str(), "ab");
  EXPECT_TRUE(text.assign(""));
  EXPECT_TRUE(text.empty());
}

TEST(FixedString, TakesAViewWithoutData) {
  FixedString<8> text;
  EXPECT_TRUE(text.assign("x"));
  EXPECT_TRUE(text.assign(std::string_view{}));
  EXPECT_TRUE(text.empty());
}

TEST(FixedString, TakesAPartOfItself) {
  FixedString<8> text;
  EXPECT_TRUE(text.assign("12345678"));
  EXPECT_TRUE(text.assign(text.view().substr(2)));
  EXPECT_EQ(text.view(), "345678");
}

TEST(FixedString, EqualityLooksAtTheTextAlone) {
  FixedString<8> first;
  FixedString<8> second;
  EXPECT_TRUE(first.assign("longest"));
  EXPECT_TRUE(first.assign("ab"));
  EXPECT_TRUE(second.assign("ab"));
  EXPECT_EQ(first, second);
  EXPECT_TRUE(second.assign("abc"));
  EXPECT_NE(first, second);
}

RC_GTEST_PROP(FixedString, KeepsAnyTextThatFits, (const std::string& from)) {
  FixedString<16> text;
  const bool fits = from.size() <= 16;
  RC_ASSERT(text.assign(from) == fits);
  RC_ASSERT(text.view() == (fits ? from : std::string()));
}

}  // namespace
}  // namespace runnel
