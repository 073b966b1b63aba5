// The vector versions of row_kernels.h. Only with RUNNEL_FAST_KERNELS.
#pragma once

#include "runtime/tensor/row_kernels.h"

namespace runnel::tensor {

void copy_rows_fast(ConstMatrix from, size_t rows, size_t width, Matrix to);
void finish_rows_fast(ConstMatrix from, size_t rows, size_t width, float bias, bool rectify, Matrix to);
void transpose_fast(ConstMatrix from, size_t rows, size_t columns, Matrix to);
void max_pool_row_2x2_fast(const float* upper, const float* lower, size_t count, float* to);
void max_pool_gradient_row_2x2_fast(const float* upper, const float* lower, const float* gradient, size_t count,
                                    float* upper_to, float* lower_to);
void rectify_fast(float* values, size_t count);
void rectify_gradient_fast(const float* output, float* gradient, size_t count);

}  // namespace runnel::tensor
