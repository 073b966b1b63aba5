// Loops over rows of images that only move values, treat each by itself, or add them up without multiplying, so that
// every version of them gives the same bits: plain, always built, and fast (Google Highway). Threads: any. Memory:
// none.
#pragma once

#include <cstddef>

#include "runtime/tensor/product.h"

namespace runnel::tensor {

// to[row] = from[row], `width` values each; the same for `blocks` such matrices, whose starts are *_block floats apart.
void copy_blocks(ConstMatrix from, size_t from_block, size_t blocks, size_t rows, size_t width, Matrix to,
                 size_t to_block);

// to[row] = from[row] + bias, and the maximum of that and 0 if `rectify`.
void finish_rows(ConstMatrix from, size_t rows, size_t width, float bias, bool rectify, Matrix to);

// to[column][row] = from[row][column].
void transpose(ConstMatrix from, size_t rows, size_t columns, Matrix to);

// to[column][row] = from[row][column] + bias[column], and the maximum of that and 0 if `rectify`. No bias is zeros.
void finish_transposed(ConstMatrix from, size_t rows, size_t columns, const float* bias, bool rectify, Matrix to);

// 2x2 maximum pooling with stride 2 of `count` planes; see pool2d.h. The gradient is written to every value that lies
// under a window; an odd last row or column is left alone. `rectified`: nothing goes to a maximum that is not above 0.
void max_pool_2x2(const float* planes, size_t count, size_t height, size_t width, float* to);
void max_pool_gradient_2x2(const float* planes, const float* gradient, size_t count, size_t height, size_t width,
                           bool rectified, float* to);

// to[row % period] += scale * sum(row), row by row; see reduce.h for the order of a sum.
void add_row_sums(ConstMatrix from, size_t rows, size_t width, float scale, size_t period, float* to);

// See reduce.h.
bool all_finite(const float* values, size_t count);

// See relu.h.
void rectify(float* values, size_t count);
void rectify_gradient(const float* output, float* gradient, size_t count);

namespace plain {
void copy_blocks(ConstMatrix from, size_t from_block, size_t blocks, size_t rows, size_t width, Matrix to,
                 size_t to_block);
void finish_rows(ConstMatrix from, size_t rows, size_t width, float bias, bool rectify, Matrix to);
void transpose(ConstMatrix from, size_t rows, size_t columns, Matrix to);
void finish_transposed(ConstMatrix from, size_t rows, size_t columns, const float* bias, bool rectify, Matrix to);
void max_pool_2x2(const float* planes, size_t count, size_t height, size_t width, float* to);
void max_pool_gradient_2x2(const float* planes, const float* gradient, size_t count, size_t height, size_t width,
                           bool rectified, float* to);
void add_row_sums(ConstMatrix from, size_t rows, size_t width, float scale, size_t period, float* to);
bool all_finite(const float* values, size_t count);
void rectify(float* values, size_t count);
void rectify_gradient(const float* output, float* gradient, size_t count);
}  // namespace plain

}  // namespace runnel::tensor
