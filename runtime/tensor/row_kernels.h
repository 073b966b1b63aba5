// Loops over rows of images that only move values, or treat each by itself, so that every version of them gives the
// same bits: plain, always built, and fast (Google Highway). Threads: any. Memory: none.
#pragma once

#include <cstddef>

#include "runtime/tensor/product.h"

namespace runnel::tensor {

// to[row] = from[row], `width` values each.
void copy_rows(ConstMatrix from, size_t rows, size_t width, Matrix to);

// to[row] = from[row] + bias, and the maximum of that and 0 if `rectify`.
void finish_rows(ConstMatrix from, size_t rows, size_t width, float bias, bool rectify, Matrix to);

// to[column][row] = from[row][column].
void transpose(ConstMatrix from, size_t rows, size_t columns, Matrix to);

// Row-wise parts of 2x2 maximum pooling with stride 2; see pool2d.h. `upper` and `lower` have 2 * count values.
void max_pool_row_2x2(const float* upper, const float* lower, size_t count, float* to);
void max_pool_gradient_row_2x2(const float* upper, const float* lower, const float* gradient, size_t count,
                               float* upper_to, float* lower_to);

// See relu.h.
void rectify(float* values, size_t count);
void rectify_gradient(const float* output, float* gradient, size_t count);

namespace plain {
void copy_rows(ConstMatrix from, size_t rows, size_t width, Matrix to);
void finish_rows(ConstMatrix from, size_t rows, size_t width, float bias, bool rectify, Matrix to);
void transpose(ConstMatrix from, size_t rows, size_t columns, Matrix to);
void max_pool_row_2x2(const float* upper, const float* lower, size_t count, float* to);
void max_pool_gradient_row_2x2(const float* upper, const float* lower, const float* gradient, size_t count,
                               float* upper_to, float* lower_to);
void rectify(float* values, size_t count);
void rectify_gradient(const float* output, float* gradient, size_t count);
}  // namespace plain

}  // namespace runnel::tensor
