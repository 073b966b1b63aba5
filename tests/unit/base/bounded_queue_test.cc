#include "runtime/base/bounded_queue.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <deque>
#include <memory>
#include <vector>

namespace runnel {
namespace {

TEST(BoundedQueue, IsFirstInFirstOut) {
  BoundedQueue<int, 3> queue;
  EXPECT_TRUE(queue.empty());
  EXPECT_TRUE(queue.push(1));
  EXPECT_TRUE(queue.push(2));
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_TRUE(queue.push(3));
  EXPECT_TRUE(queue.push(4));
  EXPECT_TRUE(queue.full());
  EXPECT_FALSE(queue.push(5));
  EXPECT_EQ(queue.pop(), 2);
  EXPECT_EQ(queue.pop(), 3);
  EXPECT_EQ(queue.pop(), 4);
  EXPECT_TRUE(queue.empty());
}

TEST(BoundedQueue, CarriesWhatCanOnlyBeMoved) {
  BoundedQueue<std::unique_ptr<int>, 1> queue;
  EXPECT_TRUE(queue.push(std::make_unique<int>(7)));
  EXPECT_FALSE(queue.push(std::make_unique<int>(8)));
  EXPECT_EQ(*queue.pop(), 7);
}

TEST(BoundedQueueDeathTest, PopOfNothingIsOurBug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  BoundedQueue<int, 1> queue;
  EXPECT_DEATH((void)queue.pop(), "broken invariant");
}

// Against a deque: even numbers are pushed, odd ones pop, every seventh clears.
RC_GTEST_PROP(BoundedQueue, BehavesAsADequeWithALimit, (const std::vector<uint16_t>& steps)) {
  BoundedQueue<uint16_t, 5> queue;
  std::deque<uint16_t> model;
  for (const uint16_t step : steps) {
    if (step % 7 == 0) {
      queue.clear();
      model.clear();
    } else if (step % 2 == 0) {
      RC_ASSERT(queue.push(step) == (model.size() < 5));
      if (model.size() < 5) model.push_back(step);
    } else if (!model.empty()) {
      RC_ASSERT(queue.pop() == model.front());
      model.pop_front();
    }
    RC_ASSERT(queue.size() == model.size());
    RC_ASSERT(queue.empty() == model.empty());
    RC_ASSERT(queue.full() == (model.size() == 5));
  }
}

}  // namespace
}  // namespace runnel
