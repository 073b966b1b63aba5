#include "runtime/train/loss.h"

#include <bit>
#include <cmath>

#include "runtime/base/error.h"

namespace runnel::train {

double exp_nonpositive(double x) {
  if (!(x >= -700.0)) return x < 0.0 ? 0.0 : x;  // the second: NaN
  // x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts, the first with enough trailing zeros for an exact n * part.
  constexpr double kLog2E = 1.4426950408889634;
  constexpr double kLn2High = 0x1.62E42FEEp-1;
  constexpr double kLn2Low = 0x1.A39EF35793C76p-33;
  const auto n = static_cast<int32_t>(x * kLog2E - 0.5);
  const double r = (x - n * kLn2High) - n * kLn2Low;
  // Taylor to r^13 / 13!, whose first left-out term is below 5e-18.
  double value = 1.0;
  for (int32_t term = 13; term >= 1; --term) value = 1.0 + value * (r / term);
  return value * std::bit_cast<double>(static_cast<uint64_t>(1023 + n) << 52);
}

BatchLoss softmax_cross_entropy(std::span<const float> logits, std::span<const uint32_t> labels, uint32_t classes,
                                std::span<float> gradient, uint32_t batch_size) {
  RUNNEL_ASSERT(logits.size() == labels.size() * classes && (gradient.empty() || gradient.size() == logits.size()));
  BatchLoss loss;
  const double batch = batch_size != 0 ? batch_size : static_cast<double>(labels.size());
  for (size_t example = 0; example < labels.size(); ++example) {
    const std::span<const float> row = logits.subspan(example * classes, classes);
    const uint32_t label = labels[example];
    RUNNEL_ASSERT(label < classes);
    uint32_t best = 0;
    for (uint32_t index = 1; index < classes; ++index) best = row[index] > row[best] ? index : best;
    const double largest = row[best];
    double total = 0.0;
    for (const float logit : row) total += exp_nonpositive(logit - largest);
    loss.sum += std::log(total) - (row[label] - largest);
    loss.correct += best == label ? 1U : 0U;
    if (gradient.empty()) continue;
    for (uint32_t index = 0; index < classes; ++index) {
      const double probability = exp_nonpositive(row[index] - largest) / total;
      gradient[example * classes + index] = static_cast<float>((probability - (index == label ? 1.0 : 0.0)) / batch);
    }
  }
  return loss;
}

}  // namespace runnel::train
