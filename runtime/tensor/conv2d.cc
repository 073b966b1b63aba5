#include "runtime/tensor/conv2d.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/tensor/conv2d_direct.h"
#include "runtime/tensor/product.h"
#include "runtime/tensor/relu.h"
#include "runtime/tensor/row_kernels.h"
#include "runtime/tensor/unfold.h"

namespace runnel::tensor {
namespace {

constexpr size_t kTileFloats = 32768;  // 128 KiB: with the product's panels, about the L2 cache of a small processor

// What one group sees: its part of the channels.
Window2d group_window(const Conv2d& conv) {
  Window2d window = conv.window;
  window.channels = static_cast<uint32_t>(window.channels / conv.groups);
  return window;
}

// The image is its own matrix of patches.
bool is_pointwise(const Window2d& window) {
  return window.kernel_count() == 1 && window.stride_height == 1 && window.stride_width == 1 &&
         window.padding_height == 0 && window.padding_width == 0;
}

// An image is unfolded in tiles of whole output rows; one that is its own matrix is one tile.
size_t rows_per_tile(const Window2d& window) {
  if (is_pointwise(window)) return window.output_height();
  const size_t floats_per_row = window.patch_count() * window.output_width();
  return std::clamp<size_t>(kTileFloats / floats_per_row, 1, window.output_height());
}

size_t tile_floats(const Window2d& window) {
  if (is_pointwise(window)) return 0;
  const size_t floats = window.patch_count() * window.output_width() * rows_per_tile(window);
  return (floats + 15) / 16 * 16;  // the product's panels follow on a cache line
}

void check_sizes(const Conv2d& conv, size_t examples, size_t input, size_t weight, size_t output) {
  RUNNEL_ASSERT(conv.groups >= 1 && conv.units % conv.groups == 0 && conv.window.channels % conv.groups == 0);
  RUNNEL_ASSERT(input == examples * conv.window.input_count());
  RUNNEL_ASSERT(weight == conv.units * conv.window.patch_count() / conv.groups);
  RUNNEL_ASSERT(output == examples * conv.units * conv.window.output_positions());
}

// The three passes as products over unfolded images. A part is one group of one example.
class Unfolded {
 public:
  explicit Unfolded(const Conv2d& conv)
      : window_(group_window(conv)),
        groups_(conv.groups),
        units_(conv.units / conv.groups),
        patch_(window_.patch_count()),
        positions_(window_.output_positions()),
        pointwise_(is_pointwise(window_)) {}

  size_t workspace() const {
    const size_t tile = rows_per_tile(window_) * window_.output_width();
    return tile_floats(window_) +
           std::max({product_workspace({units_, tile, patch_}), product_workspace({units_, patch_, tile}),
                     product_workspace({patch_, tile, units_})});
  }

  // Adds to the output.
  void forward(size_t parts, const float* input, const float* weight, float* output, std::span<float> workspace) const {
    for_each_tile(parts, workspace, [&](size_t part, size_t row, size_t row_end, Matrix columns) {
      unfold_tile(input, part, row, row_end, columns);
      const size_t tile = (row_end - row) * window_.output_width();
      add_product({units_, tile, patch_}, {weight + weight_offset(part), patch_}, patches(input, part, columns),
                  {output + output_offset(part, row), positions_}, panels(workspace));
    });
  }

  // Adds to the input gradient.
  void input_gradient(size_t parts, const float* weight, const float* output_gradient, float* input_gradient,
                      std::span<float> workspace) const {
    for_each_tile(parts, workspace, [&](size_t part, size_t row, size_t row_end, Matrix columns) {
      const size_t tile = (row_end - row) * window_.output_width();
      float* image = input_gradient + part * window_.input_count();
      const Matrix sums = pointwise_ ? Matrix{image, tile} : columns;
      if (!pointwise_) std::fill_n(sums.data, patch_ * tile, 0.0F);
      add_product_a_transposed({patch_, tile, units_}, {weight + weight_offset(part), patch_},
                               {output_gradient + output_offset(part, row), positions_}, sums, panels(workspace));
      if (!pointwise_) {
        fold_add(window_, {sums.data, patch_ * tile}, row, row_end, {image, window_.input_count()});
      }
    });
  }

  void weight_gradient(size_t parts, const float* input, const float* output_gradient, float scale,
                       float* weight_gradient, std::span<float> workspace) const {
    for_each_tile(parts, workspace, [&](size_t part, size_t row, size_t row_end, Matrix columns) {
      // A second time: keeping the patches from the forward pass would cost kernel_count times the input.
      unfold_tile(input, part, row, row_end, columns);
      const size_t tile = (row_end - row) * window_.output_width();
      add_product_b_transposed({units_, patch_, tile}, {output_gradient + output_offset(part, row), positions_},
                               patches(input, part, columns), {weight_gradient + weight_offset(part), patch_}, scale);
    });
  }

