#include "runtime/tensor/relu.h"

#include <cstddef>

#include "runtime/base/error.h"

namespace runnel::tensor {

void relu_forward(std::span<float> values) {
  for (float& value : values) value = value < 0.0F ? 0.0F : value;
}

void relu_backward(std::span<const float> output, std::span<float> gradient) {
  RUNNEL_ASSERT(output.size() == gradient.size());
  const float* __restrict from = output.data();
  float* __restrict to = gradient.data();
  for (size_t index = 0; index < gradient.size(); ++index) to[index] = from[index] > 0.0F ? to[index] : 0.0F;
}

}  // namespace runnel::tensor
