#include "runtime/tensor/product_kernels_fast.h"

#include <algorithm>

#include "runtime/tensor/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/tensor/product_kernels_fast.cc"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace runnel::tensor::HWY_NAMESPACE {
namespace {

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128  // a processor with none of the sets

void AddOuter(const ProductSize& size, const Left& a, const Right& b, Matrix c, float scale, Store store) {
  plain::add_outer(size, a, b, c, scale, store);
}

void AddDots(const ProductSize& size, ConstMatrix a, ConstMatrix b, const uint32_t* b_rows, Matrix c, float scale) {
  plain::add_dots(size, a, b, b_rows, c, scale);
}

#else

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, kColumnGroup>;
using F = hn::Vec<Floats>;
constexpr size_t kWidth = HWY_MIN(HWY_MAX_BYTES / sizeof(float), kColumnGroup);
constexpr size_t kGroupVectors = kColumnGroup / kWidth;

// A tile's sums stay in registers: 12 of the 16 that SSE4 and AVX2 have, 24 of the 32 of NEON, 12 of 32 of AVX-512,
// where a tile is bound by what it loads.
constexpr size_t kTileRows = 6;
constexpr size_t kTileVectors = HWY_TARGET == HWY_NEON ? 4 : 2;
constexpr size_t kWideVectors = 4;     // of tiles of one or two rows, which else would wait for their own sums
constexpr size_t kDepthRowsFirst = 8;  // up to this depth the result is what moves most memory: it is visited in order

// Offsets of steps, from a table or as multiples.
struct Table {
  const uint32_t* left;
  const uint32_t* right;
  HWY_INLINE size_t a(size_t k) const { return left[k]; }
  HWY_INLINE size_t b(size_t k) const { return right[k]; }
};
struct Multiples {
  size_t left;
  size_t right;
  HWY_INLINE size_t a(size_t k) const { return k * left; }
  HWY_INLINE size_t b(size_t k) const { return k * right; }
};

template <size_t kVectors>
HWY_INLINE void StoreRow(const F* sums, float* HWY_RESTRICT to, size_t columns, F scale, Store store) {
  const Floats d;
  if (HWY_LIKELY(columns >= kVectors * kWidth)) {
    for (size_t v = 0; v < kVectors; ++v) {
      const F scaled = store == Store::kAdd ? RUNNEL_MUL_ADD(scale, sums[v], hn::LoadU(d, to + v * kWidth))
                                            : hn::Mul(scale, sums[v]);
      hn::StoreU(scaled, d, to + v * kWidth);
    }
    return;
  }
  alignas(64) float row[kVectors * kWidth] = {};
  if (store == Store::kAdd) std::copy_n(to, columns, row);
  for (size_t v = 0; v < kVectors; ++v) {
    const F scaled =
        store == Store::kAdd ? RUNNEL_MUL_ADD(scale, sums[v], hn::Load(d, row + v * kWidth)) : hn::Mul(scale, sums[v]);
    hn::Store(scaled, d, row + v * kWidth);
  }
  std::copy_n(row, columns, to);
}

// kRows x (kVectors * kWidth) elements of the result, of which `columns` exist.
template <size_t kRows, size_t kVectors, class Steps>
HWY_INLINE void OuterTile(const float* const* rows, const float* HWY_RESTRICT b, const Steps steps, size_t depth,
                          Matrix c, size_t columns, float scale, Store store) {
  const Floats d;
  F sums[kRows][kVectors];
  const float* a[kRows];
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) {
    a[r] = rows[r];
    hwy::Prefetch(c.data + r * c.stride);
#pragma GCC unroll 4
    for (size_t v = 0; v < kVectors; ++v) sums[r][v] = hn::Zero(d);
  }
  for (size_t k = 0; k < depth; ++k) {
    const float* HWY_RESTRICT from = b + steps.b(k);
    const size_t step = steps.a(k);
    F right[kVectors];
#pragma GCC unroll 4
    for (size_t v = 0; v < kVectors; ++v) right[v] = hn::LoadU(d, from + v * kWidth);
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) {
      const F left = hn::Set(d, a[r][step]);
#pragma GCC unroll 4
      for (size_t v = 0; v < kVectors; ++v) sums[r][v] = RUNNEL_MUL_ADD(left, right[v], sums[r][v]);
    }
  }
  const F factor = hn::Set(d, scale);
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) StoreRow<kVectors>(sums[r], c.data + r * c.stride, columns, factor, store);
}

