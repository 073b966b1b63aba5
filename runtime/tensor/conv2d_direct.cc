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
constexpr size_t kTapFloats = 8192;     // weights side by side; sums of their gradient before they are scaled
constexpr size_t kDepthBlock = 256;
constexpr size_t kPositionsTabled = 448;
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

// A strip in memory, filled again and again.
class StripCopy {
 public:
  StripCopy(const PaddedStrip& strip, float* place) : strip_(strip), place_(place) {
    std::fill_n(place + strip.floats(), strip_room(strip) - strip.floats(), 0.0F);
  }
  void fill(const float* image, size_t row) {
    strip_.copy(image, row, row == row_, place_);
    row_ = row;
  }

 private:
  const PaddedStrip& strip_;
  float* place_;
  size_t row_ = SIZE_MAX;
};

// Tables of offsets in a strip, made again only where other elements are asked for than the last time.
class TapTable {
 public:
  explicit TapTable(const PaddedStrip& strip) : strip_(strip) {}
  // REQUIRES: count <= kDepthBlock; the same count with the same begin.
  const uint32_t* from(size_t begin, size_t count) {
    if (begin != begin_) strip_.tap_offsets(begin, count, offsets_);
    begin_ = begin;
    return offsets_;
  }

 private:
  const PaddedStrip& strip_;
  size_t begin_ = SIZE_MAX;
  uint32_t offsets_[kDepthBlock];
};

class PositionTable {
 public:
  explicit PositionTable(const PaddedStrip& strip) : strip_(strip) {}
  // REQUIRES: count <= kPositionsTabled.
  const uint32_t* from(size_t begin, size_t count) {
    if (begin < begin_ || begin + count > end_) {
      strip_.position_offsets(begin, kPositionsTabled, offsets_);
      begin_ = begin;
      end_ = begin + kPositionsTabled;
    }
    return offsets_ + (begin - begin_);
  }

 private:
  const PaddedStrip& strip_;
  size_t begin_ = 0;
  size_t end_ = 0;
  uint32_t offsets_[kPositionsTabled];
};

// Sums of all units at the positions of a strip.
size_t sums_stride(const PaddedStrip& strip) {
  return whole_groups(strip.span_of(strip.rows));
}

// Whether units, rather than positions, stand side by side in the vectors: nothing is computed then for what lies
// between rows, but the weights have to be turned first, and the result.
bool units_in_lanes(const Window2d& window, size_t units) {
  const PaddedStrip strip{window, 1};
  const size_t lanes = whole_groups(units);
  return window.patch_count() * lanes <= kTapFloats && lanes * window.output_width() <= units * strip.row_floats();
}

PaddedStrip product_strip(const Window2d& window, size_t units) {
  const bool turned = units_in_lanes(window, units);
  return strip_of(window, [&](const PaddedStrip& strip) {
    return turned ? strip.rows * window.output_width() * whole_groups(units) : units * sums_stride(strip);
  });
}

size_t product_room(const Window2d& window, size_t units) {
  const PaddedStrip strip = product_strip(window, units);
  if (!units_in_lanes(window, units)) return strip_room(strip) + units * sums_stride(strip);
  return strip_room(strip) + (window.patch_count() + strip.rows * window.output_width()) * whole_groups(units);
}

// One group of a convolution over all examples: result[unit][position] = sum over the patch of weight * image, plus
// bias. step_of(k) is where the weight of the patch's element k stands, row_stride how far a unit's weights are from
// the next one's.
template <typename StepOf>
struct Convolution {
  PaddedStrip strip;
  size_t units;
  const float* weight;
  size_t row_stride;
  StepOf step_of;
  const float* bias;  // or null
  bool rectify;
};

struct Images {
  size_t examples;
  const float* from;
  size_t from_stride;
  float* to;
  size_t to_stride;
};

template <typename StepOf>
void convolve_positions(const Convolution<StepOf>& conv, const Images& images, float* workspace) {
  const PaddedStrip& strip = conv.strip;
  const size_t width = strip.window.output_width();
  const size_t height = strip.window.output_height();
  const size_t patch = strip.window.patch_count();
  const size_t stride = sums_stride(strip);
  float* sums = workspace + strip_room(strip);
  uint32_t weight_steps[kDepthBlock];
  size_t tabled = patch;  // first element of the block that the weights' table is of
  TapTable taps(strip);
  StripCopy copy(strip, workspace);
  for (size_t example = 0; example < images.examples; ++example) {
    for (size_t row = 0; row < height; row += strip.rows) {
      const size_t rows = std::min(strip.rows, height - row);
      copy.fill(images.from + example * images.from_stride, row);
      for (size_t begin = 0; begin < patch; begin += kDepthBlock) {
        const size_t depth = std::min(kDepthBlock, patch - begin);
        for (size_t k = 0; k < depth && tabled != begin; ++k)
          weight_steps[k] = static_cast<uint32_t>(conv.step_of(begin + k));
        tabled = begin;
        add_outer({conv.units, strip.span_of(rows), depth}, {conv.weight, conv.row_stride, 0, nullptr, weight_steps},
                  {workspace, 0, taps.from(begin, depth)}, {sums, stride}, 1.0F,
                  begin == 0 ? Store::kOverwrite : Store::kAdd);
      }
      for (size_t unit = 0; unit < conv.units; ++unit) {
        finish_rows({sums + unit * stride, strip.row_floats()}, rows, width,
                    conv.bias != nullptr ? conv.bias[unit] : 0.0F, conv.rectify,
                    {images.to + example * images.to_stride + (unit * height + row) * width, width});
      }
    }
  }
}

