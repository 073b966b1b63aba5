#include "runtime/tensor/unfold.h"

#include <algorithm>

#include "runtime/base/error.h"

namespace runnel::tensor {
namespace {

// Output positions [begin, end) of one dimension for which position * stride + tap - padding lies in the input.
struct Range {
  size_t begin;
  size_t end;
};

Range valid_positions(size_t outputs, size_t input, size_t stride, size_t tap, size_t padding) {
  const size_t begin = tap >= padding ? 0 : (padding - tap + stride - 1) / stride;
  const size_t last = input - 1 + padding;  // the largest position * stride + tap that is still inside
  const size_t end = last < tap ? 0 : std::min(outputs, (last - tap) / stride + 1);
  return {std::min(begin, end), end};
}

// Calls visit(channel, matrix row, kernel row, kernel column) for every row of the column matrix.
template <typename Visit>
void for_each_tap(const Window2d& window, Visit visit) {
  size_t row = 0;
  for (size_t channel = 0; channel < window.channels; ++channel) {
    for (size_t y = 0; y < window.kernel_height; ++y) {
      for (size_t x = 0; x < window.kernel_width; ++x) visit(channel, row++, y, x);
    }
  }
}

}  // namespace

void unfold(const Window2d& window, std::span<const float> image, size_t row_begin, size_t row_end,
            std::span<float> columns) {
  const size_t output_width = window.output_width();
  const size_t positions = (row_end - row_begin) * output_width;
  RUNNEL_ASSERT(image.size() == window.input_count() && columns.size() == window.patch_count() * positions);
  for_each_tap(window, [&](size_t channel, size_t matrix_row, size_t tap_y, size_t tap_x) {
    const Range xs = valid_positions(output_width, window.width, window.stride_width, tap_x, window.padding_width);
    const Range ys =
        valid_positions(window.output_height(), window.height, window.stride_height, tap_y, window.padding_height);
    const float* plane = image.data() + channel * window.plane_count();
    float* to = columns.data() + matrix_row * positions;
    for (size_t y = row_begin; y < row_end; ++y, to += output_width) {
      if (y < ys.begin || y >= ys.end || xs.begin == xs.end) {
        std::fill_n(to, output_width, 0.0F);
        continue;
      }
      const float* from = plane + (y * window.stride_height + tap_y - window.padding_height) * window.width +
                          (xs.begin * window.stride_width + tap_x - window.padding_width);
      for (size_t x = 0; x < xs.begin; ++x) to[x] = 0.0F;
      if (window.stride_width == 1) {
        std::copy_n(from, xs.end - xs.begin, to + xs.begin);
      } else {
        for (size_t x = xs.begin; x < xs.end; ++x) to[x] = from[(x - xs.begin) * window.stride_width];
      }
      for (size_t x = xs.end; x < output_width; ++x) to[x] = 0.0F;
    }
  });
}

void fold_add(const Window2d& window, std::span<const float> columns, size_t row_begin, size_t row_end,
              std::span<float> image) {
  const size_t output_width = window.output_width();
  const size_t positions = (row_end - row_begin) * output_width;
  RUNNEL_ASSERT(image.size() == window.input_count() && columns.size() == window.patch_count() * positions);
  for_each_tap(window, [&](size_t channel, size_t matrix_row, size_t tap_y, size_t tap_x) {
    const Range xs = valid_positions(output_width, window.width, window.stride_width, tap_x, window.padding_width);
    const Range ys =
        valid_positions(window.output_height(), window.height, window.stride_height, tap_y, window.padding_height);
    if (xs.begin == xs.end) return;
    float* plane = image.data() + channel * window.plane_count();
    for (size_t y = std::max(row_begin, ys.begin); y < std::min(row_end, ys.end); ++y) {
      const float* __restrict from =
          columns.data() + matrix_row * positions + (y - row_begin) * output_width + xs.begin;
      float* __restrict to = plane + (y * window.stride_height + tap_y - window.padding_height) * window.width +
                             (xs.begin * window.stride_width + tap_x - window.padding_width);
      const size_t count = xs.end - xs.begin;
      if (window.stride_width == 1) {
        for (size_t x = 0; x < count; ++x) to[x] += from[x];
      } else {
        for (size_t x = 0; x < count; ++x) to[x * window.stride_width] += from[x];
      }
    }
  });
}

}  // namespace runnel::tensor
