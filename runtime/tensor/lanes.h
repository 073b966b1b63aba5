// Loops over float vectors in sixteen lanes: element by element, and sums in an order that is fixed by the length
// alone.
//
// For this folder's own kernels. A block of sixteen is read before any of it is written, so an output may be the very
// memory of an input, and a compiler makes vector code of either width out of it with the same bits.
#pragma once

#include <cstddef>
#include <span>

namespace runnel::tensor {

inline constexpr size_t kLanes = 16;

// output[i] = f(i).
template <typename F>
void generate(std::span<float> output, F f) {
  size_t index = 0;
  for (; index + kLanes <= output.size(); index += kLanes) {
    float block[kLanes];
    for (size_t lane = 0; lane < kLanes; ++lane) block[lane] = f(index + lane);
    for (size_t lane = 0; lane < kLanes; ++lane) output[index + lane] = block[lane];
  }
  for (; index < output.size(); ++index) output[index] = f(index);
}

// output[i] = f(a[i]).
template <typename F>
void map(std::span<const float> a, std::span<float> output, F f) {
  generate(output, [a, f](size_t index) { return f(a[index]); });
}

// output[i] = f(a[i], b[i]).
template <typename F>
void map(std::span<const float> a, std::span<const float> b, std::span<float> output, F f) {
  generate(output, [a, b, f](size_t index) { return f(a[index], b[index]); });
}

// Sixteen running sums; element i of each range that is added goes to sum i modulo 16.
struct LaneSum {
  float lanes[kLanes] = {};

  // Adds f(i) for every i < count.
  template <typename F>
  void add(size_t count, F f) {
    size_t index = 0;
    for (; index + kLanes <= count; index += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += f(index + lane);
    }
    for (size_t lane = 0; index < count; ++index, ++lane) lanes[lane] += f(index);
  }

  float total() const {
    float half[kLanes];
    for (size_t lane = 0; lane < kLanes; ++lane) half[lane] = lanes[lane];
    for (size_t width = kLanes / 2; width > 0; width /= 2) {
      for (size_t lane = 0; lane < width; ++lane) half[lane] += half[lane + width];
    }
    return half[0];
  }
};

}  // namespace runnel::tensor
