#include "runtime/tensor/join.h"

#include <gtest/gtest.h>

#include "tests/unit/tensor/test_values.h"

namespace runnel::tensor {
namespace {

TEST(Join, AddsInPlaceOrNot) {
  Rng rng(6);
  for (size_t count = 0; count < 40; ++count) {
    const std::vector<float> a = random_values(rng, count);
    const std::vector<float> b = random_values(rng, count);
    std::vector<float> expected(count);
    for (size_t index = 0; index < count; ++index) expected[index] = a[index] + b[index];
    std::vector<float> output(count);
    add(a, b, output);
    EXPECT_EQ(output, expected);
    std::vector<float> into = b;
    add_into(a, into);
    EXPECT_EQ(into, expected);
  }
}

TEST(Join, ConcatenationGoesThereAndBack) {
  const std::vector<float> a{1, 2, 3, 4};         // 2 examples of 2
  const std::vector<float> b{5, 6, 7, 8, 9, 10};  // 2 examples of 3
  const ConcatPart first{0, 2, 5};
  const ConcatPart second{2, 3, 5};
  std::vector<float> joined(10, 77.0F);
  concat_forward(first, 2, a, joined);
  concat_forward(second, 2, b, joined);
  EXPECT_EQ(joined, (std::vector<float>{1, 2, 5, 6, 7, 3, 4, 8, 9, 10}));
  std::vector<float> back_a(4);
  std::vector<float> back_b(6);
  concat_backward(first, 2, joined, back_a);
  concat_backward(second, 2, joined, back_b);
  EXPECT_EQ(back_a, a);
  EXPECT_EQ(back_b, b);
}

}  // namespace
}  // namespace runnel::tensor
