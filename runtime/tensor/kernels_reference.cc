#include "runtime/tensor/kernels_reference.h"

#include <algorithm>

namespace runnel::tensor::reference {
namespace {

// Calls visit(output index, input index, tap) for every pair that one window position and one tap of one plane connect;
// taps that fall on the padding are left out. Indices are within the plane; the order is output position, then tap.
template <typename Visit>
void for_each_pair(const Window2d& window, Visit visit) {
  for (size_t output_y = 0; output_y < window.output_height(); ++output_y) {
    for (size_t output_x = 0; output_x < window.output_width(); ++output_x) {
      for (size_t tap_y = 0; tap_y < window.kernel_height; ++tap_y) {
        for (size_t tap_x = 0; tap_x < window.kernel_width; ++tap_x) {
          const size_t padded_y = output_y * window.stride_height + tap_y;
          const size_t padded_x = output_x * window.stride_width + tap_x;
          if (padded_y < window.padding_height || padded_y - window.padding_height >= window.height) continue;
          if (padded_x < window.padding_width || padded_x - window.padding_width >= window.width) continue;
          visit(output_y * window.output_width() + output_x,
                (padded_y - window.padding_height) * window.width + (padded_x - window.padding_width),
                tap_y * window.kernel_width + tap_x);
        }
      }
    }
  }
}

size_t first_of_largest(const Window2d& window, const float* plane, size_t output_y, size_t output_x) {
  const size_t corner = output_y * window.stride_height * window.width + output_x * window.stride_width;
  size_t best = corner;
  for (size_t tap_y = 0; tap_y < window.kernel_height; ++tap_y) {
    for (size_t tap_x = 0; tap_x < window.kernel_width; ++tap_x) {
      const size_t index = corner + tap_y * window.width + tap_x;
      if (plane[index] > plane[best]) best = index;
    }
  }
  return best;
}

float plus(float value, double more) {
  return static_cast<float>(static_cast<double>(value) + more);
}

}  // namespace

void dense_forward(const Dense& dense, size_t examples, std::span<const float> input, std::span<const float> weight,
                   std::span<const float> bias, std::span<float> output) {
  for (size_t example = 0; example < examples; ++example) {
    for (size_t unit = 0; unit < dense.units; ++unit) {
      double total = bias.empty() ? 0.0 : static_cast<double>(bias[unit]);
      for (size_t index = 0; index < dense.inputs; ++index) {
        total += static_cast<double>(weight[unit * dense.inputs + index]) *
                 static_cast<double>(input[example * dense.inputs + index]);
      }
      output[example * dense.units + unit] = static_cast<float>(total);
    }
  }
}

void dense_backward(const Dense& dense, size_t examples, std::span<const float> input, std::span<const float> weight,
                    std::span<const float> output_gradient, std::span<float> weight_gradient,
                    std::span<float> bias_gradient, std::span<float> input_gradient) {
  for (size_t unit = 0; unit < dense.units; ++unit) {
    double bias_total = 0.0;
    for (size_t example = 0; example < examples; ++example) bias_total += output_gradient[example * dense.units + unit];
    if (!bias_gradient.empty()) bias_gradient[unit] = plus(bias_gradient[unit], bias_total);
    for (size_t index = 0; index < dense.inputs; ++index) {
      double total = 0.0;
      for (size_t example = 0; example < examples; ++example) {
        total += static_cast<double>(output_gradient[example * dense.units + unit]) *
                 static_cast<double>(input[example * dense.inputs + index]);
      }
      weight_gradient[unit * dense.inputs + index] = plus(weight_gradient[unit * dense.inputs + index], total);
    }
  }
  if (input_gradient.empty()) return;
  for (size_t example = 0; example < examples; ++example) {
    for (size_t index = 0; index < dense.inputs; ++index) {
      double total = 0.0;
      for (size_t unit = 0; unit < dense.units; ++unit) {
        total += static_cast<double>(output_gradient[example * dense.units + unit]) *
                 static_cast<double>(weight[unit * dense.inputs + index]);
      }
      input_gradient[example * dense.inputs + index] = static_cast<float>(total);
    }
  }
}

void conv2d_forward(const Conv2d& conv, size_t examples, std::span<const float> input, std::span<const float> weight,
                    std::span<const float> bias, std::span<float> output) {
  const Window2d& window = conv.window;
  const size_t positions = window.output_positions();
  const size_t channels = window.channels / conv.groups;
  for (size_t example = 0; example < examples; ++example) {
    for (size_t unit = 0; unit < conv.units; ++unit) {
      const size_t first = unit / (conv.units / conv.groups) * channels;  // channel of the unit's group
      float* result = output.data() + (example * conv.units + unit) * positions;
      std::fill_n(result, positions, bias.empty() ? 0.0F : bias[unit]);
      for (size_t channel = 0; channel < channels; ++channel) {
        const float* plane = input.data() + (example * window.channels + first + channel) * window.plane_count();
        const float* kernel = weight.data() + (unit * channels + channel) * window.kernel_count();
        for_each_pair(window, [&](size_t to, size_t from, size_t tap) {
          result[to] = plus(result[to], static_cast<double>(kernel[tap]) * static_cast<double>(plane[from]));
        });
      }
    }
  }
}

void conv2d_backward(const Conv2d& conv, size_t examples, std::span<const float> input, std::span<const float> weight,
                     std::span<const float> output_gradient, std::span<float> weight_gradient,
                     std::span<float> bias_gradient, std::span<float> input_gradient) {
  const Window2d& window = conv.window;
  const size_t positions = window.output_positions();
  const size_t channels = window.channels / conv.groups;
  std::ranges::fill(input_gradient, 0.0F);
  for (size_t example = 0; example < examples; ++example) {
    for (size_t unit = 0; unit < conv.units; ++unit) {
      const size_t first = unit / (conv.units / conv.groups) * channels;  // channel of the unit's group
      const float* gradient = output_gradient.data() + (example * conv.units + unit) * positions;
      double bias_total = 0.0;
      for (size_t position = 0; position < positions; ++position) bias_total += gradient[position];
      if (!bias_gradient.empty()) bias_gradient[unit] = plus(bias_gradient[unit], bias_total);
      for (size_t channel = 0; channel < channels; ++channel) {
        const size_t plane = (example * window.channels + first + channel) * window.plane_count();
        const size_t kernel = (unit * channels + channel) * window.kernel_count();
        for_each_pair(window, [&](size_t from, size_t to, size_t tap) {
          const double value = gradient[from];
          weight_gradient[kernel + tap] =
              plus(weight_gradient[kernel + tap], value * static_cast<double>(input[plane + to]));
          if (!input_gradient.empty()) {
            input_gradient[plane + to] =
                plus(input_gradient[plane + to], value * static_cast<double>(weight[kernel + tap]));
          }
        });
      }
    }
  }
}

void max_pool2d_forward(const Window2d& window, size_t examples, std::span<const float> input,
                        std::span<float> output) {
  size_t to = 0;
  for (size_t plane = 0; plane < examples * window.channels; ++plane) {
    const float* values = input.data() + plane * window.plane_count();
    for (size_t y = 0; y < window.output_height(); ++y) {
      for (size_t x = 0; x < window.output_width(); ++x) output[to++] = values[first_of_largest(window, values, y, x)];
    }
  }
}

void max_pool2d_backward(const Window2d& window, size_t examples, std::span<const float> input,
                         std::span<const float> output_gradient, std::span<float> input_gradient) {
  std::ranges::fill(input_gradient, 0.0F);
  size_t from = 0;
  for (size_t plane = 0; plane < examples * window.channels; ++plane) {
    const size_t start = plane * window.plane_count();
    for (size_t y = 0; y < window.output_height(); ++y) {
      for (size_t x = 0; x < window.output_width(); ++x) {
        input_gradient[start + first_of_largest(window, input.data() + start, y, x)] += output_gradient[from++];
      }
    }
  }
}

void avg_pool2d_forward(const Window2d& window, size_t examples, std::span<const float> input,
                        std::span<float> output) {
  std::ranges::fill(output, 0.0F);
  for (size_t plane = 0; plane < examples * window.channels; ++plane) {
    const float* values = input.data() + plane * window.plane_count();
    float* result = output.data() + plane * window.output_positions();
    for_each_pair(window, [&](size_t to, size_t from, size_t) {
      result[to] = plus(result[to], static_cast<double>(values[from]) / static_cast<double>(window.kernel_count()));
    });
  }
}

void avg_pool2d_backward(const Window2d& window, size_t examples, std::span<const float> output_gradient,
                         std::span<float> input_gradient) {
  std::ranges::fill(input_gradient, 0.0F);
  for (size_t plane = 0; plane < examples * window.channels; ++plane) {
    const float* gradient = output_gradient.data() + plane * window.output_positions();
    float* result = input_gradient.data() + plane * window.plane_count();
    for_each_pair(window, [&](size_t from, size_t to, size_t) {
      result[to] = plus(result[to], static_cast<double>(gradient[from]) / static_cast<double>(window.kernel_count()));
    });
  }
}

}  // namespace runnel::tensor::reference
