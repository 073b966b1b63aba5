#include "runtime/tensor/reduce.h"

#include <cstddef>

#include "runtime/tensor/row_kernels.h"

namespace runnel::tensor {

float sum(std::span<const float> values) {
  constexpr size_t kLanes = 8;
  float lanes[kLanes] = {};
  size_t index = 0;
  for (; index + kLanes <= values.size(); index += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += values[index + lane];
  }
  for (size_t lane = 0; index < values.size(); ++index, ++lane) lanes[lane] += values[index];
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

bool all_finite(std::span<const float> values) {
  return all_finite(values.data(), values.size());
}

}  // namespace runnel::tensor
