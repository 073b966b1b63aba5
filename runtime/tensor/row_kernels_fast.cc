#include "runtime/tensor/row_kernels_fast.h"

#include <algorithm>

#include "runtime/tensor/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/tensor/row_kernels_fast.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace runnel::tensor::HWY_NAMESPACE {
namespace {

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128  // a processor with none of the sets

void CopyBlocks(ConstMatrix from, size_t from_block, size_t blocks, size_t rows, size_t width, Matrix to,
                size_t to_block) {
  plain::copy_blocks(from, from_block, blocks, rows, width, to, to_block);
}
void FinishRows(ConstMatrix from, size_t rows, size_t width, float bias, bool rectify, Matrix to) {
  plain::finish_rows(from, rows, width, bias, rectify, to);
}
void Transpose(ConstMatrix from, size_t rows, size_t columns, Matrix to) {
  plain::transpose(from, rows, columns, to);
}
void FinishTransposed(ConstMatrix from, size_t rows, size_t columns, const float* bias, bool rectify, Matrix to) {
  plain::finish_transposed(from, rows, columns, bias, rectify, to);
}
void MaxPool(const float* planes, size_t count, size_t height, size_t width, float* to) {
  plain::max_pool_2x2(planes, count, height, width, to);
}
void MaxPoolGradient(const float* planes, const float* gradient, size_t count, size_t height, size_t width,
                     bool rectified, float* to) {
  plain::max_pool_gradient_2x2(planes, gradient, count, height, width, rectified, to);
}
void AddRowSums(ConstMatrix from, size_t rows, size_t width, float scale, size_t period, float* to) {
  plain::add_row_sums(from, rows, width, scale, period, to);
}
bool AllFinite(const float* values, size_t count) {
  return plain::all_finite(values, count);
}
void Rectify(float* values, size_t count) {
  plain::rectify(values, count);
}
void RectifyGradient(const float* output, float* gradient, size_t count) {
  plain::rectify_gradient(output, gradient, count);
}

#else

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using Quads = hn::CappedTag<float, 4>;
constexpr size_t kWidth = HWY_MAX_BYTES / sizeof(float) < 16 ? HWY_MAX_BYTES / sizeof(float) : 16;

// Calls visit(tag, begin) for vectors that cover [0, width), the last of which overlaps the one before; what is shorter
// than the shortest vector goes to rest(index), one by one. For work that may be done twice.
template <class Visit, class Rest>
HWY_INLINE void ForRow(size_t width, const Visit& visit, const Rest& rest) {
  if (width >= kWidth) {
    size_t x = 0;
    for (; x + kWidth <= width; x += kWidth) visit(Floats(), x);
    if (x < width) visit(Floats(), width - kWidth);
  } else if (width >= 4) {
    size_t x = 0;
    for (; x + 4 <= width; x += 4) visit(Quads(), x);
    if (x < width) visit(Quads(), width - 4);
  } else {
    for (size_t x = 0; x < width; ++x) rest(x);
  }
}

void CopyBlocks(ConstMatrix from, size_t from_block, size_t blocks, size_t rows, size_t width, Matrix to,
                size_t to_block) {
  for (size_t block = 0; block < blocks; ++block, from.data += from_block, to.data += to_block) {
    for (size_t row = 0; row < rows; ++row) {
      const float* HWY_RESTRICT a = from.data + row * from.stride;
      float* HWY_RESTRICT b = to.data + row * to.stride;
      ForRow(
          width, [&](auto d, size_t x) HWY_ATTR { hn::StoreU(hn::LoadU(d, a + x), d, b + x); },
          [&](size_t x) { b[x] = a[x]; });
    }
  }
}

// Not Max(): a NaN must stay one.
template <class D, class V>
HWY_INLINE V Rectified(D d, V value) {
  return hn::IfThenElse(hn::Lt(value, hn::Zero(d)), hn::Zero(d), value);
}

template <bool kRectify>
HWY_INLINE void FinishRowsOf(ConstMatrix from, size_t rows, size_t width, float bias, Matrix to) {
  for (size_t row = 0; row < rows; ++row) {
    const float* HWY_RESTRICT a = from.data + row * from.stride;
    float* HWY_RESTRICT b = to.data + row * to.stride;
    ForRow(
        width,
        [&](auto d, size_t x) HWY_ATTR {
          const auto value = hn::Add(hn::LoadU(d, a + x), hn::Set(d, bias));
          if constexpr (kRectify) {
            hn::StoreU(Rectified(d, value), d, b + x);
          } else {
            hn::StoreU(value, d, b + x);
          }
        },
        [&](size_t x) {
          const float value = a[x] + bias;
          b[x] = kRectify && value < 0.0F ? 0.0F : value;
        });
  }
}

void FinishRows(ConstMatrix from, size_t rows, size_t width, float bias, bool rectify, Matrix to) {
  if (rectify) return FinishRowsOf<true>(from, rows, width, bias, to);
  FinishRowsOf<false>(from, rows, width, bias, to);
}

// What happens to values on their way through a transposition, four columns of each row: nothing, or a bias and a
// rectifier.
struct AsItIs {
  template <class D, class V>
  HWY_INLINE V operator()(D, V values, size_t) const {
    return values;
  }
};
template <bool kRectify>
struct Finished {
  const float* bias;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V values, size_t column) const {
    const V sum = hn::Add(values, bias != nullptr ? hn::LoadDup128(d, bias + column) : hn::Zero(d));
    return kRectify ? Rectified(d, sum) : sum;
  }
};

