// The whole model again, in double and without regard to speed: a batch, forward only, as a graph. Finite differences
// of its loss are precise enough to check a gradient computed in float to about six digits. Dropout is left out.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "runtime/plan/model_spec.h"

namespace runnel::train {

class DoubleNetwork {
 public:
  using Values = std::vector<double>;

  DoubleNetwork(const plan::ModelSpec& spec, const plan::ModelLayout& layout) : spec_(spec), layout_(layout) {}

  // [examples][output]. Batch norm takes the batch's statistics, but running ones where it is frozen or `training` is
  // false.
  Values outputs(std::span<const double> parameters, const Values& inputs, size_t examples, bool training = true) {
    parameters_ = parameters;
    examples_ = examples;
    training_ = training;
    std::vector<Values> values{inputs};
    for (size_t index = 0; index < spec_.layers.size(); ++index) {
      const plan::LayerSpec& layer = spec_.layers[index];
      std::vector<const Values*> from;
      std::vector<plan::Shape> shapes;
      for (uint32_t which = 0; which < plan::input_count(layer); ++which) {
        const uint32_t source = plan::source_of(spec_, static_cast<uint32_t>(index), which);
        from.push_back(&values[source]);
        shapes.push_back(source == 0 ? spec_.input : layout_.outputs[source - 1]);
      }
      values.push_back(run(index, from, shapes));
    }
    return values.back();
  }

  // The mean over examples.
  double loss(std::span<const double> parameters, const Values& inputs, const std::vector<float>& targets,
              size_t examples) {
    const Values found = outputs(parameters, inputs, examples);
    const std::vector<double> wanted(targets.begin(), targets.end());
    const size_t channels = spec_.classes;
    const size_t count = found.size() / examples;
    const size_t positions = count / channels;
    double sum = 0.0;
    if (spec_.loss.kind == plan::LossKind::kSoftmaxCrossEntropy) {
      for (size_t example = 0; example < examples; ++example) {
        for (size_t position = 0; position < positions; ++position) {
          const double* logits = found.data() + example * count + position;
          double total = 0.0;
          double mean = 0.0;
          for (size_t c = 0; c < channels; ++c) total += std::exp(logits[c * positions]);
          for (size_t c = 0; c < channels; ++c) mean += logits[c * positions] / static_cast<double>(channels);
          const auto label = static_cast<size_t>(targets[example * positions + position]);
          const double smoothing = static_cast<double>(spec_.loss.label_smoothing);
          sum += (std::log(total) - (1 - smoothing) * logits[label * positions] - smoothing * mean) /
                 static_cast<double>(positions);
        }
      }
      return sum / static_cast<double>(examples);
    }
    const double delta = static_cast<double>(spec_.loss.huber_delta);
    for (size_t index = 0; index < found.size(); ++index) {
      const double x = found[index];
      const double t = spec_.loss.target == plan::TargetKind::kInput ? inputs[index] : wanted[index];
      const double d = std::abs(x - t);
      if (spec_.loss.kind == plan::LossKind::kBinaryCrossEntropy) sum += std::log1p(std::exp(x)) - t * x;
      if (spec_.loss.kind == plan::LossKind::kMse) sum += d * d;
      if (spec_.loss.kind == plan::LossKind::kHuber) sum += d <= delta ? d * d / 2 : delta * (d - delta / 2);
    }
    return sum / static_cast<double>(found.size());
  }

 private:
  // The parameters of one part of a layer, "weight" or "bias_hidden"; null where it has none.
  const double* part(size_t index, std::string_view name) const {
    for (const plan::TensorInfo& tensor : layout_.tensors) {
      const std::string_view full = tensor.name.view();
      if (tensor.layer == index && full.substr(full.rfind('.') + 1) == name) return parameters_.data() + tensor.offset;
    }
    return nullptr;
  }

