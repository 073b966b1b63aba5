#include "runtime/base/static_vector.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <vector>

namespace runnel {
namespace {

TEST(StaticVector, RefusesWhatDoesNotFitAndStaysAsItWas) {
  StaticVector<int, 2> vector;
  EXPECT_TRUE(vector.empty());
  EXPECT_TRUE(vector.push_back(1));
  EXPECT_TRUE(vector.push_back(2));
  EXPECT_FALSE(vector.push_back(3));
  EXPECT_EQ(vector.size(), 2U);
  EXPECT_EQ(vector.back(), 2);
  vector.clear();
  EXPECT_TRUE(vector.empty());
  EXPECT_EQ(vector.begin(), vector.end());
}

TEST(StaticVector, ElementsCanBeChanged) {
  StaticVector<int, 4> vector;
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(vector.push_back(i));
  vector[1] = 10;
  vector.back() = 30;
  for (int& value : vector) ++value;
  const StaticVector<int, 4> copy = vector;
  EXPECT_EQ(std::vector<int>(copy.begin(), copy.end()), (std::vector<int>{1, 11, 3, 31}));
}

TEST(StaticVectorDeathTest, AnIndexBeyondTheEndIsOurBug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  StaticVector<int, 4> vector;
  EXPECT_DEATH((void)vector.back(), "broken invariant");
  ASSERT_TRUE(vector.push_back(1));
  EXPECT_DEATH((void)vector[1], "broken invariant");
}

RC_GTEST_PROP(StaticVector, HoldsTheFirstThatFit, (const std::vector<uint8_t>& values)) {
  StaticVector<uint8_t, 10> vector;
  for (size_t i = 0; i < values.size(); ++i) RC_ASSERT(vector.push_back(values[i]) == (i < 10));
  const std::vector<uint8_t> expected(values.begin(),
                                      values.begin() + std::min<std::ptrdiff_t>(10, std::ssize(values)));
  RC_ASSERT(std::vector<uint8_t>(vector.begin(), vector.end()) == expected);
}

}  // namespace
}  // namespace runnel
