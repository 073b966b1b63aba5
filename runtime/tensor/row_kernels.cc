#include "runtime/tensor/row_kernels.h"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "runtime/base/instruction_set.h"
#include "runtime/tensor/reduce.h"
#ifdef RUNNEL_FAST_KERNELS
#include "runtime/tensor/row_kernels_fast.h"
#endif

namespace runnel::tensor {
namespace plain {

void copy_blocks(ConstMatrix from, size_t from_block, size_t blocks, size_t rows, size_t width, Matrix to,
                 size_t to_block) {
  for (size_t block = 0; block < blocks; ++block, from.data += from_block, to.data += to_block) {
    for (size_t row = 0; row < rows; ++row)
      std::copy_n(from.data + row * from.stride, width, to.data + row * to.stride);
  }
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

void finish_transposed(ConstMatrix from, size_t rows, size_t columns, const float* bias, bool rectify, Matrix to) {
  for (size_t row = 0; row < rows; ++row) {
    for (size_t column = 0; column < columns; ++column) {
      const float value = from.data[row * from.stride + column] + (bias != nullptr ? bias[column] : 0.0F);
      to.data[column * to.stride + row] = rectify && value < 0.0F ? 0.0F : value;
    }
  }
}

void max_pool_2x2(const float* planes, size_t count, size_t height, size_t width, float* to) {
  const auto larger = [](float best, float value) { return value > best ? value : best; };
  for (size_t plane = 0; plane < count; ++plane, planes += height * width) {
    for (size_t y = 0; y + 2 <= height; y += 2) {
      const float* upper = planes + y * width;
      const float* lower = upper + width;
      for (size_t x = 0; x + 2 <= width; x += 2)
        *to++ = larger(larger(larger(upper[x], upper[x + 1]), lower[x]), lower[x + 1]);
    }
  }
}

void max_pool_gradient_2x2(const float* planes, const float* gradient, size_t count, size_t height, size_t width,
                           bool rectified, float* to) {
  for (size_t plane = 0; plane < count; ++plane, planes += height * width, to += height * width) {
    for (size_t y = 0; y + 2 <= height; y += 2) {
      const float* upper = planes + y * width;
      const float* lower = upper + width;
      for (size_t x = 0; x + 2 <= width; x += 2, ++gradient) {
        const float best_ab = upper[x + 1] > upper[x] ? upper[x + 1] : upper[x];
        const float best_abc = lower[x] > best_ab ? lower[x] : best_ab;
        const float best = lower[x + 1] > best_abc ? lower[x + 1] : best_abc;
        const float to_best = rectified && !(best > 0.0F) ? 0.0F : *gradient;
        const float to_abc = lower[x + 1] > best_abc ? 0.0F : to_best;
        const float to_ab = lower[x] > best_ab ? 0.0F : to_abc;
        float* upper_to = to + y * width + x;
        float* lower_to = upper_to + width;
        upper_to[0] = upper[x + 1] > upper[x] ? 0.0F : to_ab;
        upper_to[1] = upper[x + 1] > upper[x] ? to_ab : 0.0F;
        lower_to[0] = lower[x] > best_ab ? to_abc : 0.0F;
        lower_to[1] = lower[x + 1] > best_abc ? to_best : 0.0F;
      }
    }
  }
}

void add_row_sums(ConstMatrix from, size_t rows, size_t width, float scale, size_t period, float* to) {
  for (size_t row = 0; row < rows; ++row) to[row % period] += scale * sum({from.data + row * from.stride, width});
}

bool all_finite(const float* values, size_t count) {
  constexpr uint32_t kExponent = 0x7F800000U;
  uint32_t found = 0;
  for (size_t index = 0; index < count; ++index)
    found |= (std::bit_cast<uint32_t>(values[index]) & kExponent) == kExponent ? 1U : 0U;
  return found == 0;
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

void copy_blocks(ConstMatrix from, size_t from_block, size_t blocks, size_t rows, size_t width, Matrix to,
                 size_t to_block) {
  RUNNEL_CHOOSE(copy_blocks, from, from_block, blocks, rows, width, to, to_block);
}

void finish_rows(ConstMatrix from, size_t rows, size_t width, float bias, bool rectify, Matrix to) {
  RUNNEL_CHOOSE(finish_rows, from, rows, width, bias, rectify, to);
}

void transpose(ConstMatrix from, size_t rows, size_t columns, Matrix to) {
  RUNNEL_CHOOSE(transpose, from, rows, columns, to);
}

void finish_transposed(ConstMatrix from, size_t rows, size_t columns, const float* bias, bool rectify, Matrix to) {
  RUNNEL_CHOOSE(finish_transposed, from, rows, columns, bias, rectify, to);
}

void max_pool_2x2(const float* planes, size_t count, size_t height, size_t width, float* to) {
  RUNNEL_CHOOSE(max_pool_2x2, planes, count, height, width, to);
}

void max_pool_gradient_2x2(const float* planes, const float* gradient, size_t count, size_t height, size_t width,
                           bool rectified, float* to) {
  RUNNEL_CHOOSE(max_pool_gradient_2x2, planes, gradient, count, height, width, rectified, to);
}

void add_row_sums(ConstMatrix from, size_t rows, size_t width, float scale, size_t period, float* to) {
  RUNNEL_CHOOSE(add_row_sums, from, rows, width, scale, period, to);
}

bool all_finite(const float* values, size_t count) {
  RUNNEL_CHOOSE(all_finite, values, count);
}

void rectify(float* values, size_t count) {
  RUNNEL_CHOOSE(rectify, values, count);
}

void rectify_gradient(const float* output, float* gradient, size_t count) {
  RUNNEL_CHOOSE(rectify_gradient, output, gradient, count);
}

}  // namespace runnel::tensor
