#include "runtime/tensor/pool2d.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/tensor/row_kernels.h"

namespace runnel::tensor {
namespace {

void check_sizes(const Window2d& window, size_t examples, std::span<const float> input, std::span<const float> output) {
  RUNNEL_ASSERT(window.padding_height == 0 && window.padding_width == 0);
  RUNNEL_ASSERT(input.size() == examples * window.input_count());
  RUNNEL_ASSERT(output.size() == examples * window.channels * window.output_positions());
}

// Combines each window's tap into its output along one row. A stride known to the compiler lets it use vector shuffles.
template <size_t kStride, typename Combine>
void combine_row(const float* __restrict from, size_t stride, float* __restrict to, size_t count, Combine combine) {
  const size_t step = kStride == 0 ? stride : kStride;
  for (size_t x = 0; x < count; ++x) to[x] = combine(to[x], from[x * step]);
}

template <typename Combine>
void combine_row(const float* from, size_t stride, float* to, size_t count, Combine combine) {
  switch (stride) {
    case 1:
      return combine_row<1>(from, stride, to, count, combine);
    case 2:
      return combine_row<2>(from, stride, to, count, combine);
    default:
      return combine_row<0>(from, stride, to, count, combine);
  }
}

float keep(float, float value) {
  return value;
}
float larger(float best, float value) {
  return value > best ? value : best;
}
float add(float total, float value) {
  return total + value;
}

// Folds all taps of the windows of one output row into `to`, tap by tap.
template <typename Combine>
void pool_row(const Window2d& window, const float* from, float* to, size_t count, Combine combine) {
  combine_row(from, window.stride_width, to, count, [](float a, float b) { return keep(a, b); });
  for (size_t tap_y = 0; tap_y < window.kernel_height; ++tap_y) {
    for (size_t tap_x = tap_y == 0 ? 1 : 0; tap_x < window.kernel_width; ++tap_x) {
      combine_row(from + tap_y * window.width + tap_x, window.stride_width, to, count, combine);
    }
  }
}

// Calls visit(first input value under the row's first window, first output value of the row) for every row of every
// plane.
template <typename Visit>
void for_each_output_row(const Window2d& window, size_t examples, Visit visit) {
  const size_t output_width = window.output_width();
  const size_t output_height = window.output_height();
  for (size_t plane = 0; plane < examples * window.channels; ++plane) {
    for (size_t y = 0; y < output_height; ++y) {
      visit(plane * window.plane_count() + y * window.stride_height * window.width,
            (plane * output_height + y) * output_width);
    }
  }
}

// Windows of 2x2 side by side: every input value lies in at most one window, so a row of gradients is written, not
// added.
bool is_quartering(const Window2d& window) {
  return window.kernel_height == 2 && window.kernel_width == 2 && window.stride_height == 2 && window.stride_width == 2;
}

void max_gradient_row(const Window2d& window, const float* from, const float* gradient, bool rectified, float* to,
                      size_t count) {
  for (size_t x = 0; x < count; ++x, from += window.stride_width, to += window.stride_width) {
    size_t best = 0;
    for (size_t tap_y = 0; tap_y < window.kernel_height; ++tap_y) {
      for (size_t tap_x = 0; tap_x < window.kernel_width; ++tap_x) {
        const size_t index = tap_y * window.width + tap_x;
        best = from[index] > from[best] ? index : best;
      }
    }
    if (!rectified || from[best] > 0.0F) to[best] += gradient[x];
  }
}

}  // namespace

void max_pool2d_forward(const Window2d& window, size_t examples, std::span<const float> input,
                        std::span<float> output) {
  check_sizes(window, examples, input, output);
  if (is_quartering(window))
    return max_pool_2x2(input.data(), examples * window.channels, window.height, window.width, output.data());
  for_each_output_row(window, examples, [&](size_t from, size_t to) {
    pool_row(window, input.data() + from, output.data() + to, window.output_width(),
             [](float best, float value) { return larger(best, value); });
  });
}

void max_pool2d_backward(const Window2d& window, size_t examples, std::span<const float> input,
                         std::span<const float> output_gradient, std::span<float> input_gradient, bool rectified) {
  check_sizes(window, examples, input, output_gradient);
  RUNNEL_ASSERT(input_gradient.size() == input.size());
  const bool quarters = is_quartering(window);
  if (!quarters || window.height % 2 != 0 || window.width % 2 != 0) std::ranges::fill(input_gradient, 0.0F);
  if (quarters) {
    return max_pool_gradient_2x2(input.data(), output_gradient.data(), examples * window.channels, window.height,
                                 window.width, rectified, input_gradient.data());
  }
  for_each_output_row(window, examples, [&](size_t from, size_t to) {
    max_gradient_row(window, input.data() + from, output_gradient.data() + to, rectified, input_gradient.data() + from,
                     window.output_width());
  });
}

void avg_pool2d_forward(const Window2d& window, size_t examples, std::span<const float> input,
                        std::span<float> output) {
  check_sizes(window, examples, input, output);
  const float share = 1.0F / static_cast<float>(window.kernel_count());
  for_each_output_row(window, examples, [&](size_t from, size_t to) {
    float* row = output.data() + to;
    pool_row(window, input.data() + from, row, window.output_width(),
             [](float total, float value) { return add(total, value); });
    for (size_t x = 0; x < window.output_width(); ++x) row[x] *= share;
  });
}

void avg_pool2d_backward(const Window2d& window, size_t examples, std::span<const float> output_gradient,
                         std::span<float> input_gradient) {
  check_sizes(window, examples, input_gradient, output_gradient);
  std::ranges::fill(input_gradient, 0.0F);
  const float share = 1.0F / static_cast<float>(window.kernel_count());
  for_each_output_row(window, examples, [&](size_t to, size_t from) {
    for (size_t tap_y = 0; tap_y < window.kernel_height; ++tap_y) {
      for (size_t tap_x = 0; tap_x < window.kernel_width; ++tap_x) {
        const float* __restrict source = output_gradient.data() + from;
        float* __restrict target = input_gradient.data() + to + tap_y * window.width + tap_x;
        for (size_t x = 0; x < window.output_width(); ++x) target[x * window.stride_width] += source[x] * share;
      }
    }
  });
}

}  // namespace runnel::tensor
