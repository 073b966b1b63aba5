#include "runtime/tensor/product_kernels.h"

#include <algorithm>

#include "runtime/base/instruction_set.h"
#include "runtime/tensor/lanes.h"
#ifdef RUNNEL_FAST_KERNELS
#include "runtime/tensor/product_kernels_fast.h"
#endif

namespace runnel::tensor {
namespace plain {

void add_outer(const ProductSize& size, const Left& a, const Right& b, Matrix c, float scale, Store store) {
  for (size_t row = 0; row < size.rows; ++row) {
    const float* left = a.data + (a.rows != nullptr ? a.rows[row] : row * a.row_stride);
    for (size_t column = 0; column < size.columns; column += kColumnGroup) {
      float total[kColumnGroup] = {};
      for (size_t k = 0; k < size.depth; ++k) {
        const float value = left[a.steps != nullptr ? a.steps[k] : k * a.step_stride];
        const float* right = b.data + (b.steps != nullptr ? b.steps[k] : k * b.step_stride) + column;
        for (size_t lane = 0; lane < kColumnGroup; ++lane) total[lane] += value * right[lane];
      }
      float* to = c.data + row * c.stride + column;
      const size_t count = std::min(kColumnGroup, size.columns - column);
      for (size_t lane = 0; lane < count; ++lane) {
        const float scaled = scale * total[lane];
        to[lane] = store == Store::kAdd ? scaled + to[lane] : scaled;
      }
    }
  }
}

void add_dots(const ProductSize& size, ConstMatrix a, ConstMatrix b, const uint32_t* b_rows, Matrix c, float scale) {
  for (size_t row = 0; row < size.rows; ++row) {
    for (size_t column = 0; column < size.columns; ++column) {
      const float* left = a.data + row * a.stride;
      const float* right = b.data + (b_rows != nullptr ? b_rows[column] : column * b.stride);
      LaneSum sum;
      sum.add(size.depth, [&](size_t k) { return left[k] * right[k]; });
      float& to = c.data[row * c.stride + column];
      to = scale * sum.total() + to;
    }
  }
}

}  // namespace plain

void add_outer(const ProductSize& size, const Left& a, const Right& b, Matrix c, float scale, Store store) {
#ifdef RUNNEL_FAST_KERNELS
  if (!use_reference()) return add_outer_fast(size, a, b, c, scale, store);
#endif
  plain::add_outer(size, a, b, c, scale, store);
}

void add_dots(const ProductSize& size, ConstMatrix a, ConstMatrix b, const uint32_t* b_rows, Matrix c, float scale) {
#ifdef RUNNEL_FAST_KERNELS
  if (!use_reference()) return add_dots_fast(size, a, b, b_rows, c, scale);
#endif
  plain::add_dots(size, a, b, b_rows, c, scale);
}

}  // namespace runnel::tensor
