#include "runtime/tensor/embedding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/unit/tensor/test_values.h"

namespace runnel::tensor {
namespace {

TEST(Embedding, LooksUpAndAddsBack) {
  const Embedding embedding{4, 2, 3};
  const std::vector<float> weight{0, 1, 10, 11, 20, 21, 30, 31};
  const std::vector<float> input{2, 0, 2, 3, 3, 3};
  std::vector<float> output(12, 77.0F);
  embedding_forward(embedding, 2, input, weight, output);
  EXPECT_EQ(output, (std::vector<float>{20, 0, 20, 21, 1, 21, 30, 30, 30, 31, 31, 31}));

  const std::vector<float> output_gradient{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  std::vector<float> gradient(8, 100.0F);
  embedding_backward(embedding, 2, input, output_gradient, 0.5F, gradient);
  EXPECT_EQ(gradient, (std::vector<float>{101, 102.5F, 100, 100, 102, 105, 112, 116.5F}));
}

TEST(CheckSymbols, NamesTheFirstThatIsNone) {
  const Embedding embedding{5, 2, 3};
  EXPECT_TRUE(check_symbols(embedding, std::vector<float>{0, 4, -0.0F}).ok());
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {5.0F, -1.0F, 0.5F, 4.000001F, 1e30F, -1e30F, infinity, -infinity, std::nanf("")}) {
    const Failure failure = check_symbols(embedding, std::vector<float>{0, bad, 1});
    EXPECT_EQ(failure.error(), Error::kOutOfRange) << bad;
    EXPECT_NE(std::strstr(failure.text(), "input 1 is"), nullptr) << failure.text();
  }
}

}  // namespace
}  // namespace runnel::tensor
