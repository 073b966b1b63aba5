#include "runtime/train/initialize.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/rng.h"

namespace runnel::train {

void initialize_parameters(const plan::ModelLayout& layout, uint64_t seed, std::span<float> parameters) {
  RUNNEL_ASSERT(parameters.size() == layout.parameter_count);
  for (uint32_t index = 0; index < layout.tensors.size(); ++index) {
    const plan::TensorInfo& tensor = layout.tensors[index];
    const std::span<float> values = parameters.subspan(tensor.offset, tensor.count);
    if (tensor.fan_in == 0) {
      std::ranges::fill(values, tensor.initial);
      continue;
    }
    const CounterRng rng(derive_key(seed, index));
    const float bound = tensor.initial != 0.0F ? tensor.initial : static_cast<float>(std::sqrt(6.0 / tensor.fan_in));
    for (uint32_t element = 0; element < tensor.count; ++element) {
      values[element] = bound * (2.0F * rng.uniform_at(element) - 1.0F);
    }
  }
}

}  // namespace runnel::train
