#include "runtime/tensor/product.h"

#include <algorithm>
#include <numeric>

#include "runtime/base/error.h"
#include "runtime/tensor/product_kernels.h"

namespace runnel::tensor {
namespace {

// Part of what makes results repeat: changing it changes the order of summation.
constexpr size_t kDepthBlock = 256;
constexpr size_t kDotDepth = 1024;
constexpr size_t kPanelColumns = 2 * kColumnGroup;
// From so many rows on, columns of `b` that lie far apart are first copied side by side.
constexpr size_t kRowsWorthPacking = 24;
constexpr size_t kFarApart = 128;

// Whether a panel's rows, `stride` apart, would push each other out of a cache of 64 sets of lines while they are used
// for one row of the result after the other. (Rows that begin at different places of a line spread by themselves.)
bool crowds_the_cache(size_t depth, size_t stride) {
  constexpr size_t kSets = 64;
  constexpr size_t kLine = 16;
  constexpr size_t kWays = 2;  // of eight, or of four; the result's rows need some too
  if (stride <= kFarApart) return false;
  if (stride % kLine != 0) return depth > kWays * kSets;
  return depth > kWays * kSets / std::gcd(stride / kLine, kSets);
}

// Copies `columns` columns of `depth` rows side by side, followed by zeros up to a multiple of kColumnGroup, which is
// returned.
size_t pack(ConstMatrix b, size_t depth, size_t columns, float* to) {
  const size_t width = (columns + kColumnGroup - 1) / kColumnGroup * kColumnGroup;
  for (size_t k = 0; k < depth; ++k, to += width) {
    const float* from = b.data + k * b.stride;
    if (columns == kPanelColumns) {
      std::copy_n(from, kPanelColumns, to);
    } else {
      std::copy_n(from, columns, to);
      std::fill_n(to + columns, width - columns, 0.0F);
    }
  }
  return width;
}

void add(const ProductSize& size, const Left& a, ConstMatrix b, Matrix c, std::span<float> workspace, float scale) {
  if (size.rows == 0 || size.columns == 0 || size.depth == 0) return;
  RUNNEL_ASSERT(workspace.size() >= product_workspace(size, Columns::kExactly));
  const bool packed = size.rows >= kRowsWorthPacking && crowds_the_cache(std::min(size.depth, kDepthBlock), b.stride);
  const size_t whole = size.columns / kColumnGroup * kColumnGroup;
  for (size_t begin = 0; begin < size.depth; begin += kDepthBlock) {
    const size_t depth = std::min(kDepthBlock, size.depth - begin);
    Left left = a;
    left.data += begin * a.step_stride;
    const ConstMatrix right{b.data + begin * b.stride, b.stride};
    size_t column = 0;
    if (!packed && whole > 0) {
      add_outer({size.rows, whole, depth}, left, {right.data, b.stride, nullptr}, c, scale, Store::kAdd);
      column = whole;
    }
    while (column < size.columns) {
      const size_t columns = std::min(kPanelColumns, size.columns - column);
      const size_t width = pack({right.data + column, b.stride}, depth, columns, workspace.data());
      add_outer({size.rows, columns, depth}, left, {workspace.data(), width, nullptr}, {c.data + column, c.stride},
                scale, Store::kAdd);
      column += columns;
    }
  }
}

}  // namespace

size_t product_workspace(const ProductSize& size, Columns columns) {
  size_t width = (std::min(size.columns, kPanelColumns) + kColumnGroup - 1) / kColumnGroup * kColumnGroup;
  // With few rows, only what whole groups leave is packed.
  if (size.rows < kRowsWorthPacking) width = std::min(width, kColumnGroup);
  if (size.rows < kRowsWorthPacking && columns == Columns::kExactly && size.columns % kColumnGroup == 0) width = 0;
  return width * std::min(size.depth, kDepthBlock);
}

void add_product(const ProductSize& size, ConstMatrix a, ConstMatrix b, Matrix c, std::span<float> workspace,
                 float scale) {
  add(size, {a.data, a.stride, 1, nullptr, nullptr}, b, c, workspace, scale);
}

void add_product_b_transposed(const ProductSize& size, ConstMatrix a, ConstMatrix b, Matrix c, float scale) {
  if (size.rows == 0 || size.columns == 0 || size.depth == 0) return;
  // In equal parts, so that some rows of `a` stay in the nearest cache while all of `b` passes by once.
  const size_t parts = (size.depth + kDotDepth - 1) / kDotDepth;
  const size_t part = (size.depth + parts * kColumnGroup - 1) / (parts * kColumnGroup) * kColumnGroup;
  for (size_t begin = 0; begin < size.depth; begin += part) {
    add_dots({size.rows, size.columns, std::min(part, size.depth - begin)}, {a.data + begin, a.stride},
             {b.data + begin, b.stride}, nullptr, c, scale);
  }
}

void add_product_a_transposed(const ProductSize& size, ConstMatrix a, ConstMatrix b, Matrix c,
                              std::span<float> workspace, float scale) {
  add(size, {a.data, 1, a.stride, nullptr, nullptr}, b, c, workspace, scale);
}

}  // namespace runnel::tensor