  Values run(size_t index, const std::vector<const Values*>& from, const std::vector<plan::Shape>& shapes) const {
    const plan::LayerSpec& layer = spec_.layers[index];
    const Values& input = *from[0];
    const plan::Shape& in = shapes[0];
    const plan::Shape& out = layout_.outputs[index];
    switch (layer.kind) {
      case plan::LayerKind::kDense:
      case plan::LayerKind::kConv2d:
        return convolve(index, input, in, out);
      case plan::LayerKind::kMaxPool2d:
      case plan::LayerKind::kAvgPool2d:
        return pool(layer.kernel, layer.stride, layer.kind == plan::LayerKind::kMaxPool2d, input, in, out);
      case plan::LayerKind::kGlobalAvgPool:
      case plan::LayerKind::kGlobalMaxPool:
        return pool({in.height, in.width}, {1, 1}, layer.kind == plan::LayerKind::kGlobalMaxPool, input, in, out);
      case plan::LayerKind::kBatchNorm:
      case plan::LayerKind::kGroupNorm:
      case plan::LayerKind::kLayerNorm:
        return normalise(index, input, in);
      case plan::LayerKind::kEmbedding:
        return embed(index, input, in);
      case plan::LayerKind::kGru:
      case plan::LayerKind::kLstm:
        return recur(index, input, in, out);
      case plan::LayerKind::kAdd: {
        Values sum = input;
        for (size_t which = 1; which < from.size(); ++which) {
          for (size_t i = 0; i < sum.size(); ++i) sum[i] += (*from[which])[i];
        }
        return sum;
      }
      case plan::LayerKind::kConcat: {
        Values joined;
        for (size_t example = 0; example < examples_; ++example) {
          for (size_t which = 0; which < from.size(); ++which) {
            const auto begin = from[which]->begin() + static_cast<ptrdiff_t>(example * shapes[which].count());
            joined.insert(joined.end(), begin, begin + static_cast<ptrdiff_t>(shapes[which].count()));
          }
        }
        return joined;
      }
      default: {
        Values result = input;
        for (double& value : result) value = activate(layer, value);
        return result;
      }
    }
  }

  static double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
  static double activate(const plan::LayerSpec& layer, double x) {
    switch (layer.kind) {
      case plan::LayerKind::kRelu:
        return std::max(x, 0.0);
      case plan::LayerKind::kRelu6:
        return std::clamp(x, 0.0, 6.0);
      case plan::LayerKind::kLeakyRelu:
        return x > 0 ? x : static_cast<double>(layer.value) * x;
      case plan::LayerKind::kTanh:
        return std::tanh(x);
      case plan::LayerKind::kSigmoid:
        return sigmoid(x);
      case plan::LayerKind::kGelu:
        return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
      default:
        return x;  // views, and dropout of nothing
    }
  }

  // A dense layer is a convolution of a 1x1 image.
  Values convolve(size_t index, const Values& input, const plan::Shape& in, const plan::Shape& out) const {
    const plan::LayerSpec& layer = spec_.layers[index];
    const bool dense = layer.kind == plan::LayerKind::kDense;
    const plan::Extent kernel = dense ? plan::Extent{1, 1} : layer.kernel;
    const size_t groups = dense ? 1 : layer.groups;
    const size_t depth = in.channels / groups;
    const double* weight = part(index, "weight");
    const double* bias = part(index, "bias");
    Values output(examples_ * out.count());
    for (size_t example = 0; example < examples_; ++example) {
      const double* image = input.data() + example * in.count();
      for (size_t unit = 0; unit < layer.units; ++unit) {
        const size_t first = unit / (layer.units / groups) * depth;
        for (size_t y = 0; y < out.height; ++y) {
          for (size_t x = 0; x < out.width; ++x) {
            double total = bias == nullptr ? 0.0 : bias[unit];
            for (size_t channel = 0; channel < depth; ++channel) {
              for (size_t j = 0; j < kernel.height; ++j) {
                for (size_t i = 0; i < kernel.width; ++i) {
                  // Of the padded image; what lies outside wraps around to huge numbers.
                  const size_t from_y = y * layer.stride.height + j - layer.padding.height;
                  const size_t from_x = x * layer.stride.width + i - layer.padding.width;
                  if (from_y >= in.height || from_x >= in.width) continue;
                  total += weight[((unit * depth + channel) * kernel.height + j) * kernel.width + i] *
                           image[((first + channel) * in.height + from_y) * in.width + from_x];
                }
              }
            }
            output[example * out.count() + (unit * out.height + y) * out.width + x] = total;
          }
        }
      }
    }
    return output;
  }

  Values pool(plan::Extent kernel, plan::Extent stride, bool largest_only, const Values& input, const plan::Shape& in,
              const plan::Shape& out) const {
    Values output;
    for (size_t plane = 0; plane < examples_ * in.channels; ++plane) {
      const double* image = input.data() + plane * in.height * in.width;
      for (size_t y = 0; y < out.height; ++y) {
        for (size_t x = 0; x < out.width; ++x) {
          double total = 0.0;
          double largest = -HUGE_VAL;
          for (size_t j = 0; j < kernel.height; ++j) {
            for (size_t i = 0; i < kernel.width; ++i) {
              const double value = image[(y * stride.height + j) * in.width + x * stride.width + i];
              total += value;
              largest = std::max(largest, value);
            }
          }
          output.push_back(largest_only ? largest : total / static_cast<double>(size_t{kernel.height} * kernel.width));
        }
      }
    }
    return output;
  }

