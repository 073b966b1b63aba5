#include "runtime/tensor/conv2d_direct.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/tensor/padded_strip.h"
#include "runtime/tensor/product_kernels.h"
#include "runtime/tensor/row_kernels.h"

namespace runnel::tensor::direct {
namespace {

// Part of what makes results repeat: changing one changes the order of summation.
constexpr size_t kStripFloats = 12288;  // 48 KiB: mostly in the first cache, always in the second
constexpr size_t kTapFloats = 8192;     // sums of the weights' gradient before they are scaled
constexpr size_t kDepthBlock = 256;
constexpr size_t kUnitsWorthTransposing = 8;  // fewer would leave most of a vector idle

size_t whole_groups(size_t count) {
  return (count + kColumnGroup - 1) / kColumnGroup * kColumnGroup;
}

// What one group sees of the input.
Window2d group_window(const Conv2d& conv) {
  Window2d window = conv.window;
  window.channels = static_cast<uint32_t>(window.channels / conv.groups);
  return window;
}

// The convolution of the output's gradient, with the kernel turned around, that gives the input's.
Window2d turned_window(const Conv2d& conv) {
  const Window2d& window = conv.window;
  return {static_cast<uint32_t>(conv.units / conv.groups),
          static_cast<uint32_t>(window.output_height()),
          static_cast<uint32_t>(window.output_width()),
          window.kernel_height,
          window.kernel_width,
          1,
          1,
          window.kernel_height - 1 - window.padding_height,
          window.kernel_width - 1 - window.padding_width};
}

// The largest strips, all about equal, that fit the budget together with what floats_beside(strip) says.
template <typename FloatsBeside>
PaddedStrip strip_of(const Window2d& window, FloatsBeside floats_beside) {
  const size_t height = window.output_height();
  PaddedStrip strip{window, height};
  size_t parts = 1;
  while (strip.rows > 1 && strip.floats() + floats_beside(strip) > kStripFloats) {
    ++parts;
    strip.rows = (height + parts - 1) / parts;
  }
  return strip;
}

// A row of positions is read up to a whole group of columns, so zeros follow the strip.
size_t strip_room(const PaddedStrip& strip) {
  return whole_groups(strip.floats() + kColumnGroup);
}

void copy_strip(const PaddedStrip& strip, const float* image, size_t row, float* to) {
  strip.copy(image, row, to);
  std::fill_n(to + strip.floats(), strip_room(strip) - strip.floats(), 0.0F);
}

// Sums of all units at the positions of a strip.
size_t sums_stride(const PaddedStrip& strip) {
  return whole_groups(strip.span_of(strip.rows));
}

PaddedStrip product_strip(const Window2d& window, size_t units) {
  return strip_of(window, [&](const PaddedStrip& strip) { return units * sums_stride(strip); });
}

size_t product_room(const Window2d& window, size_t units) {
  const PaddedStrip strip = product_strip(window, units);
  return strip_room(strip) + units * sums_stride(strip);
}

// One image, one group: result[unit][position] = sum over the patch of weight * image, plus bias. step_of(k) is where
// the weight of the patch's element k stands, row_stride how far a unit's weights are from the next one's.
template <typename StepOf>
void convolve(const PaddedStrip& strip, size_t units, const float* image, const float* weight, size_t row_stride,
              StepOf step_of, std::span<const float> bias, bool rectify, float* result, float* workspace) {
  const Window2d& window = strip.window;
  const size_t width = window.output_width();
  const size_t height = window.output_height();
  const size_t patch = window.patch_count();
  const size_t stride = sums_stride(strip);
  float* sums = workspace + strip_room(strip);
  uint32_t weight_steps[kDepthBlock];
  uint32_t image_steps[kDepthBlock];
  size_t tabled = patch;  // first element of the block that the tables are of
  for (size_t row = 0; row < height; row += strip.rows) {
    const size_t rows = std::min(strip.rows, height - row);
    copy_strip(strip, image, row, workspace);
    for (size_t begin = 0; begin < patch; begin += kDepthBlock) {
      const size_t depth = std::min(kDepthBlock, patch - begin);
      for (size_t k = 0; k < depth && tabled != begin; ++k) {
        weight_steps[k] = static_cast<uint32_t>(step_of(begin + k));
        image_steps[k] = static_cast<uint32_t>(strip.tap_offset(begin + k));
      }
      tabled = begin;
      add_outer({units, strip.span_of(rows), depth}, {weight, row_stride, 0, nullptr, weight_steps},
                {workspace, 0, image_steps}, {sums, stride}, 1.0F, begin == 0 ? Store::kOverwrite : Store::kAdd);
    }
    for (size_t unit = 0; unit < units; ++unit) {
      finish_rows({sums + unit * stride, strip.row_floats()}, rows, width, bias.empty() ? 0.0F : bias[unit], rectify,
                  {result + unit * width * height + row * width, width});
    }
  }
}

// The weights' gradient of one group, whose first output plane of the first example is `gradient`: units across the
// vector, taps and positions as the rows and the depth of a product. Its sums over all examples are scaled at the end.
struct TransposedSizes {
  PaddedStrip strip;
  size_t lanes;  // units, rounded up
  size_t taps;   // at a time
};

TransposedSizes transposed_sizes(const Conv2d& conv) {
  const Window2d window = group_window(conv);
  const size_t lanes = whole_groups(conv.units / conv.groups);
  const size_t taps = std::min(window.patch_count(), std::max<size_t>(kTapFloats / lanes, 1));
  return {strip_of(window, [&](const PaddedStrip& strip) { return strip.rows * window.output_width() * lanes; }), lanes,
          taps};
}

size_t transposed_room(const Conv2d& conv) {
  const TransposedSizes sizes = transposed_sizes(conv);
  return strip_room(sizes.strip) + sizes.strip.rows * sizes.strip.window.output_width() * sizes.lanes +
         sizes.taps * sizes.lanes;
}

struct Batch {
  size_t examples;
  const float* input;
  size_t input_stride;
  const float* gradient;
  size_t gradient_stride;
};

void transposed_gradient(const Conv2d& conv, const Batch& batch, float scale, float* to, float* workspace) {
  const auto [strip, lanes, taps] = transposed_sizes(conv);
  const Window2d& window = strip.window;
  const size_t units = conv.units / conv.groups;
  const size_t width = window.output_width();
  const size_t height = window.output_height();
  const size_t patch = window.patch_count();
  float* turned = workspace + strip_room(strip);  // [position][lanes]
  float* sums = turned + strip.rows * width * lanes;
  std::fill_n(turned, strip.rows * width * lanes, 0.0F);
  uint32_t rows_at[kDepthBlock];
  uint32_t image_steps[kDepthBlock];
  uint32_t turned_steps[kDepthBlock];
  for (size_t k = 0; k < kDepthBlock; ++k) turned_steps[k] = static_cast<uint32_t>(k * lanes);
  for (size_t first = 0; first < patch; first += taps) {
    const size_t tap_count = std::min(taps, patch - first);
    std::fill_n(sums, tap_count * lanes, 0.0F);
    for (size_t example = 0; example < batch.examples; ++example) {
      for (size_t row = 0; row < height; row += strip.rows) {
        const size_t positions = std::min(strip.rows, height - row) * width;
        copy_strip(strip, batch.input + example * batch.input_stride, row, workspace);
        transpose({batch.gradient + example * batch.gradient_stride + row * width, height * width}, units, positions,
                  {turned, lanes});
        for (size_t begin = 0; begin < positions; begin += kDepthBlock) {
          const size_t depth = std::min(kDepthBlock, positions - begin);
          for (size_t k = 0; k < depth; ++k) {
            image_steps[k] = static_cast<uint32_t>((begin + k) / width * strip.row_floats() + (begin + k) % width);
          }
          for (size_t some = 0; some < tap_count; some += kDepthBlock) {
            const size_t count = std::min(kDepthBlock, tap_count - some);
            for (size_t tap = 0; tap < count; ++tap)
              rows_at[tap] = static_cast<uint32_t>(strip.tap_offset(first + some + tap));
            add_outer({count, lanes, depth}, {workspace, 0, 0, rows_at, image_steps},
                      {turned + begin * lanes, 0, turned_steps}, {sums + some * lanes, lanes}, 1.0F, Store::kAdd);
          }
        }
      }
    }
    for (size_t unit = 0; unit < units; ++unit) {
      float* row = to + unit * patch + first;
      for (size_t tap = 0; tap < tap_count; ++tap) row[tap] += scale * sums[tap * lanes + unit];
    }
  }
}

// Few units: a dot for each weight, along the rows of the strip, with the gradient's rows as far apart as the strip's.
PaddedStrip dotted_strip(const Conv2d& conv) {
  const size_t units = conv.units / conv.groups;
  return strip_of(group_window(conv), [&](const PaddedStrip& strip) { return units * sums_stride(strip); });
}

size_t dotted_room(const Conv2d& conv) {
  const PaddedStrip strip = dotted_strip(conv);
  return strip_room(strip) + conv.units / conv.groups * sums_stride(strip);
}

void dotted_gradient(const Conv2d& conv, const Batch& batch, float scale, float* to, float* workspace) {
  const PaddedStrip strip = dotted_strip(conv);
  const Window2d& window = strip.window;
  const size_t units = conv.units / conv.groups;
  const size_t width = window.output_width();
  const size_t height = window.output_height();
  const size_t patch = window.patch_count();
  const size_t stride = sums_stride(strip);
  float* spread = workspace + strip_room(strip);
  std::fill_n(spread, units * stride, 0.0F);
  uint32_t taps[kDepthBlock];
  for (size_t example = 0; example < batch.examples; ++example) {
    for (size_t row = 0; row < height; row += strip.rows) {
      const size_t rows = std::min(strip.rows, height - row);
      copy_strip(strip, batch.input + example * batch.input_stride, row, workspace);
      for (size_t unit = 0; unit < units; ++unit) {
        copy_rows({batch.gradient + example * batch.gradient_stride + (unit * height + row) * width, width}, rows,
                  width, {spread + unit * stride, strip.row_floats()});
      }
      for (size_t first = 0; first < patch; first += kDepthBlock) {
        const size_t count = std::min(kDepthBlock, patch - first);
        for (size_t tap = 0; tap < count; ++tap) taps[tap] = static_cast<uint32_t>(strip.tap_offset(first + tap));
        add_dots({units, count, strip.span_of(rows)}, {spread, stride}, {workspace, 0}, taps, {to + first, patch},
                 scale);
      }
    }
  }
}

}  // namespace

bool pays(const Conv2d& conv) {
  const PaddedStrip strip{conv.window, 1};
  return strip.row_floats() <= 2 * conv.window.output_width();
}

bool pays_for_input_gradient(const Conv2d& conv) {
  if (conv.window.stride_height != 1 || conv.window.stride_width != 1) return false;
  return pays({turned_window(conv), 1, 1});
}

size_t forward_workspace(const Conv2d& conv) {
  return product_room(group_window(conv), conv.units / conv.groups);
}

size_t input_gradient_workspace(const Conv2d& conv) {
  return product_room(turned_window(conv), conv.window.channels / conv.groups);
}

size_t weight_gradient_workspace(const Conv2d& conv) {
  return conv.units / conv.groups < kUnitsWorthTransposing ? dotted_room(conv) : transposed_room(conv);
}

void forward(const Conv2d& conv, size_t examples, std::span<const float> input, std::span<const float> weight,
             std::span<const float> bias, Activation activation, std::span<float> output, std::span<float> workspace) {
  RUNNEL_ASSERT(workspace.size() >= forward_workspace(conv));
  const Window2d window = group_window(conv);
  const size_t units = conv.units / conv.groups;
  const size_t patch = window.patch_count();
  const PaddedStrip strip = product_strip(window, units);
  for (size_t part = 0; part < examples * conv.groups; ++part) {
    const size_t first_unit = part % conv.groups * units;
    convolve(
        strip, units, input.data() + part * window.input_count(), weight.data() + first_unit * patch, patch,
        [](size_t k) { return k; }, bias.empty() ? bias : bias.subspan(first_unit, units),
        activation == Activation::kRelu, output.data() + part * units * window.output_positions(), workspace.data());
  }
}

void input_gradient(const Conv2d& conv, size_t examples, std::span<const float> weight,
                    std::span<const float> output_gradient, std::span<float> input_gradient,
                    std::span<float> workspace) {
  RUNNEL_ASSERT(workspace.size() >= input_gradient_workspace(conv));
  const Window2d window = turned_window(conv);
  const size_t channels = conv.window.channels / conv.groups;
  const size_t kernel = window.kernel_count();
  const size_t patch = channels * kernel;
  const PaddedStrip strip = product_strip(window, channels);
  for (size_t part = 0; part < examples * conv.groups; ++part) {
    convolve(
        strip, channels, output_gradient.data() + part * window.input_count(),
        weight.data() + part % conv.groups * window.channels * patch, kernel,
        [&](size_t k) { return k / kernel * patch + (kernel - 1 - k % kernel); }, {}, false,
        input_gradient.data() + part * channels * conv.window.plane_count(), workspace.data());
  }
}

void weight_gradient(const Conv2d& conv, size_t examples, std::span<const float> input,
                     std::span<const float> output_gradient, float scale, std::span<float> weight_gradient,
                     std::span<float> workspace) {
  RUNNEL_ASSERT(workspace.size() >= weight_gradient_workspace(conv));
  const Window2d window = group_window(conv);
  const size_t units = conv.units / conv.groups;
  for (size_t group = 0; group < conv.groups; ++group) {
    const Batch batch{examples, input.data() + group * window.input_count(), conv.window.input_count(),
                      output_gradient.data() + group * units * window.output_positions(),
                      conv.units * window.output_positions()};
    float* to = weight_gradient.data() + group * units * window.patch_count();
    if (units < kUnitsWorthTransposing) {
      dotted_gradient(conv, batch, scale, to, workspace.data());
    } else {
      transposed_gradient(conv, batch, scale, to, workspace.data());
    }
  }
}

}  // namespace runnel::tensor::direct
