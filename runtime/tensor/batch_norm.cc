#include "runtime/tensor/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/error.h"
#include "runtime/tensor/lanes.h"

namespace runnel::tensor {
namespace {

// Channels that are summed side by side: with one value an example and channel, neighbours in memory are channels.
size_t channels_at_once(const BatchNorm& norm) {
  return norm.positions == 1 ? kLanes : 1;
}

// totals[c - begin] = sum of f(i, c) over all values i of channel c, for [begin, begin + count): value p of every
// example goes to lane p modulo 16. Both ways of walking through memory give the same bits.
template <typename F>
void channel_sums(const BatchNorm& norm, size_t examples, size_t begin, size_t count, float* totals, F f) {
  if (norm.positions != 1) {
    for (size_t channel = begin; channel < begin + count; ++channel) {
      LaneSum sum;
      for (size_t example = 0; example < examples; ++example) {
        const size_t base = (example * norm.channels + channel) * norm.positions;
        sum.add(norm.positions, [base, channel, f](size_t index) { return f(base + index, channel); });
      }
      totals[channel - begin] = sum.total();
    }
    return;
  }
  std::fill_n(totals, count, 0.0F);
  for (size_t example = 0; example < examples; ++example) {
    const size_t base = example * norm.channels + begin;
    for (size_t lane = 0; lane < count; ++lane) totals[lane] += f(base + lane, begin + lane);
  }
}

// output[i] = f(i, c) for all values i of the channels [begin, begin + count).
template <typename F>
void write_channels(const BatchNorm& norm, size_t examples, size_t begin, size_t count, std::span<float> output, F f) {
  for (size_t example = 0; example < examples; ++example) {
    if (norm.positions == 1) {
      const size_t base = example * norm.channels + begin;
      generate(output.subspan(base, count), [base, begin, f](size_t index) { return f(base + index, begin + index); });
      continue;
    }
    for (size_t channel = begin; channel < begin + count; ++channel) {
      const size_t base = (example * norm.channels + channel) * norm.positions;
      generate(output.subspan(base, norm.positions),
               [base, channel, f](size_t index) { return f(base + index, channel); });
    }
  }
}

}  // namespace

size_t batch_norm_saved(const BatchNorm& norm) {
  return 2 * norm.channels;
}

void batch_norm_forward(const BatchNorm& norm, size_t examples, std::span<const float> input,
                        std::span<const float> scale, std::span<const float> shift, std::span<float> running_mean,
                        std::span<float> running_variance, std::span<float> output, std::span<float> saved) {
  const size_t values = examples * norm.positions;
  RUNNEL_ASSERT(values > 0 && input.size() == values * norm.channels && output.size() == input.size());
  RUNNEL_ASSERT(scale.size() == norm.channels && shift.size() == norm.channels &&
                saved.size() >= batch_norm_saved(norm));
  RUNNEL_ASSERT(running_mean.size() == running_variance.size() &&
                (running_mean.empty() || running_mean.size() == norm.channels));
  const std::span<float> mean = saved.first(norm.channels);
  const std::span<float> inverse = saved.subspan(norm.channels, norm.channels);
  const auto count = static_cast<float>(values);
  const float* x = input.data();
  const size_t width = channels_at_once(norm);
  for (size_t begin = 0; begin < norm.channels; begin += width) {
    const size_t channels = std::min(width, norm.channels - begin);
    float totals[kLanes];
    channel_sums(norm, examples, begin, channels, totals, [x](size_t index, size_t) { return x[index]; });
    for (size_t lane = 0; lane < channels; ++lane) mean[begin + lane] = totals[lane] / count;
    channel_sums(norm, examples, begin, channels, totals, [x, m = mean.data()](size_t index, size_t channel) {
      const float d = x[index] - m[channel];
      return d * d;
    });
    for (size_t lane = 0; lane < channels; ++lane) {
      const size_t channel = begin + lane;
      inverse[channel] = 1.0F / std::sqrt(totals[lane] / count + norm.epsilon);
      if (running_mean.empty() || values == 1) continue;
      running_mean[channel] += norm.momentum * (mean[channel] - running_mean[channel]);
      running_variance[channel] += norm.momentum * (totals[lane] / (count - 1.0F) - running_variance[channel]);
    }
    write_channels(
        norm, examples, begin, channels, output,
        [x, m = mean.data(), inv = inverse.data(), a = scale.data(), b = shift.data()](size_t index, size_t channel) {
          return (x[index] - m[channel]) * (a[channel] * inv[channel]) + b[channel];
        });
  }
}

void batch_norm_backward(const BatchNorm& norm, size_t examples, std::span<const float> input,
                         std::span<const float> scale, std::span<const float> saved,
                         std::span<const float> output_gradient, float weight_scale, std::span<float> scale_gradient,
                         std::span<float> shift_gradient, std::span<float> input_gradient) {
  const size_t values = examples * norm.positions;
  RUNNEL_ASSERT(values > 0 && input.size() == values * norm.channels && output_gradient.size() == input.size());
  RUNNEL_ASSERT(scale.size() == norm.channels && saved.size() >= batch_norm_saved(norm));
  RUNNEL_ASSERT(scale_gradient.empty() || scale_gradient.size() == norm.channels);
  RUNNEL_ASSERT(shift_gradient.empty() || shift_gradient.size() == norm.channels);
  RUNNEL_ASSERT(input_gradient.empty() || input_gradient.size() == input.size());
  const float* x = input.data();
  const float* dy = output_gradient.data();
  const float* mean = saved.data();
  const float* inverse = saved.data() + norm.channels;
  const float share = 1.0F / static_cast<float>(values);
  const size_t width = channels_at_once(norm);
  for (size_t begin = 0; begin < norm.channels; begin += width) {
    const size_t channels = std::min(width, norm.channels - begin);
    float sums[kLanes];
    float products[kLanes];
    channel_sums(norm, examples, begin, channels, sums, [dy](size_t index, size_t) { return dy[index]; });
    channel_sums(norm, examples, begin, channels, products,
                 [x, dy, mean](size_t index, size_t channel) { return dy[index] * (x[index] - mean[channel]); });
    // dx = scale / deviation * (dy - mean of dy - xhat * mean of (dy * xhat)).
    float factor[kLanes];
    float slope[kLanes];
    for (size_t lane = 0; lane < channels; ++lane) {
      const float inv = inverse[begin + lane];
      factor[lane] = scale[begin + lane] * inv;
      slope[lane] = products[lane] * inv * inv * share;
      if (!scale_gradient.empty()) scale_gradient[begin + lane] += weight_scale * (products[lane] * inv);
      if (!shift_gradient.empty()) shift_gradient[begin + lane] += weight_scale * sums[lane];
    }
    if (input_gradient.empty()) continue;
    write_channels(norm, examples, begin, channels, input_gradient, [&](size_t index, size_t channel) {
      const size_t lane = channel - begin;
      return factor[lane] * (dy[index] - sums[lane] * share - (x[index] - mean[channel]) * slope[lane]);
    });
  }
}

void batch_norm_inference(const BatchNorm& norm, size_t examples, std::span<const float> input,
                          std::span<const float> scale, std::span<const float> shift, std::span<const float> mean,
                          std::span<const float> variance, std::span<float> output) {
  RUNNEL_ASSERT(input.size() == examples * norm.positions * norm.channels && output.size() == input.size());
  RUNNEL_ASSERT(scale.size() == norm.channels && shift.size() == norm.channels && mean.size() == norm.channels &&
                variance.size() == norm.channels);
  const size_t width = channels_at_once(norm);
  for (size_t begin = 0; begin < norm.channels; begin += width) {
    const size_t channels = std::min(width, norm.channels - begin);
    float factor[kLanes];
    for (size_t lane = 0; lane < channels; ++lane)
      factor[lane] = scale[begin + lane] / std::sqrt(std::max(variance[begin + lane], 0.0F) + norm.epsilon);
    write_channels(norm, examples, begin, channels, output, [&](size_t index, size_t channel) {
      return (input[index] - mean[channel]) * factor[channel - begin] + shift[channel];
    });
  }
}

void batch_norm_inference_backward(const BatchNorm& norm, size_t examples, std::span<const float> scale,
                                   std::span<const float> variance, std::span<const float> output_gradient,
                                   std::span<float> input_gradient) {
  RUNNEL_ASSERT(output_gradient.size() == examples * norm.positions * norm.channels);
  RUNNEL_ASSERT(input_gradient.size() == output_gradient.size());
  RUNNEL_ASSERT(scale.size() == norm.channels && variance.size() == norm.channels);
  const size_t width = channels_at_once(norm);
  for (size_t begin = 0; begin < norm.channels; begin += width) {
    const size_t channels = std::min(width, norm.channels - begin);
    float factor[kLanes];
    for (size_t lane = 0; lane < channels; ++lane)
      factor[lane] = scale[begin + lane] / std::sqrt(std::max(variance[begin + lane], 0.0F) + norm.epsilon);
    write_channels(norm, examples, begin, channels, input_gradient,
                   [&](size_t index, size_t channel) { return output_gradient[index] * factor[channel - begin]; });
  }
}

}  // namespace runnel::tensor
