#include "runtime/tensor/reduce.h"

#include <bit>
#include <cstddef>

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
  constexpr uint32_t kExponent = 0x7F800000U;
  uint32_t found = 0;
  for (const float value : values) found |= (std::bit_cast<uint32_t>(value) & kExponent) == kExponent ? 1U : 0U;
  return found == 0;
}

}  // namespace runnel::tensor
