// Some rows of an image with their padding, sorted by phase: what conv2d_direct.h computes on.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/tensor/window2d.h"

namespace runnel::tensor {

// The copy under `rows` output rows of a window: for each channel and each phase of the strides that a tap falls on, a
// plane of rows of `row_floats` values. The values under tap (y, x) at output position (row, column) are at
// tap_offset() + row * row_floats + column.
struct PaddedStrip {
  Window2d window;
  size_t rows = 1;

  size_t phase_rows() const {
    return window.kernel_height < window.stride_height ? window.kernel_height : window.stride_height;
  }
  size_t phase_columns() const {
    return window.kernel_width < window.stride_width ? window.kernel_width : window.stride_width;
  }
  size_t row_floats() const { return window.output_width() + (window.kernel_width - 1) / window.stride_width; }
  size_t plane_rows() const { return rows + (window.kernel_height - 1) / window.stride_height; }
  size_t plane_floats() const { return plane_rows() * row_floats(); }
  size_t floats() const { return window.channels * phase_rows() * phase_columns() * plane_floats(); }
  // From the first position of the first of `count` rows to the last of the last.
  size_t span_of(size_t count) const { return (count - 1) * row_floats() + window.output_width(); }

  size_t tap_offset(size_t channel, size_t y, size_t x) const {
    const size_t phase = (y % window.stride_height) * phase_columns() + x % window.stride_width;
    return (channel * phase_rows() * phase_columns() + phase) * plane_floats() +
           y / window.stride_height * row_floats() + x / window.stride_width;
  }

  // The same of `count` elements of the patch from `begin` on, in the order channel, kernel row, kernel column.
  void tap_offsets(size_t begin, size_t count, uint32_t* offsets) const;

  // What the positions from `begin` on, counted without what lies between rows, add to a tap's offset.
  void position_offsets(size_t begin, size_t count, uint32_t* offsets) const;

  // Copies what lies under output rows [row, row + rows); what is beyond the image is zero. With `padding_stands`, the
  // memory holds the same rows of another image, and only what may differ is written.
  void copy(const float* image, size_t row, bool padding_stands, float* to) const;
  void copy_phase(const float* from, size_t count, size_t width, float* to) const;  // a part of that
};

}  // namespace runnel::tensor
