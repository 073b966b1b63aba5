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

void PaddedStrip::tap_offsets(size_t begin, size_t count, uint32_t* offsets) const {
  const size_t tap = begin % window.kernel_count();
  size_t channel = begin / window.kernel_count();
  size_t y = tap / window.kernel_width;
  size_t x = tap % window.kernel_width;
  const bool dense = window.stride_height == 1 && window.stride_width == 1;  // saves the divisions
  const size_t row = row_floats();
  const size_t plane = plane_floats();
  for (size_t k = 0; k < count; ++k) {
    offsets[k] = static_cast<uint32_t>(dense ? channel * plane + y * row + x : tap_offset(channel, y, x));
    if (++x < window.kernel_width) continue;
    x = 0;
    if (++y < window.kernel_height) continue;
    y = 0;
    ++channel;
  }
}

void PaddedStrip::position_offsets(size_t begin, size_t count, uint32_t* offsets) const {
  const size_t width = window.output_width();
  size_t x = begin % width;
  size_t row = begin / width * row_floats();
  for (size_t k = 0; k < count; ++k) {
    offsets[k] = static_cast<uint32_t>(row + x);
    if (++x < width) continue;
    x = 0;
    row += row_floats();
  }
}

void PaddedStrip::copy(const float* image, size_t row, bool padding_stands, float* to) const {
  const bool padded =
      !padding_stands && (window.padding_height != 0 || window.padding_width != 0 ||
                          (row + plane_rows() - 1) * window.stride_height + phase_rows() > window.height);
  if (padded) std::fill_n(to, floats(), 0.0F);
  for (size_t phase_y = 0; phase_y < phase_rows(); ++phase_y) {
    const size_t first_y = row * window.stride_height + phase_y;
    const Inside ys = inside(plane_rows(), first_y, window.stride_height, window.padding_height, window.height);
    for (size_t phase_x = 0; phase_x < phase_columns(); ++phase_x) {
      const Inside xs = inside(row_floats(), phase_x, window.stride_width, window.padding_width, window.width);
      if (ys.begin == ys.end || xs.begin == xs.end) continue;
      copy_phase(image + (first_y + ys.begin * window.stride_height - window.padding_height) * window.width +
                     (phase_x + xs.begin * window.stride_width - window.padding_width),
                 ys.end - ys.begin, xs.end - xs.begin,
                 to + (phase_y * phase_columns() + phase_x) * plane_floats() + ys.begin * row_floats() + xs.begin);
    }
  }
}

// One phase of all channels: `count` rows of `width` values that lie in the image.
void PaddedStrip::copy_phase(const float* from, size_t count, size_t width, float* to) const {
  const size_t row = row_floats();
  const size_t channel_floats = phase_rows() * phase_columns() * plane_floats();
  const size_t step = window.stride_width;
  const size_t row_step = window.width * window.stride_height;
  if (step == 1) {
    return copy_blocks({from, row_step}, window.plane_count(), window.channels, count, width, {to, row},
                       channel_floats);
  }
  for (size_t channel = 0; channel < window.channels; ++channel) {
    for (size_t y = 0; y < count; ++y) {
      const float* a = from + channel * window.plane_count() + y * row_step;
      float* b = to + channel * channel_floats + y * row;
      for (size_t x = 0; x < width; ++x) b[x] = a[x * step];
    }
  }
}

}  // namespace runnel::tensor
