#include "device/port/mps2/readings.h"

#include "runtime/base/rng.h"

namespace runnel::port {
namespace {

// A triangle of that period, between -1 and 1: whole numbers first, so that every processor computes the same.
float wave(uint32_t at, uint32_t period) {
  const uint32_t phase = at % period * 64 / period;
  const int32_t height = phase < 32 ? static_cast<int32_t>(phase) - 16 : 48 - static_cast<int32_t>(phase);
  return static_cast<float>(height) / 16.0F;
}

}  // namespace

void Readings::read(uint32_t index, std::span<float> input, std::span<float> target) const {
  Rng rng(derive_key(board_, index));
  const auto state = static_cast<uint32_t>(rng.below(kReadingClasses));
  const auto begin = static_cast<uint32_t>(rng.below(64));
  // Each state has a period of its own, and an overtone; the windows begin anywhere.
  for (uint32_t i = 0; i < input.size(); ++i) {
    const float noise = static_cast<float>(rng.below(4096)) / 4096.0F - 0.5F;
    input[i] = wave(begin + i, 5 + 4 * state) + 0.5F * wave(begin + i, 3 + state) + 0.4F * noise;
  }
  if (!target.empty()) target[0] = static_cast<float>(state);
}

}  // namespace runnel::port