// Four columns of the row at `from`, and in a vector of eight those of the row four further on.
template <class D>
HWY_INLINE hn::Vec<D> FourOfRows(D d, const float* from, size_t stride) {
  if constexpr (hn::MaxLanes(d) == 8) {
    return hn::Combine(d, hn::LoadU(Quads(), from + 4 * stride), hn::LoadU(Quads(), from));
  } else {
    return hn::LoadU(d, from);
  }
}

// Blocks of as many rows as `d` has lanes, and four columns, from `row` on; returns the first row that is left.
template <class D, class Finish>
HWY_INLINE size_t TransposeBlocks(D d, ConstMatrix from, size_t row, size_t rows, size_t columns, const Finish finish,
                                  Matrix to) {
  const hn::Repartition<double, D> pairs;
  for (; row + hn::MaxLanes(d) <= rows; row += hn::MaxLanes(d)) {
    const float* a = from.data + row * from.stride;
    for (size_t column = 0; column + 4 <= columns; column += 4) {
      const auto r0 = finish(d, FourOfRows(d, a + column, from.stride), column);
      const auto r1 = finish(d, FourOfRows(d, a + from.stride + column, from.stride), column);
      const auto r2 = finish(d, FourOfRows(d, a + 2 * from.stride + column, from.stride), column);
      const auto r3 = finish(d, FourOfRows(d, a + 3 * from.stride + column, from.stride), column);
      const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, r0, r1));
      const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(d, r2, r3));
      const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, r0, r1));
      const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, r2, r3));
      float* b = to.data + column * to.stride + row;
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23)), d, b);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23)), d, b + to.stride);
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23)), d, b + 2 * to.stride);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23)), d, b + 3 * to.stride);
    }
  }
  return row;
}

template <class Finish>
HWY_INLINE void TransposeWhole(ConstMatrix from, size_t rows, size_t columns, const Finish finish, Matrix to) {
  const size_t row = TransposeBlocks(hn::CappedTag<float, 8>(), from, 0, rows, columns, finish, to);
  TransposeBlocks(Quads(), from, row, rows, columns, finish, to);
}

void Transpose(ConstMatrix from, size_t rows, size_t columns, Matrix to) {
  const size_t whole_rows = rows / 4 * 4;
  const size_t whole_columns = columns / 4 * 4;
  TransposeWhole(from, whole_rows, whole_columns, AsItIs(), to);
  if (whole_columns < columns)
    plain::transpose({from.data + whole_columns, from.stride}, whole_rows, columns - whole_columns,
                     {to.data + whole_columns * to.stride, to.stride});
  plain::transpose({from.data + whole_rows * from.stride, from.stride}, rows - whole_rows, columns,
                   {to.data + whole_rows, to.stride});
}

