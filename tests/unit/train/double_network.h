// The whole model again, in double and without regard to speed: one example, forward only. Finite differences of its
// loss are precise enough to check a gradient computed in float to about seven digits.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "runtime/plan/model_spec.h"

namespace runnel::train {

inline std::vector<double> double_dense(const plan::LayerSpec& layer, const std::vector<double>& input,
                                        const double* weight) {
  std::vector<double> output(weight + layer.units * input.size(), weight + layer.units * (input.size() + 1));
  for (size_t unit = 0; unit < output.size(); ++unit) {
    for (size_t index = 0; index < input.size(); ++index)
      output[unit] += weight[unit * input.size() + index] * input[index];
  }
  return output;
}

inline std::vector<double> double_conv(const plan::LayerSpec& layer, const plan::Shape& in, const plan::Shape& out,
                                       const std::vector<double>& input, const double* weight) {
  const double* bias = weight + size_t{layer.units} * in.channels * layer.kernel.height * layer.kernel.width;
  std::vector<double> output(out.count());
  for (size_t unit = 0; unit < layer.units; ++unit) {
    for (size_t y = 0; y < out.height; ++y) {
      for (size_t x = 0; x < out.width; ++x) {
        double total = bias[unit];
        for (size_t channel = 0; channel < in.channels; ++channel) {
          for (size_t j = 0; j < layer.kernel.height; ++j) {
            for (size_t i = 0; i < layer.kernel.width; ++i) {
              const size_t from_y = y * layer.stride.height + j;  // in the padded image
              const size_t from_x = x * layer.stride.width + i;
              if (from_y < layer.padding.height || from_y >= layer.padding.height + in.height) continue;
              if (from_x < layer.padding.width || from_x >= layer.padding.width + in.width) continue;
              total += weight[((unit * in.channels + channel) * layer.kernel.height + j) * layer.kernel.width + i] *
                       input[(channel * in.height + from_y - layer.padding.height) * in.width + from_x -
                             layer.padding.width];
            }
          }
        }
        output[(unit * out.height + y) * out.width + x] = total;
      }
    }
  }
  return output;
}

inline std::vector<double> double_pool(const plan::LayerSpec& layer, const plan::Shape& in, const plan::Shape& out,
                                       const std::vector<double>& input) {
  std::vector<double> output;
  for (size_t channel = 0; channel < out.channels; ++channel) {
    for (size_t y = 0; y < out.height; ++y) {
      for (size_t x = 0; x < out.width; ++x) {
        double total = 0.0;
        double largest = -HUGE_VAL;
        for (size_t j = 0; j < layer.kernel.height; ++j) {
          for (size_t i = 0; i < layer.kernel.width; ++i) {
            const double value =
                input[(channel * in.height + y * layer.stride.height + j) * in.width + x * layer.stride.width + i];
            total += value;
            largest = std::max(largest, value);
          }
        }
        output.push_back(
            layer.kind == plan::LayerKind::kMaxPool2d ? largest : total / (layer.kernel.height * layer.kernel.width));
      }
    }
  }
  return output;
}

// Cross-entropy of one example.
inline double double_loss(const plan::ModelSpec& spec, const plan::ModelLayout& layout,
                          std::span<const double> parameters, std::span<const float> input, uint32_t label) {
  std::vector<double> values(input.begin(), input.end());
  plan::Shape shape = spec.input;
  const double* weight =
      parameters.data();  // of the next layer with weights: they lie in layer order, weight then bias
  for (size_t index = 0; index < spec.layers.size(); ++index) {
    const plan::LayerSpec& layer = spec.layers[index];
    const plan::Shape& out = layout.outputs[index];
    switch (layer.kind) {
      case plan::LayerKind::kDense:
        values = double_dense(layer, values, weight);
        weight += layer.units * (shape.count() + 1);
        break;
      case plan::LayerKind::kConv2d:
        values = double_conv(layer, shape, out, values, weight);
        weight += layer.units * (size_t{shape.channels} * layer.kernel.height * layer.kernel.width + 1);
        break;
      case plan::LayerKind::kMaxPool2d:
      case plan::LayerKind::kAvgPool2d:
        values = double_pool(layer, shape, out, values);
        break;
      case plan::LayerKind::kRelu:
        for (double& value : values) value = std::max(value, 0.0);
        break;
      default:
        break;
    }
    shape = out;
  }
  const double largest = *std::max_element(values.begin(), values.end());
  double total = 0.0;
  for (const double value : values) total += std::exp(value - largest);
  return std::log(total) + largest - values[label];
}

}  // namespace runnel::train
