// Turns the patches under a sliding window into the columns of a matrix (im2col), and adds such columns back (col2im):
// the step that makes a convolution a matrix product.
//
// One example, and a range of output rows, at a time, so that the matrix stays small enough for the cache.
#pragma once

#include <cstddef>
#include <span>

#include "runtime/tensor/window2d.h"

namespace runnel::tensor {

// Writes the patches of output rows [row_begin, row_end): columns is patch_count x ((row_end - row_begin) *
// output_width), row-major, with rows in the order channel, kernel row, kernel column. Padding gives zeros.
void unfold(const Window2d& window, std::span<const float> image, size_t row_begin, size_t row_end,
            std::span<float> columns);

// The transpose of unfold: adds each column's values to the places of the image that they were taken from.
void fold_add(const Window2d& window, std::span<const float> columns, size_t row_begin, size_t row_end,
              std::span<float> image);

}  // namespace runnel::tensor
