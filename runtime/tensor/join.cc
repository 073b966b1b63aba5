#include "runtime/tensor/join.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/tensor/lanes.h"

namespace runnel::tensor {

void add_into(std::span<const float> from, std::span<float> to) {
  add(to, from, to);
}

void add(std::span<const float> a, std::span<const float> b, std::span<float> output) {
  RUNNEL_ASSERT(a.size() == output.size() && b.size() == output.size());
  map(a, b, output, [](float x, float y) { return x + y; });
}

void concat_forward(const ConcatPart& part, size_t examples, std::span<const float> input, std::span<float> output) {
  RUNNEL_ASSERT(input.size() == examples * part.count && output.size() == examples * part.total);
  RUNNEL_ASSERT(part.offset + part.count <= part.total);
  for (size_t example = 0; example < examples; ++example)
    std::ranges::copy(input.subspan(example * part.count, part.count),
                      output.data() + example * part.total + part.offset);
}

void concat_backward(const ConcatPart& part, size_t examples, std::span<const float> output_gradient,
                     std::span<float> input_gradient) {
  RUNNEL_ASSERT(input_gradient.size() == examples * part.count && output_gradient.size() == examples * part.total);
  RUNNEL_ASSERT(part.offset + part.count <= part.total);
  for (size_t example = 0; example < examples; ++example)
    std::ranges::copy(output_gradient.subspan(example * part.total + part.offset, part.count),
                      input_gradient.data() + example * part.count);
}

}  // namespace runnel::tensor
