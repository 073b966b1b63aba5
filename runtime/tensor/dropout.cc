#include "runtime/tensor/dropout.h"

#include "runtime/base/error.h"
#include "runtime/base/rng.h"
#include "runtime/tensor/lanes.h"

namespace runnel::tensor {

void dropout(float rate, uint64_t key, uint32_t first, std::span<const float> input, std::span<float> output) {
  RUNNEL_ASSERT(rate >= 0.0F && rate < 1.0F && input.size() == output.size());
  const CounterRng rng(key);
  const auto threshold = static_cast<uint32_t>(static_cast<double>(rate) * 0x1p32);
  const float factor = 1.0F / (1.0F - rate);
  generate(output, [input, rng, first, threshold, factor](size_t index) {
    return rng.at(first + static_cast<uint32_t>(index)) >= threshold ? input[index] * factor : 0.0F;
  });
}

}  // namespace runnel::tensor
