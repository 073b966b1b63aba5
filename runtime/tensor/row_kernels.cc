#include "runtime/tensor/row_kernels.h"

#include <algorithm>

#include "runtime/tensor/instruction_set.h"
#ifdef RUNNEL_FAST_KERNELS
#include "runtime/tensor/row_kernels_fast.h"
#endif

namespace runnel::tensor {
namespace plain {

void copy_rows(ConstMatrix from, size_t rows, size_t width, Matrix to) {
  for (size_t row = 0; row < rows; ++row) std::copy_n(from.data + row * from.stride, width, to.data + row * to.stride);
}

void finish_rows(ConstMatrix from, size_t rows, size_t width, float bias, bool rectify, Matrix to) {
  for (size_t row = 0; row < rows; ++row) {
    const float* __restrict values = from.data + row * from.stride;
    float* __restrict result = to.data + row * to.stride;
    for (size_t x = 0; x < width; ++x) {
      const float value = values[x] + bias;
      result[x] = rectify && value < 0.0F ? 0.0F : value;
    }
  }
}

void transpose(ConstMatrix from, size_t rows, size_t columns, Matrix to) {
  for (size_t row = 0; row < rows; ++row) {
    for (size_t column = 0; column < columns; ++column)
      to.data[column * to.stride + row] = from.data[row * from.stride + column];
  }
}

void max_pool_row_2x2(const float* upper, const float* lower, size_t count, float* to) {
  const auto larger = [](float best, float value) { return value > best ? value : best; };
  for (size_t x = 0; x < count; ++x) {
    to[x] = larger(larger(larger(upper[2 * x], upper[2 * x + 1]), lower[2 * x]), lower[2 * x + 1]);
  }
}

void max_pool_gradient_row_2x2(const float* upper, const float* lower, const float* gradient, size_t count,
                               float* upper_to, float* lower_to) {
  for (size_t x = 0; x < count; ++x) {
    const float a = upper[2 * x];
    const float b = upper[2 * x + 1];
    const float c = lower[2 * x];
    const float d = lower[2 * x + 1];
    const float best_ab = b > a ? b : a;
    const float best_abc = c > best_ab ? c : best_ab;
    const float to_abc = d > best_abc ? 0.0F : gradient[x];
    const float to_ab = c > best_ab ? 0.0F : to_abc;
    upper_to[2 * x] = b > a ? 0.0F : to_ab;
    upper_to[2 * x + 1] = b > a ? to_ab : 0.0F;
    lower_to[2 * x] = c > best_ab ? to_abc : 0.0F;
    lower_to[2 * x + 1] = d > best_abc ? gradient[x] : 0.0F;
  }
}

void rectify(float* values, size_t count) {
  for (size_t index = 0; index < count; ++index) values[index] = values[index] < 0.0F ? 0.0F : values[index];
}

void rectify_gradient(const float* output, float* gradient, size_t count) {
  for (size_t index = 0; index < count; ++index) gradient[index] = output[index] > 0.0F ? gradient[index] : 0.0F;
}

}  // namespace plain

#ifdef RUNNEL_FAST_KERNELS
#define RUNNEL_CHOOSE(name, ...) return use_reference() ? plain::name(__VA_ARGS__) : name##_fast(__VA_ARGS__)
#else
#define RUNNEL_CHOOSE(name, ...) return plain::name(__VA_ARGS__)
#endif

void copy_rows(ConstMatrix from, size_t rows, size_t width, Matrix to) {
  RUNNEL_CHOOSE(copy_rows, from, rows, width, to);
}

void finish_rows(ConstMatrix from, size_t rows, size_t width, float bias, bool rectify, Matrix to) {
  RUNNEL_CHOOSE(finish_rows, from, rows, width, bias, rectify, to);
}

void transpose(ConstMatrix from, size_t rows, size_t columns, Matrix to) {
  RUNNEL_CHOOSE(transpose, from, rows, columns, to);
}

void max_pool_row_2x2(const float* upper, const float* lower, size_t count, float* to) {
  RUNNEL_CHOOSE(max_pool_row_2x2, upper, lower, count, to);
}

void max_pool_gradient_row_2x2(const float* upper, const float* lower, const float* gradient, size_t count,
                               float* upper_to, float* lower_to) {
  RUNNEL_CHOOSE(max_pool_gradient_row_2x2, upper, lower, gradient, count, upper_to, lower_to);
}

void rectify(float* values, size_t count) {
  RUNNEL_CHOOSE(rectify, values, count);
}

void rectify_gradient(const float* output, float* gradient, size_t count) {
  RUNNEL_CHOOSE(rectify_gradient, output, gradient, count);
}

}  // namespace runnel::tensor
