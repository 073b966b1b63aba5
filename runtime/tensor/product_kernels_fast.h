// The vector versions of product_kernels.h. Only with RUNNEL_FAST_KERNELS.
#pragma once

#include "runtime/tensor/product_kernels.h"

namespace runnel::tensor {

void add_outer_fast(const ProductSize& size, const Left& a, const Right& b, Matrix c, float scale, Store store);
void add_dots_fast(const ProductSize& size, ConstMatrix a, ConstMatrix b, const uint32_t* b_rows, Matrix c,
                   float scale);

}  // namespace runnel::tensor
