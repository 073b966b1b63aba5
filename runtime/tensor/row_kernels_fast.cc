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

void CopyRows(ConstMatrix from, size_t rows, size_t width, Matrix to) {
  plain::copy_rows(from, rows, width, to);
}
void FinishRows(ConstMatrix from, size_t rows, size_t width, float bias, bool rectify, Matrix to) {
  plain::finish_rows(from, rows, width, bias, rectify, to);
}
void Transpose(ConstMatrix from, size_t rows, size_t columns, Matrix to) {
  plain::transpose(from, rows, columns, to);
}
void MaxPoolRow(const float* upper, const float* lower, size_t count, float* to) {
  plain::max_pool_row_2x2(upper, lower, count, to);
}
void MaxPoolGradientRow(const float* upper, const float* lower, const float* gradient, size_t count, float* upper_to,
                        float* lower_to) {
  plain::max_pool_gradient_row_2x2(upper, lower, gradient, count, upper_to, lower_to);
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

void CopyRows(ConstMatrix from, size_t rows, size_t width, Matrix to) {
  for (size_t row = 0; row < rows; ++row) {
    const float* HWY_RESTRICT a = from.data + row * from.stride;
    float* HWY_RESTRICT b = to.data + row * to.stride;
    ForRow(
        width, [&](auto d, size_t x) HWY_ATTR { hn::StoreU(hn::LoadU(d, a + x), d, b + x); },
        [&](size_t x) { b[x] = a[x]; });
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

void Transpose(ConstMatrix from, size_t rows, size_t columns, Matrix to) {
  const Quads d;
  const hn::Repartition<double, Quads> pairs;
  const size_t whole_rows = rows / 4 * 4;
  const size_t whole_columns = columns / 4 * 4;
  for (size_t row = 0; row < whole_rows; row += 4) {
    const float* a = from.data + row * from.stride;
    for (size_t column = 0; column < whole_columns; column += 4) {
      const auto r0 = hn::LoadU(d, a + column);
      const auto r1 = hn::LoadU(d, a + from.stride + column);
      const auto r2 = hn::LoadU(d, a + 2 * from.stride + column);
      const auto r3 = hn::LoadU(d, a + 3 * from.stride + column);
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
  plain::transpose({from.data + whole_columns, from.stride}, whole_rows, columns - whole_columns,
                   {to.data + whole_columns * to.stride, to.stride});
  plain::transpose({from.data + whole_rows * from.stride, from.stride}, rows - whole_rows, columns,
                   {to.data + whole_rows, to.stride});
}

// Not Max(): a NaN is a maximum only where it comes first.
template <class V>
HWY_INLINE V Larger(V best, V value) {
  return hn::IfThenElse(hn::Gt(value, best), value, best);
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

void MaxPoolRow(const float* upper, const float* lower, size_t count, float* to) {
  ForRow(
      count, [&](auto d, size_t x) HWY_ATTR { MaxPoolStep(d, upper + 2 * x, lower + 2 * x, to + x); },
      [&](size_t x) { plain::max_pool_row_2x2(upper + 2 * x, lower + 2 * x, 1, to + x); });
}

template <class D>
HWY_INLINE void MaxPoolGradientStep(D d, const float* upper, const float* lower, const float* gradient, float* upper_to,
                                    float* lower_to) {
  const auto zero = hn::Zero(d);
  auto a = zero;
  auto b = zero;
  auto c = zero;
  auto e = zero;
  hn::LoadInterleaved2(d, upper, a, b);
  hn::LoadInterleaved2(d, lower, c, e);
  const auto value = hn::LoadU(d, gradient);
  const auto b_wins = hn::Gt(b, a);
  const auto best_ab = hn::IfThenElse(b_wins, b, a);
  const auto c_wins = hn::Gt(c, best_ab);
  const auto e_wins = hn::Gt(e, hn::IfThenElse(c_wins, c, best_ab));
  const auto to_abc = hn::IfThenZeroElse(e_wins, value);
  const auto to_ab = hn::IfThenZeroElse(c_wins, to_abc);
  hn::StoreInterleaved2(hn::IfThenZeroElse(b_wins, to_ab), hn::IfThenElseZero(b_wins, to_ab), d, upper_to);
  hn::StoreInterleaved2(hn::IfThenElseZero(c_wins, to_abc), hn::IfThenElseZero(e_wins, value), d, lower_to);
}

void MaxPoolGradientRow(const float* upper, const float* lower, const float* gradient, size_t count, float* upper_to,
                        float* lower_to) {
  ForRow(
      count,
      [&](auto d, size_t x) HWY_ATTR {
        MaxPoolGradientStep(d, upper + 2 * x, lower + 2 * x, gradient + x, upper_to + 2 * x, lower_to + 2 * x);
      },
      [&](size_t x) {
        plain::max_pool_gradient_row_2x2(upper + 2 * x, lower + 2 * x, gradient + x, 1, upper_to + 2 * x,
                                         lower_to + 2 * x);
      });
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
HWY_EXPORT(CopyRows);
HWY_EXPORT(FinishRows);
HWY_EXPORT(Transpose);
HWY_EXPORT(MaxPoolRow);
HWY_EXPORT(MaxPoolGradientRow);
HWY_EXPORT(Rectify);
HWY_EXPORT(RectifyGradient);
}  // namespace

void copy_rows_fast(ConstMatrix from, size_t rows, size_t width, Matrix to) {
  HWY_DYNAMIC_DISPATCH(CopyRows)(from, rows, width, to);
}

void finish_rows_fast(ConstMatrix from, size_t rows, size_t width, float bias, bool rectify, Matrix to) {
  HWY_DYNAMIC_DISPATCH(FinishRows)(from, rows, width, bias, rectify, to);
}

void transpose_fast(ConstMatrix from, size_t rows, size_t columns, Matrix to) {
  HWY_DYNAMIC_DISPATCH(Transpose)(from, rows, columns, to);
}

void max_pool_row_2x2_fast(const float* upper, const float* lower, size_t count, float* to) {
  HWY_DYNAMIC_DISPATCH(MaxPoolRow)(upper, lower, count, to);
}

void max_pool_gradient_row_2x2_fast(const float* upper, const float* lower, const float* gradient, size_t count,
                                    float* upper_to, float* lower_to) {
  HWY_DYNAMIC_DISPATCH(MaxPoolGradientRow)(upper, lower, gradient, count, upper_to, lower_to);
}

void rectify_fast(float* values, size_t count) {
  HWY_DYNAMIC_DISPATCH(Rectify)(values, count);
}

void rectify_gradient_fast(const float* output, float* gradient, size_t count) {
  HWY_DYNAMIC_DISPATCH(RectifyGradient)(output, gradient, count);
}

}  // namespace runnel::tensor
#endif
