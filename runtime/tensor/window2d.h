// A window that slides over the planes of an image: the geometry of a convolution or a pooling layer for one example.
//
// Images are channels x height x width, row-major. The output is output_height x output_width positions of the window's
// top left corner; `padding` rows and columns of zeros surround the image (pooling uses none).
#pragma once

#include <cstddef>
#include <cstdint>

namespace runnel::tensor {

struct Window2d {
  uint32_t channels = 1;
  uint32_t height = 1;  // of the input
  uint32_t width = 1;
  uint32_t kernel_height = 1;  // >= 1
  uint32_t kernel_width = 1;
  uint32_t stride_height = 1;  // >= 1
  uint32_t stride_width = 1;
  uint32_t padding_height = 0;  // < kernel
  uint32_t padding_width = 0;

  // REQUIRES: the kernel fits the padded input.
  size_t output_height() const { return (height + 2 * size_t{padding_height} - kernel_height) / stride_height + 1; }
  size_t output_width() const { return (width + 2 * size_t{padding_width} - kernel_width) / stride_width + 1; }
  size_t output_positions() const { return output_height() * output_width(); }
  size_t plane_count() const { return size_t{height} * width; }
  size_t input_count() const { return channels * plane_count(); }
  size_t kernel_count() const { return size_t{kernel_height} * kernel_width; }
  size_t patch_count() const { return channels * kernel_count(); }  // values under the window, all channels
};

}  // namespace runnel::tensor