 private:
  template <typename Visit>
  void for_each_tile(size_t parts, std::span<float> workspace, Visit visit) const {
    const size_t rows = rows_per_tile(window_);
    for (size_t part = 0; part < parts; ++part) {
      for (size_t row = 0; row < window_.output_height(); row += rows) {
        const size_t row_end = std::min(row + rows, window_.output_height());
        visit(part, row, row_end, Matrix{workspace.data(), (row_end - row) * window_.output_width()});
      }
    }
  }

  void unfold_tile(const float* input, size_t part, size_t row, size_t row_end, Matrix columns) const {
    if (pointwise_) return;
    unfold(window_, {input + part * window_.input_count(), window_.input_count()}, row, row_end,
           {columns.data, patch_ * columns.stride});
  }

  ConstMatrix patches(const float* input, size_t part, Matrix columns) const {
    if (pointwise_) return {input + part * window_.input_count(), positions_};
    return {columns.data, columns.stride};
  }

  std::span<float> panels(std::span<float> workspace) const { return workspace.subspan(tile_floats(window_)); }
  size_t weight_offset(size_t part) const { return part % groups_ * units_ * patch_; }
  size_t output_offset(size_t part, size_t row) const {
    return part * units_ * positions_ + row * window_.output_width();
  }

  Window2d window_;
  size_t groups_;
  size_t units_;      // of one group
  size_t patch_;      // values under the window, of one group
  size_t positions_;  // of the output
  bool pointwise_;
};

bool is_direct(const Conv2d& conv) {
  return !is_pointwise(conv.window) && direct::pays(conv);
}

bool is_direct_for_input_gradient(const Conv2d& conv) {
  return !is_pointwise(conv.window) && direct::pays_for_input_gradient(conv);
}

}  // namespace

size_t conv2d_workspace(const Conv2d& conv) {
  size_t floats = 0;
  if (is_direct(conv)) floats = std::max(direct::forward_workspace(conv), direct::weight_gradient_workspace(conv));
  if (is_direct_for_input_gradient(conv)) floats = std::max(floats, direct::input_gradient_workspace(conv));
  if (is_direct(conv) && is_direct_for_input_gradient(conv)) return floats;
  return std::max(floats, Unfolded(conv).workspace());
}

void conv2d_forward(const Conv2d& conv, size_t examples, std::span<const float> input, std::span<const float> weight,
                    std::span<const float> bias, Activation activation, std::span<float> output,
                    std::span<float> workspace) {
  check_sizes(conv, examples, input.size(), weight.size(), output.size());
  RUNNEL_ASSERT(workspace.size() >= conv2d_workspace(conv) && (bias.empty() || bias.size() == conv.units));
  if (is_direct(conv)) return direct::forward(conv, examples, input, weight, bias, activation, output, workspace);
  const size_t positions = conv.window.output_positions();
  for (size_t plane = 0; plane < examples * conv.units; ++plane) {
    std::fill_n(output.data() + plane * positions, positions, bias.empty() ? 0.0F : bias[plane % conv.units]);
  }
  Unfolded(conv).forward(examples * conv.groups, input.data(), weight.data(), output.data(), workspace);
  if (activation == Activation::kRelu) relu_forward(output);
}

void conv2d_backward(const Conv2d& conv, size_t examples, std::span<const float> input, std::span<const float> weight,
                     std::span<const float> output_gradient, float scale, std::span<float> weight_gradient,
                     std::span<float> bias_gradient, std::span<float> input_gradient, std::span<float> workspace) {
  check_sizes(conv, examples, input.size(), weight.size(), output_gradient.size());
  RUNNEL_ASSERT(weight_gradient.empty() || weight_gradient.size() == weight.size());
  RUNNEL_ASSERT(bias_gradient.empty() || bias_gradient.size() == conv.units);
  RUNNEL_ASSERT(input_gradient.empty() || input_gradient.size() == input.size());
  RUNNEL_ASSERT(workspace.size() >= conv2d_workspace(conv));
  const size_t parts = examples * conv.groups;
  if (!input_gradient.empty() && is_direct_for_input_gradient(conv)) {
    direct::input_gradient(conv, examples, weight, output_gradient, input_gradient, workspace);
  } else if (!input_gradient.empty()) {
    std::ranges::fill(input_gradient, 0.0F);
    Unfolded(conv).input_gradient(parts, weight.data(), output_gradient.data(), input_gradient.data(), workspace);
  }
  if (!weight_gradient.empty() && is_direct(conv)) {
    direct::weight_gradient(conv, examples, input, output_gradient, scale, weight_gradient, workspace);
  } else if (!weight_gradient.empty()) {
    Unfolded(conv).weight_gradient(parts, input.data(), output_gradient.data(), scale, weight_gradient.data(),
                                   workspace);
  }
  const size_t positions = conv.window.output_positions();
  if (!bias_gradient.empty()) {
    add_row_sums({output_gradient.data(), positions}, examples * conv.units, positions, scale, conv.units,
                 bias_gradient.data());
  }
}

}  // namespace runnel::tensor
