// The inner loops of products and convolutions: tiles of outer products, and dots.
//
// Each exists twice: plain, always built, and fast (Google Highway, several instruction sets in one binary).
// Determinism: an element of add_outer is a sum in the order of the depth from zero, scaled, added to what was there;
// an element of add_dots is a sum in sixteen lanes (term k goes to lane k modulo 16), then the lanes in the order of
// LaneSum::total(). Neither depends on the width of a vector nor on how the work is cut into tiles. Threads: any.
// Memory: none.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/tensor/product.h"

namespace runnel::tensor {

inline constexpr size_t kColumnGroup = 16;  // columns of `b` are read in groups of so many

// The left factor of an outer product: element (row, k) is data[row offset + step offset].
struct Left {
  const float* data = nullptr;
  size_t row_stride = 0;
  size_t step_stride = 0;
  const uint32_t* rows = nullptr;   // offsets of the rows, instead of row * row_stride
  const uint32_t* steps = nullptr;  // offsets of the steps, instead of k * step_stride; both factors have them, or none
};

// The right one: element (k, column) is data[step offset + column].
struct Right {
  const float* data = nullptr;
  size_t step_stride = 0;
  const uint32_t* steps = nullptr;
};

enum class Store { kAdd, kOverwrite };

// c (+)= scale * a * b. Every row of b must be readable up to the next multiple of kColumnGroup columns; of c, nothing
// is read or written beyond `columns`.
void add_outer(const ProductSize& size, const Left& a, const Right& b, Matrix c, float scale, Store store);

// c += scale * a * transpose(b), row j of b being at b_rows[j] (or at j * b.stride where b_rows is null).
void add_dots(const ProductSize& size, ConstMatrix a, ConstMatrix b, const uint32_t* b_rows, Matrix c, float scale);

namespace plain {
void add_outer(const ProductSize& size, const Left& a, const Right& b, Matrix c, float scale, Store store);
void add_dots(const ProductSize& size, ConstMatrix a, ConstMatrix b, const uint32_t* b_rows, Matrix c, float scale);
}  // namespace plain

}  // namespace runnel::tensor
