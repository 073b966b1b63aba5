#include "runtime/train/loss.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "runtime/base/error.h"
#include "runtime/tensor/math.h"

namespace runnel::train {

namespace {

constexpr size_t kBlock = 16;  // values that are worked on side by side

double tree_sum(const double* lanes) {
  double sums[kBlock];
  for (size_t lane = 0; lane < kBlock; ++lane) sums[lane] = lanes[lane];
  for (size_t width = kBlock / 2; width > 0; width /= 2) {
    for (size_t lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
  }
  return sums[0];
}

// One example with a value a class and position; `unit` is the weight of one position in the gradient.
struct SoftmaxExample {
  const plan::LossSpec& spec;
  size_t channels;
  size_t positions;
  const float* outputs;  // [channels][positions]
  const float* labels;   // [positions]
  float* gradient;       // or null
  double unit;

  double smoothed() const { return static_cast<double>(spec.label_smoothing) / static_cast<double>(channels); }

  // The cost of one position from the shifted logits x - largest: the label's, their sum, and the sum of exponentials.
  double cost(double label, double sum, double total) const {
    const double loss = tensor::math::log(total) - (1.0 - static_cast<double>(spec.label_smoothing)) * label;
    return spec.label_smoothing == 0.0F ? loss : loss - smoothed() * sum;
  }
  // The label's own gradient, in double: a probability near 1 loses nothing. `power` is the label's exponential.
  float label_gradient(double power, double total) const {
    const double probability = power / total;
    return static_cast<float>((probability - (1.0 - static_cast<double>(spec.label_smoothing)) - smoothed()) * unit);
  }

  // A single position: neighbours in memory are classes.
  void add_row(BatchLoss& loss) const {
    const auto label = static_cast<size_t>(labels[0]);
    size_t best = 0;
    for (size_t index = 1; index < channels; ++index) best = outputs[index] > outputs[best] ? index : best;
    const double largest = outputs[best];
    const double label_shifted = outputs[label] - largest;
    double label_power = 0.0;
    double totals[kBlock] = {};
    double sums[kBlock] = {};
    for (size_t begin = 0; begin < channels; begin += kBlock) {
      const size_t width = std::min(kBlock, channels - begin);
      double shifted[kBlock];
      double powers[kBlock];
      for (size_t lane = 0; lane < kBlock; ++lane) shifted[lane] = -HUGE_VAL;
      for (size_t lane = 0; lane < width; ++lane) shifted[lane] = outputs[begin + lane] - largest;
      for (size_t lane = 0; lane < kBlock; ++lane) powers[lane] = tensor::math::exp(shifted[lane]);
      for (size_t lane = 0; lane < kBlock; ++lane) totals[lane] += powers[lane];
      for (size_t lane = 0; lane < width; ++lane) sums[lane] += shifted[lane];
      if (label - begin < width) label_power = powers[label - begin];
      if (gradient == nullptr) continue;
      for (size_t lane = 0; lane < width; ++lane) gradient[begin + lane] = static_cast<float>(powers[lane]);
    }
    const double total = tree_sum(totals);
    loss.sum += cost(label_shifted, tree_sum(sums), total);
    loss.correct += best == label ? 1U : 0U;
    if (gradient == nullptr) return;
    const auto factor = static_cast<float>(unit / total);
    const auto offset = static_cast<float>(smoothed() * unit);
    for (size_t index = 0; index < channels; ++index) gradient[index] = gradient[index] * factor - offset;
    gradient[label] = label_gradient(label_power, total);
  }

  // The positions [begin, begin + width), width <= kBlock, side by side.
  double add_columns(size_t begin, size_t width, BatchLoss& loss) const {
    float largest[kBlock];
    uint32_t best[kBlock] = {};
    float label_logit[kBlock];
    for (size_t lane = 0; lane < width; ++lane) {
      largest[lane] = outputs[begin + lane];
      label_logit[lane] = outputs[static_cast<size_t>(labels[begin + lane]) * positions + begin + lane];
    }
    for (size_t channel = 1; channel < channels; ++channel) {
      const float* row = outputs + channel * positions + begin;
      for (size_t lane = 0; lane < width; ++lane) {
        best[lane] = row[lane] > largest[lane] ? static_cast<uint32_t>(channel) : best[lane];
        largest[lane] = row[lane] > largest[lane] ? row[lane] : largest[lane];
      }
    }
    double totals[kBlock] = {};
    double sums[kBlock] = {};
    for (size_t channel = 0; channel < channels; ++channel) {
      const float* row = outputs + channel * positions + begin;
      double powers[kBlock];
      for (size_t lane = 0; lane < width; ++lane) {
        const double shifted = static_cast<double>(row[lane]) - static_cast<double>(largest[lane]);
        powers[lane] = tensor::math::exp(shifted);
        totals[lane] += powers[lane];
        sums[lane] += shifted;
      }
      if (gradient == nullptr) continue;
      float* to = gradient + channel * positions + begin;
      for (size_t lane = 0; lane < width; ++lane) to[lane] = static_cast<float>(powers[lane]);
    }
    double cost_sum = 0.0;
    float factors[kBlock];
    for (size_t lane = 0; lane < width; ++lane) {
      const double shifted = static_cast<double>(label_logit[lane]) - static_cast<double>(largest[lane]);
      cost_sum += cost(shifted, sums[lane], totals[lane]);
      loss.correct += best[lane] == static_cast<uint32_t>(labels[begin + lane]) ? 1U : 0U;
      factors[lane] = static_cast<float>(unit / totals[lane]);
    }
    if (gradient == nullptr) return cost_sum;
    const auto offset = static_cast<float>(smoothed() * unit);
    for (size_t channel = 0; channel < channels; ++channel) {
      float* to = gradient + channel * positions + begin;
      for (size_t lane = 0; lane < width; ++lane) to[lane] = to[lane] * factors[lane] - offset;
    }
    for (size_t lane = 0; lane < width; ++lane) {
      const double shifted = static_cast<double>(label_logit[lane]) - static_cast<double>(largest[lane]);
      gradient[static_cast<size_t>(labels[begin + lane]) * positions + begin + lane] =
          label_gradient(tensor::math::exp(shifted), totals[lane]);
    }
    return cost_sum;
  }

  void add(BatchLoss& loss) const {
    if (positions == 1) return add_row(loss);
    double sum = 0.0;
    for (size_t begin = 0; begin < positions; begin += kBlock)
      sum += add_columns(begin, std::min(kBlock, positions - begin), loss);
    loss.sum += sum / static_cast<double>(positions);
  }
};

// What one output costs, and the derivative of that.
struct Cost {
  double value;
  double slope;
};

// The sum over all outputs of f(output, target).value; `unit` times the slopes are the gradient.
template <typename F>
double sum_costs(std::span<const float> outputs, std::span<const float> targets, std::span<float> gradient, double unit,
                 F f) {
  double sums[kBlock] = {};
  for (size_t begin = 0; begin < outputs.size(); begin += kBlock) {
    const size_t width = std::min(kBlock, outputs.size() - begin);
    for (size_t lane = 0; lane < width; ++lane) {
      const Cost cost = f(static_cast<double>(outputs[begin + lane]), static_cast<double>(targets[begin + lane]));
      sums[lane] += cost.value;
      if (!gradient.empty()) gradient[begin + lane] = static_cast<float>(cost.slope * unit);
    }
  }
  return tree_sum(sums);
}

Cost binary_cost(double x, double t) {
  const double e = tensor::math::exp(x < 0.0 ? x : -x);
  const double probability = (x < 0.0 ? e : 1.0) / (1.0 + e);
  return {(x < 0.0 ? 0.0 : x) - x * t + tensor::math::log(1.0 + e), probability - t};
}

Cost huber_cost(double x, double t, double delta) {
  const double d = x - t;
  const double magnitude = d < 0.0 ? -d : d;
  if (magnitude <= delta) return {0.5 * d * d, d};
  return {delta * (magnitude - 0.5 * delta), d < 0.0 ? -delta : (d > 0.0 ? delta : d)};
}

}  // namespace

BatchLoss batch_loss(const plan::LossSpec& spec, uint32_t channels, uint32_t positions, std::span<const float> outputs,
                     std::span<const float> targets, std::span<float> gradient, uint32_t batch_size) {
  const size_t output_count = size_t{channels} * positions;
  RUNNEL_ASSERT(output_count > 0 && outputs.size() % output_count == 0);
  RUNNEL_ASSERT(gradient.empty() || gradient.size() == outputs.size());
  const size_t examples = outputs.size() / output_count;
  const double batch = batch_size != 0 ? batch_size : static_cast<double>(examples);
  BatchLoss loss;
  if (spec.kind == plan::LossKind::kSoftmaxCrossEntropy) {
    RUNNEL_ASSERT(targets.size() == examples * positions && check_targets(spec, channels, targets).ok());
    for (size_t example = 0; example < examples; ++example) {
      SoftmaxExample{spec,
                     channels,
                     positions,
                     outputs.data() + example * output_count,
                     targets.data() + example * positions,
                     gradient.empty() ? nullptr : gradient.data() + example * output_count,
                     1.0 / (batch * positions)}
          .add(loss);
    }
    return loss;
  }
  RUNNEL_ASSERT(targets.size() == outputs.size());
  const double share = 1.0 / static_cast<double>(output_count);
  const double unit = share / batch;
  double sum = 0.0;
  switch (spec.kind) {
    case plan::LossKind::kBinaryCrossEntropy:
      sum = sum_costs(outputs, targets, gradient, unit, binary_cost);
      break;
    case plan::LossKind::kMse:
      sum = sum_costs(outputs, targets, gradient, unit, [](double x, double t) {
        return Cost{(x - t) * (x - t), 2.0 * (x - t)};
      });
      break;
    default:
      sum = sum_costs(outputs, targets, gradient, unit,
                      [delta = double{spec.huber_delta}](double x, double t) { return huber_cost(x, t, delta); });
      break;
  }
  loss.sum = sum * share;
  return loss;
}

Failure check_targets(const plan::LossSpec& spec, uint32_t channels, std::span<const float> targets) {
  for (size_t index = 0; index < targets.size(); ++index) {
    const float target = targets[index];
    if (spec.kind == plan::LossKind::kSoftmaxCrossEntropy) {
      // The range first: a conversion out of it is undefined.
      if (target >= 0.0F && target < static_cast<float>(channels) &&
          static_cast<float>(static_cast<uint32_t>(target)) == target) {
        continue;
      }
      return fail(Error::kOutOfRange, "target %zu is %g, not a label of 0..%u", index, static_cast<double>(target),
                  channels - 1);
    }
    if (!std::isfinite(target)) return fail(Error::kNotFinite, "target %zu is NaN or infinite", index);
    if (spec.kind == plan::LossKind::kBinaryCrossEntropy && !(target >= 0.0F && target <= 1.0F)) {
      return fail(Error::kOutOfRange, "target %zu is %g, not in [0, 1]", index, static_cast<double>(target));
    }
  }
  return Error::kOk;
}

}  // namespace runnel::train
