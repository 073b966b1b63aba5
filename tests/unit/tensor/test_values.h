// Random vectors and comparisons for the kernel tests.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/tensor/window2d.h"

namespace runnel::tensor {

// Uniform in [-1, 1).
inline std::vector<float> random_values(Rng& rng, size_t count) {
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(2.0 * rng.uniform() - 1.0);
  return values;
}

// `terms` is the number of products in one sum: rounding grows with it.
inline void expect_close(std::span<const float> expected, std::span<const float> actual, size_t terms) {
  ASSERT_EQ(expected.size(), actual.size());
  const float bound = 5e-7F * static_cast<float>(terms + 4);
  for (size_t index = 0; index < expected.size(); ++index) {
    ASSERT_TRUE(std::abs(expected[index] - actual[index]) <= bound)
        << "at " << index << ": expected " << expected[index] << ", got " << actual[index] << ", bound " << bound;
  }
}

inline uint32_t in_range(Rng& rng, uint32_t low, uint32_t high) {
  return low + static_cast<uint32_t>(rng.below(high - low + 1));
}

// Any geometry with small sides, odd and even, rectangular, with strides that leave a rest.
inline Window2d random_window(Rng& rng, bool padded) {
  Window2d window;
  window.channels = in_range(rng, 1, 4);
  window.kernel_height = in_range(rng, 1, 5);
  window.kernel_width = in_range(rng, 1, 5);
  window.stride_height = in_range(rng, 1, 4);
  window.stride_width = in_range(rng, 1, 4);
  window.height = in_range(rng, window.kernel_height, 13);
  window.width = in_range(rng, window.kernel_width, 17);
  if (padded) {
    window.padding_height = in_range(rng, 0, window.kernel_height - 1);
    window.padding_width = in_range(rng, 0, window.kernel_width - 1);
  }
  return window;
}

inline std::string describe(const Window2d& window) {
  const auto pair = [](uint32_t a, uint32_t b) { return std::to_string(a) + "x" + std::to_string(b); };
  return std::to_string(window.channels) + "x" + pair(window.height, window.width) + " kernel " +
         pair(window.kernel_height, window.kernel_width) + " stride " +
         pair(window.stride_height, window.stride_width) + " padding " +
         pair(window.padding_height, window.padding_width);
}

}  // namespace runnel::tensor