// Rows of tiles of one height, `tiles` of them from row `first` on, and in each the panels one after the other.
template <size_t kRows, size_t kVectors, class Steps>
HWY_NOINLINE void OuterTiles(size_t first, size_t tiles, const Left& a, const float* b, const Steps steps, size_t depth,
                             Matrix c, size_t panels, size_t columns, float scale, Store store) {
  constexpr size_t kPanel = kVectors * kWidth;
  for (size_t tile = 0; tile < tiles; ++tile, first += kRows) {
    const float* rows[kRows];
    for (size_t r = 0; r < kRows; ++r)
      rows[r] = a.data + (a.rows != nullptr ? a.rows[first + r] : (first + r) * a.row_stride);
    float* to = c.data + first * c.stride;
    for (size_t panel = 0; panel < panels && panel * kPanel < columns; ++panel) {
      OuterTile<kRows, kVectors>(rows, b + panel * kPanel, steps, depth, {to + panel * kPanel, c.stride},
                                 columns - panel * kPanel, scale, store);
    }
  }
}

// All rows, in tiles of about equal height: the first few have a row more.
template <size_t kVectors, class Steps>
HWY_INLINE void OuterRows(size_t row_count, const Left& a, const float* b, const Steps& steps, size_t depth, Matrix c,
                          size_t panels, size_t columns, float scale, Store store) {
  constexpr size_t kRows = kVectors == kWideVectors && kWideVectors > kTileVectors ? 2 : kTileRows;
  const size_t tiles = (row_count + kRows - 1) / kRows;
  const size_t height = row_count / tiles;
  const size_t higher = row_count % tiles;
  const auto visit = [&](size_t rows, size_t first, size_t count) {
    switch (rows) {
      case 1:
        return OuterTiles<1, kVectors>(first, count, a, b, steps, depth, c, panels, columns, scale, store);
      case 2:
        return OuterTiles<2, kVectors>(first, count, a, b, steps, depth, c, panels, columns, scale, store);
      case 3:
        return OuterTiles<3, kVectors>(first, count, a, b, steps, depth, c, panels, columns, scale, store);
      case 4:
        return OuterTiles<4, kVectors>(first, count, a, b, steps, depth, c, panels, columns, scale, store);
      case 5:
        return OuterTiles<5, kVectors>(first, count, a, b, steps, depth, c, panels, columns, scale, store);
      default:
        return OuterTiles<6, kVectors>(first, count, a, b, steps, depth, c, panels, columns, scale, store);
    }
  };
  if (higher != 0) visit(height + 1, 0, higher);
  visit(height, higher * (height + 1), tiles - higher);
}

// From column `begin` in panels of kVectors as long as all their vectors may be read; returns where it stopped.
template <size_t kVectors, class Steps>
HWY_INLINE size_t OuterPanels(const ProductSize& size, const Left& a, const Right& b, const Steps& steps, size_t begin,
                              Matrix c, float scale, Store store) {
  constexpr size_t kPanel = kVectors * kWidth;
  const size_t readable = (size.columns + kColumnGroup - 1) / kColumnGroup * kColumnGroup;
  const size_t panels = (readable - begin) / kPanel;
  const size_t at_once = size.depth <= kDepthRowsFirst ? panels : 1;
  for (size_t panel = 0; panel < panels; panel += at_once) {
    const size_t column = begin + panel * kPanel;
    if (column >= size.columns) break;
    OuterRows<kVectors>(size.rows, a, b.data + column, steps, size.depth, {c.data + column, c.stride}, at_once,
                        size.columns - column, scale, store);
  }
  return begin + panels * kPanel;
}

template <class Steps>
HWY_INLINE void OuterAll(const ProductSize& size, const Left& a, const Right& b, const Steps& steps, Matrix c,
                         float scale, Store store) {
  size_t column = 0;
  if (size.rows <= 2) column = OuterPanels<kWideVectors>(size, a, b, steps, column, c, scale, store);
  column = OuterPanels<kTileVectors>(size, a, b, steps, column, c, scale, store);
  if (kTileVectors > 1) OuterPanels<1>(size, a, b, steps, column, c, scale, store);
}

// A few steps: each row of the result is visited once, from end to end, and what is multiplied stays in registers. The
// last row comes first: when a forward pass has just read the same matrix from its start, its end is what the cache
// has.
template <size_t kDepth, class D>
HWY_INLINE void ShallowStep(D d, const float* HWY_RESTRICT b, size_t b_stride, const float* left, float scale,
                            float* HWY_RESTRICT to, Store store) {
  auto sum = hn::Zero(d);
#pragma GCC unroll 4
  for (size_t k = 0; k < kDepth; ++k) sum = RUNNEL_MUL_ADD(hn::Set(d, left[k]), hn::LoadU(d, b + k * b_stride), sum);
  const auto factor = hn::Set(d, scale);
  hn::StoreU(store == Store::kAdd ? RUNNEL_MUL_ADD(factor, sum, hn::LoadU(d, to)) : hn::Mul(factor, sum), d, to);
}

