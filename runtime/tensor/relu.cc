#include "runtime/tensor/relu.h"

#include "runtime/base/error.h"
#include "runtime/tensor/row_kernels.h"

namespace runnel::tensor {

void relu_forward(std::span<float> values) {
  rectify(values.data(), values.size());
}

void relu_backward(std::span<const float> output, std::span<float> gradient) {
  RUNNEL_ASSERT(output.size() == gradient.size());
  rectify_gradient(output.data(), gradient.data(), gradient.size());
}

}  // namespace runnel::tensor