void FinishTransposed(ConstMatrix from, size_t rows, size_t columns, const float* bias, bool rectify, Matrix to) {
  const size_t whole_rows = rows / 4 * 4;
  const size_t whole_columns = columns / 4 * 4;
  if (rectify) {
    TransposeWhole(from, whole_rows, whole_columns, Finished<true>{bias}, to);
  } else {
    TransposeWhole(from, whole_rows, whole_columns, Finished<false>{bias}, to);
  }
  if (whole_columns < columns)
    plain::finish_transposed({from.data + whole_columns, from.stride}, whole_rows, columns - whole_columns,
                             bias != nullptr ? bias + whole_columns : nullptr, rectify,
                             {to.data + whole_columns * to.stride, to.stride});
  plain::finish_transposed({from.data + whole_rows * from.stride, from.stride}, rows - whole_rows, columns, bias,
                           rectify, {to.data + whole_rows, to.stride});
}

// Not Max(): a NaN is a maximum only where it comes first.
template <class V>
HWY_INLINE V Larger(V best, V value) {
  return hn::IfThenElse(hn::Gt(value, best), value, best);
}
HWY_INLINE float Larger(float best, float value) {
  return value > best ? value : best;
}

template <class D>
HWY_INLINE void MaxPoolStep(D d, const float* upper, const float* lower, float* to) {
  auto a = hn::Zero(d);
  auto b = a;
  auto c = a;
  auto e = a;
  hn::LoadInterleaved2(d, upper, a, b);
  hn::LoadInterleaved2(d, lower, c, e);
  hn::StoreU(Larger(Larger(Larger(a, b), c), e), d, to);
}

void MaxPool(const float* planes, size_t count, size_t height, size_t width, float* to) {
  const size_t half = width / 2;
  for (size_t plane = 0; plane < count; ++plane, planes += height * width) {
    for (size_t y = 0; y + 2 <= height; y += 2, to += half) {
      const float* upper = planes + y * width;
      const float* lower = upper + width;
      ForRow(
          half, [&](auto d, size_t x) HWY_ATTR { MaxPoolStep(d, upper + 2 * x, lower + 2 * x, to + x); },
          [&](size_t x) {
            to[x] = Larger(Larger(Larger(upper[2 * x], upper[2 * x + 1]), lower[2 * x]), lower[2 * x + 1]);
          });
    }
  }
}

template <bool kRectified, class D>
HWY_INLINE void MaxPoolGradientStep(D d, const float* upper, const float* lower, const float* gradient, float* upper_to,
                                    float* lower_to) {
  const auto zero = hn::Zero(d);
  auto a = zero;
  auto b = zero;
  auto c = zero;
  auto e = zero;
  hn::LoadInterleaved2(d, upper, a, b);
  hn::LoadInterleaved2(d, lower, c, e);
  auto value = hn::LoadU(d, gradient);
  const auto b_wins = hn::Gt(b, a);
  const auto best_ab = hn::IfThenElse(b_wins, b, a);
  const auto c_wins = hn::Gt(c, best_ab);
  const auto best_abc = hn::IfThenElse(c_wins, c, best_ab);
  const auto e_wins = hn::Gt(e, best_abc);
  if constexpr (kRectified) value = hn::IfThenElseZero(hn::Gt(hn::IfThenElse(e_wins, e, best_abc), zero), value);
  const auto to_abc = hn::IfThenZeroElse(e_wins, value);
  const auto to_ab = hn::IfThenZeroElse(c_wins, to_abc);
  hn::StoreInterleaved2(hn::IfThenZeroElse(b_wins, to_ab), hn::IfThenElseZero(b_wins, to_ab), d, upper_to);
  hn::StoreInterleaved2(hn::IfThenElseZero(c_wins, to_abc), hn::IfThenElseZero(e_wins, value), d, lower_to);
}

