#include "runtime/tensor/global_pool.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/tensor/lanes.h"

namespace runnel::tensor {
namespace {

void check_sizes(const GlobalPool& pool, size_t examples, size_t inputs, size_t outputs) {
  RUNNEL_ASSERT(pool.positions > 0);
  RUNNEL_ASSERT(outputs == examples * pool.channels && inputs == outputs * pool.positions);
}

size_t first_largest(std::span<const float> plane) {
  size_t best = 0;
  for (size_t index = 1; index < plane.size(); ++index) best = plane[index] > plane[best] ? index : best;
  return best;
}

}  // namespace

void global_avg_pool_forward(const GlobalPool& pool, size_t examples, std::span<const float> input,
                             std::span<float> output) {
  check_sizes(pool, examples, input.size(), output.size());
  const float share = 1.0F / static_cast<float>(pool.positions);
  for (size_t plane = 0; plane < output.size(); ++plane) {
    const float* values = input.data() + plane * pool.positions;
    LaneSum sum;
    sum.add(pool.positions, [values](size_t index) { return values[index]; });
    output[plane] = sum.total() * share;
  }
}

void global_avg_pool_backward(const GlobalPool& pool, size_t examples, std::span<const float> output_gradient,
                              std::span<float> input_gradient) {
  check_sizes(pool, examples, input_gradient.size(), output_gradient.size());
  const float share = 1.0F / static_cast<float>(pool.positions);
  for (size_t plane = 0; plane < output_gradient.size(); ++plane)
    std::ranges::fill(input_gradient.subspan(plane * pool.positions, pool.positions), output_gradient[plane] * share);
}

void global_max_pool_forward(const GlobalPool& pool, size_t examples, std::span<const float> input,
                             std::span<float> output) {
  check_sizes(pool, examples, input.size(), output.size());
  for (size_t plane = 0; plane < output.size(); ++plane) {
    const std::span<const float> values = input.subspan(plane * pool.positions, pool.positions);
    output[plane] = values[first_largest(values)];
  }
}

void global_max_pool_backward(const GlobalPool& pool, size_t examples, std::span<const float> input,
                              std::span<const float> output_gradient, std::span<float> input_gradient) {
  check_sizes(pool, examples, input.size(), output_gradient.size());
  RUNNEL_ASSERT(input_gradient.size() == input.size());
  std::ranges::fill(input_gradient, 0.0F);
  for (size_t plane = 0; plane < output_gradient.size(); ++plane) {
    const size_t begin = plane * pool.positions;
    input_gradient[begin + first_largest(input.subspan(begin, pool.positions))] = output_gradient[plane];
  }
}

}  // namespace runnel::tensor
