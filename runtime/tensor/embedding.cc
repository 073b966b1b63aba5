#include "runtime/tensor/embedding.h"

namespace runnel::tensor {
namespace {

// Also false of NaN, and before the conversion could overflow.
bool is_symbol(float value, size_t vocabulary) {
  if (!(value >= 0.0F && value < static_cast<float>(vocabulary))) return false;
  return static_cast<float>(static_cast<uint32_t>(value)) == value;
}

size_t symbol_at(const Embedding& embedding, std::span<const float> input, size_t index) {
  RUNNEL_ASSERT(is_symbol(input[index], embedding.vocabulary));
  return static_cast<size_t>(input[index]);
}

}  // namespace

Failure check_symbols(const Embedding& embedding, std::span<const float> input) {
  for (size_t index = 0; index < input.size(); ++index) {
    if (!is_symbol(input[index], embedding.vocabulary)) {
      return fail(Error::kOutOfRange, "input %zu is %g, not a whole number of 0..%zu", index,
                  static_cast<double>(input[index]), embedding.vocabulary - 1);
    }
  }
  return Error::kOk;
}

void embedding_forward(const Embedding& embedding, size_t examples, std::span<const float> input,
                       std::span<const float> weight, std::span<float> output) {
  const auto [vocabulary, units, steps] = embedding;
  RUNNEL_ASSERT(input.size() == examples * steps && output.size() == input.size() * units);
  RUNNEL_ASSERT(weight.size() == vocabulary * units);
  for (size_t example = 0; example < examples; ++example) {
    float* to = output.data() + example * units * steps;
    for (size_t step = 0; step < steps; ++step) {
      const float* row = weight.data() + symbol_at(embedding, input, example * steps + step) * units;
      for (size_t unit = 0; unit < units; ++unit) to[unit * steps + step] = row[unit];
    }
  }
}

void embedding_backward(const Embedding& embedding, size_t examples, std::span<const float> input,
                        std::span<const float> output_gradient, float scale, std::span<float> weight_gradient) {
  const auto [vocabulary, units, steps] = embedding;
  RUNNEL_ASSERT(input.size() == examples * steps && output_gradient.size() == input.size() * units);
  RUNNEL_ASSERT(weight_gradient.size() == vocabulary * units);
  for (size_t example = 0; example < examples; ++example) {
    const float* from = output_gradient.data() + example * units * steps;
    for (size_t step = 0; step < steps; ++step) {
      float* row = weight_gradient.data() + symbol_at(embedding, input, example * steps + step) * units;
      for (size_t unit = 0; unit < units; ++unit) row[unit] += scale * from[unit * steps + step];
    }
  }
}

}  // namespace runnel::tensor