template <size_t kDepth>
HWY_NOINLINE void OuterShallow(const ProductSize& size, const Left& a, const Right& b, Matrix c, float scale,
                               Store store) {
  for (size_t row = size.rows; row-- > 0;) {
    const float* from = a.data + (a.rows != nullptr ? a.rows[row] : row * a.row_stride);
    float* HWY_RESTRICT to = c.data + row * c.stride;
    float left[kDepth];
    for (size_t k = 0; k < kDepth; ++k) left[k] = from[k * a.step_stride];
    size_t x = 0;
    for (; x + 4 * kWidth <= size.columns; x += 4 * kWidth) {
#pragma GCC unroll 4
      for (size_t v = 0; v < 4; ++v) {
        const size_t at = x + v * kWidth;
        ShallowStep<kDepth>(Floats(), b.data + at, b.step_stride, left, scale, to + at, store);
      }
    }
    for (; x + kWidth <= size.columns; x += kWidth)
      ShallowStep<kDepth>(Floats(), b.data + x, b.step_stride, left, scale, to + x, store);
    for (; x < size.columns; ++x)
      ShallowStep<kDepth>(hn::CappedTag<float, 1>(), b.data + x, b.step_stride, left, scale, to + x, store);
  }
}

void AddOuter(const ProductSize& size, const Left& a, const Right& b, Matrix c, float scale, Store store) {
  if (a.steps != nullptr) return OuterAll(size, a, b, Table{a.steps, b.steps}, c, scale, store);
  switch (size.depth) {
    case 1:
      return OuterShallow<1>(size, a, b, c, scale, store);
    case 2:
      return OuterShallow<2>(size, a, b, c, scale, store);
    case 3:
      return OuterShallow<3>(size, a, b, c, scale, store);
    case 4:
      return OuterShallow<4>(size, a, b, c, scale, store);
    default:
      break;
  }
  OuterAll(size, a, b, Multiples{a.step_stride, b.step_stride}, c, scale, store);
}

// Tiles of dots: 12 sums of AVX2, 8 of SSE4, 24 of NEON and 12 of AVX-512.
constexpr size_t kDotRows = HWY_TARGET == HWY_SSE4 ? 2 : 3;
constexpr size_t kDotColumns = kGroupVectors == 1 ? 4 : HWY_TARGET == HWY_SSE4 ? 1 : 2;
constexpr size_t kFewRowsColumns = 4;     // where rows do not fill a tile
constexpr size_t kDotBlockFloats = 8192;  // rows of `a` that are used again and again stay in a cache of 32 KiB

// Lanes l and l + 8, then 4, 2 and 1 apart.
template <class D>
HWY_INLINE float TotalOfHalves(D d, hn::Vec<D> sum) {
  if constexpr (hn::MaxLanes(d) > 4) {
    const hn::Half<D> half;
    return TotalOfHalves(half, hn::Add(hn::LowerHalf(half, sum), hn::UpperHalf(half, sum)));
  } else {
    const auto pairs = hn::Add(sum, hn::Shuffle1032(sum));
    return hn::GetLane(hn::Add(pairs, hn::Shuffle2301(pairs)));
  }
}

HWY_INLINE float Total(const F* sums) {
  const Floats d;
  if constexpr (kGroupVectors == 4) {
    return TotalOfHalves(d, hn::Add(hn::Add(sums[0], sums[2]), hn::Add(sums[1], sums[3])));
  } else if constexpr (kGroupVectors == 2) {
    return TotalOfHalves(d, hn::Add(sums[0], sums[1]));
  } else {
    return TotalOfHalves(d, sums[0]);
  }
}

// Keeps gcc from reading a value that several sums use from memory again for each of them.
HWY_INLINE F InRegister(F value) {
#if HWY_COMPILER_GCC && HWY_ARCH_X86
  asm("" : "+v"(value.raw));
#endif
  return value;
}