template <bool kRectified>
HWY_INLINE void MaxPoolGradientOf(const float* planes, const float* gradient, size_t count, size_t height, size_t width,
                                  float* to) {
  const size_t half = width / 2;
  for (size_t plane = 0; plane < count; ++plane, planes += height * width, to += height * width) {
    for (size_t y = 0; y + 2 <= height; y += 2, gradient += half) {
      const float* upper = planes + y * width;
      const float* lower = upper + width;
      float* upper_to = to + y * width;
      float* lower_to = upper_to + width;
      ForRow(
          half,
          [&](auto d, size_t x) HWY_ATTR {
            MaxPoolGradientStep<kRectified>(d, upper + 2 * x, lower + 2 * x, gradient + x, upper_to + 2 * x,
                                            lower_to + 2 * x);
          },
          [&](size_t x) {
            const float window[4] = {upper[2 * x], upper[2 * x + 1], lower[2 * x], lower[2 * x + 1]};
            float result[4];
            plain::max_pool_gradient_2x2(window, gradient + x, 1, 2, 2, kRectified, result);
            std::copy_n(result, 2, upper_to + 2 * x);
            std::copy_n(result + 2, 2, lower_to + 2 * x);
          });
    }
  }
}

void MaxPoolGradient(const float* planes, const float* gradient, size_t count, size_t height, size_t width,
                     bool rectified, float* to) {
  if (rectified) return MaxPoolGradientOf<true>(planes, gradient, count, height, width, to);
  MaxPoolGradientOf<false>(planes, gradient, count, height, width, to);
}

// Eight partial sums of a row in one or two vectors, as in reduce.cc; several rows at once do not wait for each other.
template <size_t kRows>
HWY_INLINE void RowSums(ConstMatrix from, size_t width, float* sums) {
  constexpr size_t kLanes = 8;
  const hn::CappedTag<float, kLanes> d;
  constexpr size_t kVectors = kLanes / hn::MaxLanes(d);
  hn::Vec<decltype(d)> total[kRows][kVectors];
#pragma GCC unroll 4
  for (size_t row = 0; row < kRows; ++row) {
#pragma GCC unroll 2
    for (size_t v = 0; v < kVectors; ++v) total[row][v] = hn::Zero(d);
  }
  size_t x = 0;
  for (; x + kLanes <= width; x += kLanes) {
#pragma GCC unroll 4
    for (size_t row = 0; row < kRows; ++row) {
#pragma GCC unroll 2
      for (size_t v = 0; v < kVectors; ++v) {
        total[row][v] =
            hn::Add(total[row][v], hn::LoadU(d, from.data + row * from.stride + x + v * (kLanes / kVectors)));
      }
    }
  }
  for (size_t row = 0; row < kRows; ++row) {
    alignas(32) float lanes[kLanes];
    for (size_t v = 0; v < kVectors; ++v) hn::Store(total[row][v], d, lanes + v * (kLanes / kVectors));
    for (size_t lane = 0; x + lane < width; ++lane) lanes[lane] += from.data[row * from.stride + x + lane];
    sums[row] = ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
  }
}

void AddRowSums(ConstMatrix from, size_t rows, size_t width, float scale, size_t period, float* to) {
  constexpr size_t kAtOnce = 4;
  size_t row = 0;
  size_t place = 0;
  const auto add = [&](const float* sums, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      to[place] += scale * sums[i];
      place = place + 1 == period ? 0 : place + 1;
    }
  };
  float sums[kAtOnce];
  for (; row + kAtOnce <= rows; row += kAtOnce) {
    RowSums<kAtOnce>({from.data + row * from.stride, from.stride}, width, sums);
    add(sums, kAtOnce);
  }
  for (; row < rows; ++row) {
    RowSums<1>({from.data + row * from.stride, from.stride}, width, sums);
    add(sums, 1);
  }
}

