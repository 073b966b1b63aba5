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

// What one group sees: its part of the channels.
Window2d group_window(const Conv2d& conv) {
  Window2d window = conv.window;
  window.channels = static_cast<uint32_t>(window.channels / conv.groups);
  return window;
}

// An image is unfolded in tiles of whole output rows.
size_t rows_per_tile(const Window2d& window) {
  const size_t floats_per_row = window.patch_count() * window.output_width();
  return std::clamp<size_t>(kTileFloats / floats_per_row, 1, window.output_height());
}

size_t tile_floats(const Window2d& window) {
  const size_t floats = window.patch_count() * window.output_width() * rows_per_tile(window);
  return (floats + 15) / 16 * 16;  // the product's panels follow on a cache line
}

void check_sizes(const Conv2d& conv, size_t examples, size_t input, size_t weight, size_t output) {
  RUNNEL_ASSERT(conv.groups >= 1 && conv.units % conv.groups == 0 && conv.window.channels % conv.groups == 0);
  RUNNEL_ASSERT(input == examples * conv.window.input_count());
  RUNNEL_ASSERT(weight == conv.units * conv.window.patch_count() / conv.groups);
  RUNNEL_ASSERT(output == examples * conv.units * conv.window.output_positions());
}

// Calls visit(example and group counted together, tile's first output row, its last + 1, its positions).
template <typename Visit>
void for_each_tile(const Window2d& window, size_t parts, Visit visit) {
  const size_t rows = rows_per_tile(window);
  for (size_t part = 0; part < parts; ++part) {
    for (size_t row = 0; row < window.output_height(); row += rows) {
      const size_t row_end = std::min(row + rows, window.output_height());
      visit(part, row, row_end, (row_end - row) * window.output_width());
    }
  }
}

}  // namespace

size_t conv2d_workspace(const Conv2d& conv) {
  const Window2d window = group_window(conv);
  const size_t units = conv.units / conv.groups;
  const size_t patch = window.patch_count();
  const size_t positions = rows_per_tile(window) * window.output_width();
  return tile_floats(window) +
         std::max({product_workspace({units, positions, patch}), product_workspace({units, patch, positions}),
                   product_workspace({patch, positions, units})});
}

void conv2d_forward(const Conv2d& conv, size_t examples, std::span<const float> input, std::span<const float> weight,
                    std::span<const float> bias, Activation activation, std::span<float> output,
                    std::span<float> workspace) {
  check_sizes(conv, examples, input.size(), weight.size(), output.size());
  RUNNEL_ASSERT(workspace.size() >= conv2d_workspace(conv) && (bias.empty() || bias.size() == conv.units));
  const Window2d window = group_window(conv);
  const size_t units = conv.units / conv.groups;
  const size_t patch = window.patch_count();
  const size_t positions = window.output_positions();
  const std::span<float> panels = workspace.subspan(tile_floats(window));
  for (size_t plane = 0; plane < examples * conv.units; ++plane) {
    std::fill_n(output.data() + plane * positions, positions, bias.empty() ? 0.0F : bias[plane % conv.units]);
  }
  for_each_tile(window, examples * conv.groups, [&](size_t part, size_t row, size_t row_end, size_t tile) {
    const std::span<float> columns = workspace.first(patch * tile);
    unfold(window, input.subspan(part * window.input_count(), window.input_count()), row, row_end, columns);
    add_product({units, tile, patch}, {weight.data() + part % conv.groups * units * patch, patch},
                {columns.data(), tile},
                {output.data() + part * units * positions + row * window.output_width(), positions}, panels);
  });
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
  const Window2d window = group_window(conv);
  const size_t units = conv.units / conv.groups;
  const size_t patch = window.patch_count();
  const size_t positions = window.output_positions();
  const std::span<float> panels = workspace.subspan(tile_floats(window));
  const auto gradient_of = [&](size_t part, size_t row) {
    return ConstMatrix{output_gradient.data() + part * units * positions + row * window.output_width(), positions};
  };
  std::ranges::fill(input_gradient, 0.0F);
  if (!input_gradient.empty()) {
    for_each_tile(window, examples * conv.groups, [&](size_t part, size_t row, size_t row_end, size_t tile) {
      const std::span<float> columns = workspace.first(patch * tile);
      std::ranges::fill(columns, 0.0F);
      add_product_a_transposed({patch, tile, units}, {weight.data() + part % conv.groups * units * patch, patch},
                               gradient_of(part, row), {columns.data(), tile}, panels);
      fold_add(window, columns, row, row_end,
               input_gradient.subspan(part * window.input_count(), window.input_count()));
    });
  }
  if (!weight_gradient.empty()) {
    for_each_tile(window, examples * conv.groups, [&](size_t part, size_t row, size_t row_end, size_t tile) {
      // The patches are unfolded a second time: keeping them from the forward pass would cost kernel_count times the
      // input.
      const std::span<float> columns = workspace.first(patch * tile);
      unfold(window, input.subspan(part * window.input_count(), window.input_count()), row, row_end, columns);
      add_product_b_transposed({units, patch, tile}, gradient_of(part, row), {columns.data(), tile},
                               {weight_gradient.data() + part % conv.groups * units * patch, patch}, panels, scale);
    });
  }
  for (size_t plane = 0; !bias_gradient.empty() && plane < examples * conv.units; ++plane) {
    bias_gradient[plane % conv.units] += scale * sum(output_gradient.subspan(plane * positions, positions));
  }
}

}  // namespace runnel::tensor