template <typename StepOf>
void convolve_units(const Convolution<StepOf>& conv, const Images& images, float* workspace) {
  const PaddedStrip& strip = conv.strip;
  const size_t width = strip.window.output_width();
  const size_t height = strip.window.output_height();
  const size_t patch = strip.window.patch_count();
  const size_t lanes = whole_groups(conv.units);
  float* turned = workspace + strip_room(strip);  // [patch][lanes]
  float* sums = turned + patch * lanes;           // [position][lanes]
  for (size_t k = 0; k < patch; ++k) {
    const float* from = conv.weight + conv.step_of(k);
    for (size_t unit = 0; unit < conv.units; ++unit) turned[k * lanes + unit] = from[unit * conv.row_stride];
    std::fill_n(turned + k * lanes + conv.units, lanes - conv.units, 0.0F);
  }
  uint32_t turned_steps[kDepthBlock];
  for (size_t k = 0; k < kDepthBlock; ++k) turned_steps[k] = static_cast<uint32_t>(k * lanes);
  TapTable taps(strip);
  PositionTable positions(strip);
  StripCopy copy(strip, workspace);
  for (size_t example = 0; example < images.examples; ++example) {
    for (size_t row = 0; row < height; row += strip.rows) {
      const size_t all = std::min(strip.rows, height - row) * width;
      copy.fill(images.from + example * images.from_stride, row);
      for (size_t begin = 0; begin < patch; begin += kDepthBlock) {
        const size_t depth = std::min(kDepthBlock, patch - begin);
        const uint32_t* image_steps = taps.from(begin, depth);
        for (size_t first = 0; first < all; first += kPositionsTabled) {
          const size_t count = std::min(kPositionsTabled, all - first);
          add_outer({count, lanes, depth}, {workspace, 0, 0, positions.from(first, count), image_steps},
                    {turned + begin * lanes, 0, turned_steps}, {sums + first * lanes, lanes}, 1.0F,
                    begin == 0 ? Store::kOverwrite : Store::kAdd);
        }
      }
      finish_transposed({sums, lanes}, all, conv.units, conv.bias, conv.rectify,
                        {images.to + example * images.to_stride + row * width, width * height});
    }
  }
}

template <typename StepOf>
void convolve(const Convolution<StepOf>& conv, const Images& images, float* workspace) {
  if (units_in_lanes(conv.strip.window, conv.units)) return convolve_units(conv, images, workspace);
  convolve_positions(conv, images, workspace);
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
  TapTable table(strip);
  PositionTable places(strip);
  StripCopy copy(strip, workspace);
  uint32_t turned_steps[kDepthBlock];
  for (size_t k = 0; k < kDepthBlock; ++k) turned_steps[k] = static_cast<uint32_t>(k * lanes);
  for (size_t first = 0; first < patch; first += taps) {
    const size_t tap_count = std::min(taps, patch - first);
    std::fill_n(sums, tap_count * lanes, 0.0F);
    for (size_t example = 0; example < batch.examples; ++example) {
      for (size_t row = 0; row < height; row += strip.rows) {
        const size_t positions = std::min(strip.rows, height - row) * width;
        copy.fill(batch.input + example * batch.input_stride, row);
        transpose({batch.gradient + example * batch.gradient_stride + row * width, height * width}, units, positions,
                  {turned, lanes});
        for (size_t begin = 0; begin < positions; begin += kDepthBlock) {
          const size_t depth = std::min(kDepthBlock, positions - begin);
          const uint32_t* image_steps = places.from(begin, depth);
          for (size_t some = 0; some < tap_count; some += kDepthBlock) {
            const size_t count = std::min(kDepthBlock, tap_count - some);
            add_outer({count, lanes, depth}, {workspace, 0, 0, table.from(first + some, count), image_steps},
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
  TapTable taps(strip);
  StripCopy copy(strip, workspace);
  for (size_t example = 0; example < batch.examples; ++example) {
    for (size_t row = 0; row < height; row += strip.rows) {
      const size_t rows = std::min(strip.rows, height - row);
      copy.fill(batch.input + example * batch.input_stride, row);
      copy_blocks({batch.gradient + example * batch.gradient_stride + row * width, width}, height * width, units, rows,
                  width, {spread, strip.row_floats()}, stride);
      for (size_t first = 0; first < patch; first += kDepthBlock) {
        const size_t count = std::min(kDepthBlock, patch - first);
        add_dots({units, count, strip.span_of(rows)}, {spread, stride}, {workspace, 0}, taps.from(first, count),
                 {to + first, patch}, scale);
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
  const auto step_of = [](size_t k) { return k; };
  for (size_t group = 0; group < conv.groups; ++group) {
    const size_t first_unit = group * units;
    const Convolution<decltype(step_of)> one{product_strip(window, units),
                                             units,
                                             weight.data() + first_unit * patch,
                                             patch,
                                             step_of,
                                             bias.empty() ? nullptr : bias.data() + first_unit,
                                             activation == Activation::kRelu};
    convolve(one,
             {examples, input.data() + group * window.input_count(), conv.window.input_count(),
              output.data() + first_unit * window.output_positions(), conv.units * window.output_positions()},
             workspace.data());
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
  const auto step_of = [kernel, patch](size_t k) { return k / kernel * patch + (kernel - 1 - k % kernel); };
  for (size_t group = 0; group < conv.groups; ++group) {
    const Convolution<decltype(step_of)> one{product_strip(window, channels),
                                             channels,
                                             weight.data() + group * window.channels * patch,
                                             kernel,
                                             step_of,
                                             nullptr,
                                             false};
    convolve(one,
             {examples, output_gradient.data() + group * window.input_count(), conv.groups * window.input_count(),
              input_gradient.data() + group * channels * conv.window.plane_count(), conv.window.input_count()},
             workspace.data());
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
