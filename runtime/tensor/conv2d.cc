#include "runtime/tensor/conv2d.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/tensor/product.h"
#include "runtime/tensor/reduce.h"
#include "runtime/tensor/relu.h"
#include "runtime/tensor/unfold.h"

namespace runnel::tensor {
namespace {

constexpr size_t kTileFloats = 32768;  // 128 KiB: with the product's panels, about the L2 cache of a small processor

// An image is unfolded in tiles of whole output rows.
size_t rows_per_tile(const Window2d& window) {
  const size_t floats_per_row = window.patch_count() * window.output_width();
  return std::clamp<size_t>(kTileFloats / floats_per_row, 1, window.output_height());
}

size_t tile_floats(const Window2d& window) {
  const size_t floats = window.patch_count() * window.output_width() * rows_per_tile(window);
  return (floats + 15) / 16 * 16;  // the product's panels follow on a cache line
}

void check_sizes(const Conv2d& conv, size_t examples, std::span<const float> input, std::span<const float> weight,
                 std::span<const float> bias, std::span<const float> output) {
  RUNNEL_ASSERT(input.size() == examples * conv.window.input_count());
  RUNNEL_ASSERT(weight.size() == conv.units * conv.window.patch_count() && bias.size() == conv.units);
  RUNNEL_ASSERT(output.size() == examples * conv.units * conv.window.output_positions());
}

}  // namespace

size_t conv2d_workspace(const Conv2d& conv) {
  const size_t patch = conv.window.patch_count();
  const size_t positions = rows_per_tile(conv.window) * conv.window.output_width();
  return tile_floats(conv.window) +
         std::max({product_workspace({conv.units, positions, patch}), product_workspace({conv.units, patch, positions}),
                   product_workspace({patch, positions, conv.units})});
}

void conv2d_forward(const Conv2d& conv, size_t examples, std::span<const float> input, std::span<const float> weight,
                    std::span<const float> bias, Activation activation, std::span<float> output,
                    std::span<float> workspace) {
  check_sizes(conv, examples, input, weight, bias, output);
  RUNNEL_ASSERT(workspace.size() >= conv2d_workspace(conv));
  const Window2d& window = conv.window;
  const size_t patch = window.patch_count();
  const size_t positions = window.output_positions();
  const std::span<float> panels = workspace.subspan(tile_floats(window));
  for (size_t example = 0; example < examples; ++example) {
    const auto image = input.subspan(example * window.input_count(), window.input_count());
    const auto result = output.subspan(example * conv.units * positions, conv.units * positions);
    for (size_t unit = 0; unit < conv.units; ++unit)
      std::fill_n(result.data() + unit * positions, positions, bias[unit]);
    for (size_t row = 0; row < window.output_height(); row += rows_per_tile(window)) {
      const size_t row_end = std::min(row + rows_per_tile(window), window.output_height());
      const size_t tile = (row_end - row) * window.output_width();
      const std::span<float> columns = workspace.first(patch * tile);
      unfold(window, image, row, row_end, columns);
      add_product({conv.units, tile, patch}, {weight.data(), patch}, {columns.data(), tile},
                  {result.data() + row * window.output_width(), positions}, panels);
    }
    if (activation == Activation::kRelu) relu_forward(result);
  }
}

void conv2d_backward(const Conv2d& conv, size_t examples, std::span<const float> input, std::span<const float> weight,
                     std::span<const float> output_gradient, std::span<float> weight_gradient,
                     std::span<float> bias_gradient, std::span<float> input_gradient, std::span<float> workspace) {
  check_sizes(conv, examples, input, weight, bias_gradient, output_gradient);
  RUNNEL_ASSERT(weight_gradient.size() == weight.size() && workspace.size() >= conv2d_workspace(conv));
  RUNNEL_ASSERT(input_gradient.empty() || input_gradient.size() == input.size());
  const Window2d& window = conv.window;
  const size_t patch = window.patch_count();
  const size_t positions = window.output_positions();
  const std::span<float> panels = workspace.subspan(tile_floats(window));
  std::ranges::fill(input_gradient, 0.0F);
  for (size_t example = 0; example < examples; ++example) {
    const auto image = input.subspan(example * window.input_count(), window.input_count());
    const auto gradient = output_gradient.subspan(example * conv.units * positions, conv.units * positions);
    for (size_t unit = 0; unit < conv.units; ++unit) {
      bias_gradient[unit] += sum(gradient.subspan(unit * positions, positions));
    }
    for (size_t row = 0; row < window.output_height(); row += rows_per_tile(window)) {
      const size_t row_end = std::min(row + rows_per_tile(window), window.output_height());
      const size_t tile = (row_end - row) * window.output_width();
      const ConstMatrix gradient_tile{gradient.data() + row * window.output_width(), positions};
      const std::span<float> columns = workspace.first(patch * tile);
      // The patches are unfolded a second time: keeping them from the forward pass would cost kernel_count times the
      // input.
      unfold(window, image, row, row_end, columns);
      add_product_b_transposed({conv.units, patch, tile}, gradient_tile, {columns.data(), tile},
                               {weight_gradient.data(), patch}, panels);
      if (input_gradient.empty()) continue;
      std::ranges::fill(columns, 0.0F);
      add_product_a_transposed({patch, tile, conv.units}, {weight.data(), patch}, gradient_tile, {columns.data(), tile},
                               panels);
      fold_add(window, columns, row, row_end,
               input_gradient.subspan(example * window.input_count(), window.input_count()));
    }
  }
}

}  // namespace runnel::tensor
