#include "runtime/codec/qsgd_quantizer.h"

#include <cstddef>

namespace runnel::codec {

double l2_norm(std::span<const float> values) {
  // Four sums side by side: as many as two vector registers of doubles, and the order is part of the code, not the
  // machine.
  double sums[4] = {};
  size_t i = 0;
  for (; i + 4 <= values.size(); i += 4) {
    for (size_t lane = 0; lane < 4; ++lane) {
      const double value = values[i + lane];
      sums[lane] += value * value;
    }
  }
  for (size_t lane = 0; i < values.size(); ++i, ++lane) {
    const double value = values[i];
    sums[lane] += value * value;
  }
  return std::sqrt((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

void quantize_levels(std::span<const float> values, float norm, uint32_t levels, const CounterRng& rng,
                     uint32_t first_index, std::span<uint16_t> out) {
  const auto levels_float = static_cast<float>(levels);
  for (size_t i = 0; i < values.size(); ++i) {
    // Dividing, rather than multiplying by s / N, keeps x <= s and survives a denormal norm.
    const float x = std::abs(values[i]) / norm * levels_float;
    const auto below = static_cast<int32_t>(x);
    const float fraction = x - static_cast<float>(below);
    const int32_t up = rng.uniform_at(first_index + static_cast<uint32_t>(i)) < fraction ? 1 : 0;
    out[i] = static_cast<uint16_t>(below + up);
  }
}

}  // namespace runnel::codec
