// Matrix products on row-major float matrices that lie inside larger ones. All of them add `scale` times the product to
// the result.
//
// Memory: the panels that the product packs come from the caller's workspace; nothing is allocated. Determinism: the
// order of summation is a function of the sizes alone (see product_kernels.h; the depth is cut every 256 terms, with a
// transposed b into equal parts of up to 1,024), so AVX2, AVX-512 and NEON give the same bits. SSE4 and the plain
// kernels, which round twice where those fuse a multiplication and an addition, give others, unless the build is one
// with RUNNEL_EXACT, where all agree. Threads: any, with a workspace each.
#pragma once

#include <cstddef>
#include <span>

namespace runnel::tensor {

// Row-major; `stride` floats from the start of one row to the start of the next.
struct ConstMatrix {
  const float* data = nullptr;
  size_t stride = 0;
};
struct Matrix {
  float* data = nullptr;
  size_t stride = 0;
};

// The result is rows x columns; every element of it is a sum of `depth` products.
struct ProductSize {
  size_t rows = 0;
  size_t columns = 0;
  size_t depth = 0;
};

// Floats of workspace that a product of this size, or of one no larger in any direction, needs; or of one with fewer
// rows or less depth, but as many columns.
enum class Columns { kUpTo, kExactly };
size_t product_workspace(const ProductSize& size, Columns columns = Columns::kUpTo);

// c += scale * a * b: a is rows x depth, b is depth x columns. The workspace must hold product_workspace(size) floats;
// it is overwritten. c overlaps neither a nor b. A size of zero in any direction changes nothing.
void add_product(const ProductSize& size, ConstMatrix a, ConstMatrix b, Matrix c, std::span<float> workspace,
                 float scale = 1.0F);

// c += scale * a * transpose(b): b is stored as columns x depth. It packs nothing.
void add_product_b_transposed(const ProductSize& size, ConstMatrix a, ConstMatrix b, Matrix c, float scale = 1.0F);

// c += scale * transpose(a) * b: a is stored as depth x rows.
void add_product_a_transposed(const ProductSize& size, ConstMatrix a, ConstMatrix b, Matrix c,
                              std::span<float> workspace, float scale = 1.0F);

}  // namespace runnel::tensor
