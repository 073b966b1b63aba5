// The vector versions of row_kernels.h. Only with RUNNEL_FAST_KERNELS.
#pragma once

#include "runtime/tensor/row_kernels.h"

namespace runnel::tensor {

void copy_blocks_fast(ConstMatrix from, size_t from_block, size_t blocks, size_t rows, size_t width, Matrix to,
                      size_t to_block);
void finish_rows_fast(ConstMatrix from, size_t rows, size_t width, float bias, bool rectify, Matrix to);
void transpose_fast(ConstMatrix from, size_t rows, size_t columns, Matrix to);
void max_pool_2x2_fast(const float* planes, size_t count, size_t height, size_t width, float* to);
void max_pool_gradient_2x2_fast(const float* planes, const float* gradient, size_t count, size_t height, size_t width,
                                bool rectified, float* to);
void add_row_sums_fast(ConstMatrix from, size_t rows, size_t width, float scale, size_t period, float* to);
bool all_finite_fast(const float* values, size_t count);
void finish_transposed_fast(ConstMatrix from, size_t rows, size_t columns, const float* bias, bool rectify, Matrix to);
void rectify_fast(float* values, size_t count);
void rectify_gradient_fast(const float* output, float* gradient, size_t count);

}  // namespace runnel::tensor
