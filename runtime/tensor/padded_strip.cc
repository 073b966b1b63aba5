#include "runtime/tensor/padded_strip.h"

#include <algorithm>

#include "runtime/tensor/row_kernels.h"

namespace runnel::tensor {
namespace {

// Places [begin, end) of one dimension of a plane whose place i holds the padded image's i * stride + first.
struct Inside {
  size_t begin;
  size_t end;
};

Inside inside(size_t places, size_t first, size_t stride, size_t padding, size_t image) {
  const size_t begin = first >= padding ? 0 : std::min(places, (padding - first + stride - 1) / stride);
  const size_t beyond = image + padding;  // the first padded coordinate behind the image
  const size_t end = first >= beyond ? 0 : std::min(places, (beyond - first - 1) / stride + 1);
  return {std::min(begin, end), end};
}

}  // namespace

void PaddedStrip::copy(const float* image, size_t row, float* to) const {
  const bool padded = window.padding_height != 0 || window.padding_width != 0 ||
                      (row + plane_rows() - 1) * window.stride_height + phase_rows() > window.height;
  if (padded) std::fill_n(to, floats(), 0.0F);
  for (size_t channel = 0; channel < window.channels; ++channel, image += window.plane_count()) {
    for (size_t phase_y = 0; phase_y < phase_rows(); ++phase_y) {
      const size_t first_y = row * window.stride_height + phase_y;
      const Inside ys = inside(plane_rows(), first_y, window.stride_height, window.padding_height, window.height);
      for (size_t phase_x = 0; phase_x < phase_columns(); ++phase_x, to += plane_floats()) {
        const Inside xs = inside(row_floats(), phase_x, window.stride_width, window.padding_width, window.width);
        if (ys.begin == ys.end || xs.begin == xs.end) continue;
        const float* from = image + (first_y + ys.begin * window.stride_height - window.padding_height) * window.width +
                            (phase_x + xs.begin * window.stride_width - window.padding_width);
        float* place = to + ys.begin * row_floats() + xs.begin;
        const size_t width = xs.end - xs.begin;
        if (window.stride_width == 1) {
          copy_rows({from, window.width * window.stride_height}, ys.end - ys.begin, width, {place, row_floats()});
          continue;
        }
        for (size_t y = ys.begin; y < ys.end; ++y) {
          for (size_t x = 0; x < width; ++x) place[x] = from[x * window.stride_width];
          place += row_floats();
          from += window.width * window.stride_height;
        }
      }
    }
  }
}

}  // namespace runnel::tensor