  Values normalise(size_t index, const Values& input, const plan::Shape& in) const {
    const plan::LayerSpec& layer = spec_.layers[index];
    const size_t positions = size_t{in.height} * in.width;
    const size_t count = in.count();
    const bool batch = layer.kind == plan::LayerKind::kBatchNorm;
    const bool each = layer.kind == plan::LayerKind::kLayerNorm;
    const size_t groups = batch ? in.channels : each ? 1 : layer.groups;
    const double* scale = part(index, "scale");
    const double* shift = part(index, "shift");
    // The values that share statistics have one key.
    const auto key = [&](size_t i) {
      const size_t group = i % count / positions / (in.channels / groups);
      return batch ? group : i / count * groups + group;
    };
    const size_t keys = batch ? groups : groups * examples_;
    Values mean(keys);
    Values variance(keys);
    const double members = static_cast<double>(input.size()) / static_cast<double>(keys);
    for (size_t i = 0; i < input.size(); ++i) mean[key(i)] += input[i] / members;
    for (size_t i = 0; i < input.size(); ++i) variance[key(i)] += std::pow(input[i] - mean[key(i)], 2) / members;
    if (batch && (!training_ || layer.sharing == plan::Sharing::kFrozen)) {
      std::copy_n(part(index, "mean"), groups, mean.begin());
      std::copy_n(part(index, "variance"), groups, variance.begin());
    }
    Values output(input.size());
    for (size_t i = 0; i < input.size(); ++i) {
      const size_t at = each ? i % count : i % count / positions;
      output[i] =
          scale[at] * (input[i] - mean[key(i)]) / std::sqrt(variance[key(i)] + static_cast<double>(layer.value)) +
          shift[at];
    }
    return output;
  }

  Values embed(size_t index, const Values& input, const plan::Shape& in) const {
    const plan::LayerSpec& layer = spec_.layers[index];
    const double* weight = part(index, "weight");
    Values output;
    for (size_t example = 0; example < examples_; ++example) {
      for (size_t unit = 0; unit < layer.units; ++unit) {
        for (size_t step = 0; step < in.width; ++step) {
          const auto symbol = static_cast<size_t>(input[example * in.width + step]);
          output.push_back(weight[symbol * layer.units + unit]);
        }
      }
    }
    return output;
  }

  Values recur(size_t index, const Values& input, const plan::Shape& in, const plan::Shape& out) const {
    const plan::LayerSpec& layer = spec_.layers[index];
    const size_t units = layer.units;
    const bool gru = layer.kind == plan::LayerKind::kGru;
    const size_t rows = units * (gru ? 3 : 4);
    const double* weights[2] = {part(index, "weight_input"), part(index, "weight_hidden")};
    const double* biases[2] = {part(index, "bias_input"), part(index, "bias_hidden")};
    Values output(examples_ * out.count());
    for (size_t example = 0; example < examples_; ++example) {
      Values hidden(units);
      Values cell(units);
      for (size_t step = 0; step < in.width; ++step) {
        Values x(rows);
        Values h(rows);
        for (size_t row = 0; row < rows; ++row) {
          x[row] = biases[0] == nullptr ? 0.0 : biases[0][row];
          h[row] = biases[1] == nullptr ? 0.0 : biases[1][row];
          for (size_t c = 0; c < in.channels; ++c)
            x[row] += weights[0][row * in.channels + c] * input[example * in.count() + c * in.width + step];
          for (size_t u = 0; u < units; ++u) h[row] += weights[1][row * units + u] * hidden[u];
        }
        for (size_t u = 0; u < units; ++u) {
          if (gru) {
            const double reset = sigmoid(x[u] + h[u]);
            const double update = sigmoid(x[units + u] + h[units + u]);
            const double fresh = std::tanh(x[2 * units + u] + reset * h[2 * units + u]);
            hidden[u] = (1 - update) * fresh + update * hidden[u];
          } else {
            const auto gate = [&](size_t which) { return x[which * units + u] + h[which * units + u]; };
            cell[u] = sigmoid(gate(1)) * cell[u] + sigmoid(gate(0)) * std::tanh(gate(2));
            hidden[u] = sigmoid(gate(3)) * std::tanh(cell[u]);
          }
        }
        if (!layer.every_step && step + 1 < in.width) continue;
        for (size_t u = 0; u < units; ++u)
          output[example * out.count() + u * out.width + (layer.every_step ? step : 0)] = hidden[u];
      }
    }
    return output;
  }

  const plan::ModelSpec& spec_;
  const plan::ModelLayout& layout_;
  std::span<const double> parameters_;
  size_t examples_ = 0;
  bool training_ = true;
};

// Cross-entropy of one example.
inline double double_loss(const plan::ModelSpec& spec, const plan::ModelLayout& layout,
                          std::span<const double> parameters, std::span<const float> input, uint32_t label) {
  DoubleNetwork network(spec, layout);
  return network.loss(parameters, {input.begin(), input.end()}, {static_cast<float>(label)}, 1);
}

}  // namespace runnel::train
