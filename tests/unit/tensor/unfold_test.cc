#include "runtime/tensor/unfold.h"

#include <gtest/gtest.h>

#include "tests/unit/tensor/test_values.h"

namespace runnel::tensor {
namespace {

// What the matrix has at (channel, tap; output position), straight from the definition.
float patch_value(const Window2d& window, const std::vector<float>& image, size_t row, size_t y, size_t x) {
  const size_t channel = row / window.kernel_count();
  const size_t tap = row % window.kernel_count();
  const auto from_y = static_cast<int64_t>(y * window.stride_height + tap / window.kernel_width) -
                      static_cast<int64_t>(window.padding_height);
  const auto from_x = static_cast<int64_t>(x * window.stride_width + tap % window.kernel_width) -
                      static_cast<int64_t>(window.padding_width);
  if (from_y < 0 || from_x < 0 || from_y >= window.height || from_x >= window.width) return 0.0F;
  return image[channel * window.plane_count() + static_cast<size_t>(from_y) * window.width +
               static_cast<size_t>(from_x)];
}

TEST(Unfold, CopiesEveryPatchOfAnyRangeOfRows) {
  Rng rng(71);
  for (int trial = 0; trial < 200; ++trial) {
    const Window2d window = random_window(rng, true);
    SCOPED_TRACE(describe(window));
    const std::vector<float> image = random_values(rng, window.input_count());
    const auto height = static_cast<uint32_t>(window.output_height());
    const uint32_t begin = in_range(rng, 0, height - 1);
    const uint32_t end = in_range(rng, begin + 1, height);
    const size_t positions = (end - begin) * window.output_width();
    std::vector<float> columns(window.patch_count() * positions, 77.0F);
    unfold(window, image, begin, end, columns);
    for (size_t row = 0; row < window.patch_count(); ++row) {
      for (size_t position = 0; position < positions; ++position) {
        ASSERT_EQ(columns[row * positions + position],
                  patch_value(window, image, row, begin + position / window.output_width(),
                              position % window.output_width()));
      }
    }
  }
}

// fold_add is the transpose of unfold: <unfold(image), columns> = <image, fold(columns)>.
TEST(FoldAdd, IsTheTransposeOfUnfold) {
  Rng rng(72);
  for (int trial = 0; trial < 200; ++trial) {
    const Window2d window = random_window(rng, true);
    SCOPED_TRACE(describe(window));
    const std::vector<float> image = random_values(rng, window.input_count());
    std::vector<float> unfolded(window.patch_count() * window.output_positions());
    unfold(window, image, 0, window.output_height(), unfolded);
    const std::vector<float> columns = random_values(rng, unfolded.size());
    std::vector<float> folded(image.size(), 1.0F);  // added to what is there
    fold_add(window, columns, 0, window.output_height(), folded);
    double left = 0.0;
    double right = 0.0;
    for (size_t index = 0; index < columns.size(); ++index)
      left += static_cast<double>(unfolded[index]) * static_cast<double>(columns[index]);
    for (size_t index = 0; index < image.size(); ++index)
      right += static_cast<double>(image[index]) * static_cast<double>(folded[index] - 1.0F);
    EXPECT_NEAR(left, right, 1e-3);
  }
}

}  // namespace
}  // namespace runnel::tensor