bool AllFinite(const float* values, size_t count) {
  const Floats d;
  const hn::RebindToSigned<Floats> bits;
  const auto exponent = hn::Set(bits, 0x7F800000);
  constexpr size_t kAtOnce = 4;
  hn::Vec<decltype(bits)> largest[kAtOnce];
  for (auto& vector : largest) vector = hn::Zero(bits);
  size_t x = 0;
  for (; x + kAtOnce * kWidth <= count; x += kAtOnce * kWidth) {
#pragma GCC unroll 4
    for (size_t v = 0; v < kAtOnce; ++v) {
      const auto value = hn::BitCast(bits, hn::LoadU(d, values + x + v * kWidth));
      largest[v] = hn::Max(largest[v], hn::And(value, exponent));
    }
  }
  const auto all = hn::Max(hn::Max(largest[0], largest[1]), hn::Max(largest[2], largest[3]));
  return hn::AllTrue(bits, hn::Lt(all, exponent)) && plain::all_finite(values + x, count - x);
}

void Rectify(float* values, size_t count) {
  ForRow(
      count, [&](auto d, size_t x) HWY_ATTR { hn::StoreU(Rectified(d, hn::LoadU(d, values + x)), d, values + x); },
      [&](size_t x) { plain::rectify(values + x, 1); });
}

void RectifyGradient(const float* output, float* gradient, size_t count) {
  ForRow(
      count,
      [&](auto d, size_t x) HWY_ATTR {
        const auto passes = hn::Gt(hn::LoadU(d, output + x), hn::Zero(d));
        hn::StoreU(hn::IfThenElseZero(passes, hn::LoadU(d, gradient + x)), d, gradient + x);
      },
      [&](size_t x) { plain::rectify_gradient(output + x, gradient + x, 1); });
}

#endif

}  // namespace
}  // namespace runnel::tensor::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace runnel::tensor {
namespace {
HWY_EXPORT(CopyBlocks);
HWY_EXPORT(FinishRows);
HWY_EXPORT(Transpose);
HWY_EXPORT(FinishTransposed);
HWY_EXPORT(MaxPool);
HWY_EXPORT(MaxPoolGradient);
HWY_EXPORT(AddRowSums);
HWY_EXPORT(AllFinite);
HWY_EXPORT(Rectify);
HWY_EXPORT(RectifyGradient);
}  // namespace

void copy_blocks_fast(ConstMatrix from, size_t from_block, size_t blocks, size_t rows, size_t width, Matrix to,
                      size_t to_block) {
  HWY_DYNAMIC_DISPATCH(CopyBlocks)(from, from_block, blocks, rows, width, to, to_block);
}

void finish_rows_fast(ConstMatrix from, size_t rows, size_t width, float bias, bool rectify, Matrix to) {
  HWY_DYNAMIC_DISPATCH(FinishRows)(from, rows, width, bias, rectify, to);
}

void transpose_fast(ConstMatrix from, size_t rows, size_t columns, Matrix to) {
  HWY_DYNAMIC_DISPATCH(Transpose)(from, rows, columns, to);
}

void finish_transposed_fast(ConstMatrix from, size_t rows, size_t columns, const float* bias, bool rectify, Matrix to) {
  HWY_DYNAMIC_DISPATCH(FinishTransposed)(from, rows, columns, bias, rectify, to);
}

void max_pool_2x2_fast(const float* planes, size_t count, size_t height, size_t width, float* to) {
  HWY_DYNAMIC_DISPATCH(MaxPool)(planes, count, height, width, to);
}

void max_pool_gradient_2x2_fast(const float* planes, const float* gradient, size_t count, size_t height, size_t width,
                                bool rectified, float* to) {
  HWY_DYNAMIC_DISPATCH(MaxPoolGradient)(planes, gradient, count, height, width, rectified, to);
}

void add_row_sums_fast(ConstMatrix from, size_t rows, size_t width, float scale, size_t period, float* to) {
  HWY_DYNAMIC_DISPATCH(AddRowSums)(from, rows, width, scale, period, to);
}

bool all_finite_fast(const float* values, size_t count) {
  return HWY_DYNAMIC_DISPATCH(AllFinite)(values, count);
}

void rectify_fast(float* values, size_t count) {
  HWY_DYNAMIC_DISPATCH(Rectify)(values, count);
}

void rectify_gradient_fast(const float* output, float* gradient, size_t count) {
  HWY_DYNAMIC_DISPATCH(RectifyGradient)(output, gradient, count);
}

}  // namespace runnel::tensor
#endif
