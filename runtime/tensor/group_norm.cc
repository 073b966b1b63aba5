#include "runtime/tensor/group_norm.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/error.h"
#include "runtime/tensor/lanes.h"

namespace runnel::tensor {
namespace {

struct Statistics {
  float mean = 0.0F;
  float inverse = 0.0F;  // 1 / sqrt(variance + epsilon)
};

Statistics statistics_of(std::span<const float> values, float epsilon) {
  const auto count = static_cast<float>(values.size());
  const float* x = values.data();
  LaneSum sum;
  sum.add(values.size(), [x](size_t index) { return x[index]; });
  const float mean = sum.total() / count;
  LaneSum squares;
  squares.add(values.size(), [x, mean](size_t index) {
    const float d = x[index] - mean;
    return d * d;
  });
  return {mean, 1.0F / std::sqrt(squares.total() / count + epsilon)};
}

// The sums over `count` values of the output gradient, and of it times the input's distance from its mean.
struct GradientSums {
  float plain = 0.0F;
  float product = 0.0F;
};

GradientSums gradient_sums(size_t count, const float* x, const float* dy, float mean) {
  LaneSum plain;
  LaneSum product;
  plain.add(count, [dy](size_t index) { return dy[index]; });
  product.add(count, [x, dy, mean](size_t index) { return dy[index] * (x[index] - mean); });
  return {plain.total(), product.total()};
}

void check_weights(std::span<const float> scale, std::span<const float> scale_gradient,
                   std::span<const float> shift_gradient, size_t count) {
  RUNNEL_ASSERT(scale.size() == count && scale_gradient.size() == shift_gradient.size());
  RUNNEL_ASSERT(scale_gradient.empty() || scale_gradient.size() == count);
}

}  // namespace

size_t group_norm_saved(const GroupNorm& norm, size_t examples) {
  return 2 * norm.groups * examples;
}

void group_norm_forward(const GroupNorm& norm, size_t examples, std::span<const float> input,
                        std::span<const float> scale, std::span<const float> shift, std::span<float> output,
                        std::span<float> saved) {
  const auto [channels, groups, positions, epsilon] = norm;
  const size_t group_channels = channels / groups;
  const size_t group_values = group_channels * positions;
  RUNNEL_ASSERT(group_values > 0 && group_channels * groups == channels);
  RUNNEL_ASSERT(input.size() == examples * channels * positions && output.size() == input.size());
  RUNNEL_ASSERT(scale.size() == channels && shift.size() == channels &&
                saved.size() >= group_norm_saved(norm, examples));
  for (size_t index = 0; index < examples * groups; ++index) {
    const Statistics statistics = statistics_of(input.subspan(index * group_values, group_values), epsilon);
    saved[2 * index] = statistics.mean;
    saved[2 * index + 1] = statistics.inverse;
    for (size_t channel = 0; channel < group_channels; ++channel) {
      const size_t weight = (index % groups) * group_channels + channel;
      const size_t begin = index * group_values + channel * positions;
      map(input.subspan(begin, positions), output.subspan(begin, positions),
          [mean = statistics.mean, a = scale[weight] * statistics.inverse, b = shift[weight]](float x) {
            return (x - mean) * a + b;
          });
    }
  }
}

void group_norm_backward(const GroupNorm& norm, size_t examples, std::span<const float> input,
                         std::span<const float> scale, std::span<const float> saved,
                         std::span<const float> output_gradient, float weight_scale, std::span<float> scale_gradient,
                         std::span<float> shift_gradient, std::span<float> input_gradient) {
  const auto [channels, groups, positions, epsilon] = norm;
  const size_t group_channels = channels / groups;
  const size_t group_values = group_channels * positions;
  RUNNEL_ASSERT(group_values > 0 && group_channels * groups == channels);
  RUNNEL_ASSERT(input.size() == examples * channels * positions && output_gradient.size() == input.size());
  RUNNEL_ASSERT(saved.size() >= group_norm_saved(norm, examples));
  RUNNEL_ASSERT(input_gradient.empty() || input_gradient.size() == input.size());
  check_weights(scale, scale_gradient, shift_gradient, channels);
  const float share = 1.0F / static_cast<float>(group_values);
  const auto add_weights = [&](size_t channel, const GradientSums& part, float inverse) {
    scale_gradient[channel] += weight_scale * (part.product * inverse);
    shift_gradient[channel] += weight_scale * part.plain;
  };
  // The weights' gradients come along, unless that would change weights that are still needed.
  const bool at_once = !input_gradient.empty() && !scale_gradient.empty() && scale_gradient.data() != scale.data();
  for (size_t index = 0; !input_gradient.empty() && index < examples * groups; ++index) {
    const float mean = saved[2 * index];
    const float inverse = saved[2 * index + 1];
    GradientSums total;
    for (size_t channel = 0; channel < group_channels; ++channel) {
      const float weight = scale[(index % groups) * group_channels + channel];
      const size_t begin = index * group_values + channel * positions;
      const GradientSums part = gradient_sums(positions, input.data() + begin, output_gradient.data() + begin, mean);
      total.plain += weight * part.plain;
      total.product += weight * part.product;
      if (at_once) add_weights((index % groups) * group_channels + channel, part, inverse);
    }
    // dx = (scale dy - mean of (scale dy) - xhat * mean of (scale dy xhat)) / deviation.
    const float level = total.plain * share;
    const float slope = total.product * inverse * inverse * share;
    for (size_t channel = 0; channel < group_channels; ++channel) {
      const float weight = scale[(index % groups) * group_channels + channel];
      const size_t begin = index * group_values + channel * positions;
      map(input.subspan(begin, positions), output_gradient.subspan(begin, positions),
          input_gradient.subspan(begin, positions), [mean, inverse, level, slope, weight](float x, float dy) {
            return inverse * (weight * dy - level - (x - mean) * slope);
          });
    }
  }
  for (size_t channel = 0; !at_once && channel < scale_gradient.size(); ++channel) {
    for (size_t example = 0; example < examples; ++example) {
      const size_t group = example * groups + channel / group_channels;
      const size_t begin = (example * channels + channel) * positions;
      const GradientSums part =
          gradient_sums(positions, input.data() + begin, output_gradient.data() + begin, saved[2 * group]);
      add_weights(channel, part, saved[2 * group + 1]);
    }
  }
}

size_t layer_norm_saved(const LayerNorm&, size_t examples) {
  return 2 * examples;
}

void layer_norm_forward(const LayerNorm& norm, size_t examples, std::span<const float> input,
                        std::span<const float> scale, std::span<const float> shift, std::span<float> output,
                        std::span<float> saved) {
  RUNNEL_ASSERT(norm.count > 0 && input.size() == examples * norm.count && output.size() == input.size());
  RUNNEL_ASSERT(scale.size() == norm.count && shift.size() == norm.count &&
                saved.size() >= layer_norm_saved(norm, examples));
  for (size_t example = 0; example < examples; ++example) {
    const std::span<const float> values = input.subspan(example * norm.count, norm.count);
    const Statistics statistics = statistics_of(values, norm.epsilon);
    saved[2 * example] = statistics.mean;
    saved[2 * example + 1] = statistics.inverse;
    generate(output.subspan(example * norm.count, norm.count),
             [x = values.data(), a = scale.data(), b = shift.data(), statistics](size_t index) {
               return (x[index] - statistics.mean) * statistics.inverse * a[index] + b[index];
             });
  }
}

void layer_norm_backward(const LayerNorm& norm, size_t examples, std::span<const float> input,
                         std::span<const float> scale, std::span<const float> saved,
                         std::span<const float> output_gradient, float weight_scale, std::span<float> scale_gradient,
                         std::span<float> shift_gradient, std::span<float> input_gradient) {
  RUNNEL_ASSERT(norm.count > 0 && input.size() == examples * norm.count && output_gradient.size() == input.size());
  RUNNEL_ASSERT(saved.size() >= layer_norm_saved(norm, examples));
  RUNNEL_ASSERT(input_gradient.empty() || input_gradient.size() == input.size());
  check_weights(scale, scale_gradient, shift_gradient, norm.count);
  const float share = 1.0F / static_cast<float>(norm.count);
  for (size_t example = 0; !input_gradient.empty() && example < examples; ++example) {
    const float* x = input.data() + example * norm.count;
    const float* dy = output_gradient.data() + example * norm.count;
    const float* a = scale.data();
    const float mean = saved[2 * example];
    const float inverse = saved[2 * example + 1];
    LaneSum plain;
    LaneSum product;
    plain.add(norm.count, [a, dy](size_t index) { return a[index] * dy[index]; });
    product.add(norm.count, [a, x, dy, mean](size_t index) { return a[index] * dy[index] * (x[index] - mean); });
    const float level = plain.total() * share;
    const float slope = product.total() * inverse * inverse * share;
    generate(input_gradient.subspan(example * norm.count, norm.count),
             [=](size_t index) { return inverse * (a[index] * dy[index] - level - (x[index] - mean) * slope); });
  }
  // Sums over the examples, for sixteen weights at a time.
  for (size_t begin = 0; begin < scale_gradient.size(); begin += kLanes) {
    const size_t width = std::min(kLanes, scale_gradient.size() - begin);
    float scale_sums[kLanes] = {};
    float shift_sums[kLanes] = {};
    for (size_t example = 0; example < examples; ++example) {
      const float* x = input.data() + example * norm.count + begin;
      const float* dy = output_gradient.data() + example * norm.count + begin;
      const float mean = saved[2 * example];
      const float inverse = saved[2 * example + 1];
      for (size_t lane = 0; lane < width; ++lane) {
        shift_sums[lane] += dy[lane];
        scale_sums[lane] += dy[lane] * ((x[lane] - mean) * inverse);
      }
    }
    for (size_t lane = 0; lane < width; ++lane) {
      scale_gradient[begin + lane] += weight_scale * scale_sums[lane];
      shift_gradient[begin + lane] += weight_scale * shift_sums[lane];
    }
  }
}

}  // namespace runnel::tensor
