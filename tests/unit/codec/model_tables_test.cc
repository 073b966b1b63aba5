#include "runtime/codec/model_tables.h"

#include <gtest/gtest.h>

namespace runnel::codec {
namespace {

// What a payload may ask for: any shape, any class, any rounding.
TEST(ModelTables, EveryTableOfEveryShapeFitsAndGivesEverySymbolASlot) {
  for (unsigned shape = 0; shape < kShapes; ++shape) {
    for (const Cells& cells : {Cells{true, 0.5F}, Cells{false, 0.5F}, Cells{false, 0.34F}, Cells{false, 0.0F},
                               Cells{false, 255.0F / 256.0F}}) {
      ModelTables tables(shape, cells);
      for (unsigned c = 0; c < kClassesAll; ++c) tables.prepare(c);
      for (unsigned t = 0; t < kClasses; ++t) {
        const int reach = tables.reach(t);
        for (unsigned v = 0; v < 31; ++v) {
          uint32_t below = 0;
          for (int k = -reach + 1; k <= reach + 1; ++k) {
            const uint32_t threshold = tables.thresholds(t, k)[-static_cast<int>(v)];
            ASSERT_GT(threshold, below) << "shape " << shape << ", table " << t << ", index " << k << ", dither " << v;
            below = threshold;
          }
          ASSERT_LT(below, kProbabilityOne);
        }
      }
    }
  }
}

TEST(ModelTables, ClassesAscendWithTheMean) {
  for (const bool dithered : {true, false}) {
    const ModelTables tables(2, Cells{dithered, 0.4F});
    unsigned last = 0;
    for (float mean = 1e-12F; mean < 1e6F; mean *= 1.05F) {
      const unsigned c = tables.class_of(mean);
      ASSERT_GE(c, last);
      ASSERT_LT(c, kClassesAll);
      last = c;
    }
    EXPECT_EQ(tables.class_of(0.0F), 0U);
    EXPECT_EQ(last, kClassesAll - 1);
  }
}

// With dither, P(index = k) summed over the dithers of a period is the probability mass around k: the mean of |index|
// is the mean of |x|, which is what names the class.
TEST(ModelTables, TheMeanOfTheIndicesIsTheClass) {
  for (unsigned shape = 0; shape < 4; ++shape) {
    ModelTables tables(shape, Cells{});
    for (unsigned t = 5; t < kClasses - 4; ++t) {
      tables.prepare(t);
      double mean = 0.0;
      for (unsigned v = 0; v < 16; ++v) {
        for (int k = -tables.reach(t) + 1; k <= tables.reach(t) + 1; ++k) {
          const double below = tables.thresholds(t, k)[-static_cast<int>(v)] / double{kProbabilityOne};
          mean += (k > 0 ? 1.0 - below : below) / 16.0;
        }
      }
      EXPECT_EQ(tables.class_of(static_cast<float>(mean)), t) << "shape " << shape << ", mean " << mean;
    }
  }
}

}  // namespace
}  // namespace runnel::codec