template <size_t kRows, size_t kColumns>
HWY_NOINLINE void DotTile(size_t depth, ConstMatrix a, const float* const* columns, Matrix c, float scale) {
  const Floats d;
  F sums[kRows * kColumns][kGroupVectors];
  const float* right[kColumns];
#pragma GCC unroll 16
  for (size_t i = 0; i < kRows * kColumns; ++i) {
#pragma GCC unroll 4
    for (size_t v = 0; v < kGroupVectors; ++v) sums[i][v] = hn::Zero(d);
  }
#pragma GCC unroll 4
  for (size_t j = 0; j < kColumns; ++j) right[j] = columns[j];
  const auto step = [&](const float* HWY_RESTRICT from_a, size_t stride, const float* const* from_b, size_t k)
                        HWY_ATTR {
#pragma GCC unroll 4
                          for (size_t v = 0; v < kGroupVectors; ++v) {
                            F b[kColumns];
#pragma GCC unroll 4
                            for (size_t j = 0; j < kColumns; ++j)
                              b[j] = InRegister(hn::LoadU(d, from_b[j] + k + v * kWidth));
#pragma GCC unroll 4
                            for (size_t i = 0; i < kRows; ++i) {
                              const F left = InRegister(hn::LoadU(d, from_a + i * stride + k + v * kWidth));
#pragma GCC unroll 4
                              for (size_t j = 0; j < kColumns; ++j) {
                                sums[i * kColumns + j][v] = RUNNEL_MUL_ADD(left, b[j], sums[i * kColumns + j][v]);
                              }
                            }
                          }
                        };
  size_t k = 0;
  for (; k + kColumnGroup <= depth; k += kColumnGroup) step(a.data, a.stride, right, k);
  if (k < depth) {
    alignas(64) float last_a[kRows * kColumnGroup] = {};
    alignas(64) float last_b[kColumns * kColumnGroup] = {};
    const float* last[kColumns];
    for (size_t i = 0; i < kRows; ++i) std::copy_n(a.data + i * a.stride + k, depth - k, last_a + i * kColumnGroup);
    for (size_t j = 0; j < kColumns; ++j) {
      std::copy_n(right[j] + k, depth - k, last_b + j * kColumnGroup);
      last[j] = last_b + j * kColumnGroup;
    }
    step(last_a, kColumnGroup, last, 0);
  }
#pragma GCC unroll 4
  for (size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (size_t j = 0; j < kColumns; ++j) {
      float& to = c.data[i * c.stride + j];
      const hn::CappedTag<float, 1> d1;
      const auto total = hn::Set(d1, Total(sums[i * kColumns + j]));
      to = hn::GetLane(RUNNEL_MUL_ADD(hn::Set(d1, scale), total, hn::Set(d1, to)));
    }
  }
}

template <size_t kColumns>
HWY_INLINE void DotRows(size_t rows, size_t depth, ConstMatrix a, const float* const* columns, Matrix c, float scale) {
  size_t row = 0;
  for (; row + kDotRows <= rows; row += kDotRows) {
    DotTile<kDotRows, kColumns>(depth, {a.data + row * a.stride, a.stride}, columns,
                                {c.data + row * c.stride, c.stride}, scale);
  }
  if constexpr (kDotRows > 2) {
    if (row + 2 <= rows) {
      DotTile<2, kColumns>(depth, {a.data + row * a.stride, a.stride}, columns, {c.data + row * c.stride, c.stride},
                           scale);
      row += 2;
    }
  }
  for (; row < rows; ++row) {
    DotTile<1, kColumns>(depth, {a.data + row * a.stride, a.stride}, columns, {c.data + row * c.stride, c.stride},
                         scale);
  }
}

void AddDots(const ProductSize& size, ConstMatrix a, ConstMatrix b, const uint32_t* b_rows, Matrix c, float scale) {
  const size_t block = std::max(kDotRows, kDotBlockFloats / std::max<size_t>(size.depth, 1) / kDotRows * kDotRows);
  const auto column_at = [&](size_t column) {
    return b.data + (b_rows != nullptr ? b_rows[column] : column * b.stride);
  };
  const auto columns_from = [&]<size_t kColumns>(size_t row, size_t rows, size_t column) {
    const float* columns[kColumns];
    for (size_t j = 0; j < kColumns; ++j) columns[j] = column_at(column + j);
    DotRows<kColumns>(rows, size.depth, {a.data + row * a.stride, a.stride}, columns,
                      {c.data + row * c.stride + column, c.stride}, scale);
  };
  for (size_t row = 0; row < size.rows; row += block) {
    const size_t rows = std::min(block, size.rows - row);
    size_t column = 0;
    for (; rows < kDotRows && column + kFewRowsColumns <= size.columns; column += kFewRowsColumns)
      columns_from.template operator()<kFewRowsColumns>(row, rows, column);
    for (; column + kDotColumns <= size.columns; column += kDotColumns)
      columns_from.template operator()<kDotColumns>(row, rows, column);
    for (; column < size.columns; ++column) columns_from.template operator()<1>(row, rows, column);
  }
}

#endif

}  // namespace
}  // namespace runnel::tensor::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace runnel::tensor {
namespace {
HWY_EXPORT(AddOuter);
HWY_EXPORT(AddDots);
}  // namespace

void add_outer_fast(const ProductSize& size, const Left& a, const Right& b, Matrix c, float scale, Store store) {
  HWY_DYNAMIC_DISPATCH(AddOuter)(size, a, b, c, scale, store);
}

void add_dots_fast(const ProductSize& size, ConstMatrix a, ConstMatrix b, const uint32_t* b_rows, Matrix c,
                   float scale) {
  HWY_DYNAMIC_DISPATCH(AddDots)(size, a, b, b_rows, c, scale);
}

}  // namespace runnel::tensor
#endif
