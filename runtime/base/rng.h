// Random numbers that are the same on every machine and compiler. Generators are passed in, like time.
//
// Rng is a stream (xoshiro256++, Blackman and Vigna 2019, seeded through SplitMix64). CounterRng is a function: the
// number at an index depends on the key and the index alone, so both ends of a link, and every lane of a vector unit,
// can make the same numbers without passing state. Neither is for secrets. The one exception to "the same": normal()
// and gamma() go through the C library's log and pow, whose last bit may differ between libraries.
#pragma once

#include <cstdint>

namespace runnel {

// One SplitMix64 step: mixes `value` into 64 well-distributed bits.
constexpr uint64_t mix64(uint64_t value) {
  value += 0x9E3779B97F4A7C15ULL;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
  return value ^ (value >> 31);
}

// A key made of several parts: order matters, every part changes every bit.
constexpr uint64_t derive_key(uint64_t key, uint64_t part) {
  return mix64(key ^ mix64(part));
}
template <typename... Parts>
constexpr uint64_t derive_key(uint64_t key, uint64_t part, Parts... parts) {
  return derive_key(derive_key(key, part), static_cast<uint64_t>(parts)...);
}

class Rng {
 public:
  explicit constexpr Rng(uint64_t seed) {
    for (uint64_t& word : state_) word = mix64(seed += 0x9E3779B97F4A7C15ULL);
  }

  constexpr uint64_t next_u64() {
    const uint64_t result = rotate(state_[0] + state_[3], 23) + state_[0];
    const uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

  // Uniform in [0, bound), without modulo bias. REQUIRES: bound > 0.
  constexpr uint64_t below(uint64_t bound) {
    const uint64_t threshold = (0 - bound) % bound;
    for (;;) {
      const uint64_t value = next_u64();
      if (value >= threshold) return value % bound;
    }
  }

  // Uniform in [0, 1), a multiple of 2^-53.
  constexpr double uniform() { return static_cast<double>(next_u64() >> 11) * 0x1.0p-53; }

  // Standard normal (Marsaglia's polar method).
  double normal();

  // Gamma with the given shape and scale 1 (Marsaglia and Tsang 2000). REQUIRES: shape > 0.
  double gamma(double shape);

 private:
  static constexpr uint64_t rotate(uint64_t value, int bits) { return (value << bits) | (value >> (64 - bits)); }
  uint64_t state_[4] = {};
};

// 32 random bits for each index; cheap in vector units (32-bit multiplies, shifts and xors only).
class CounterRng {
 public:
  explicit constexpr CounterRng(uint64_t key)
      : low_(static_cast<uint32_t>(mix64(key))), high_(static_cast<uint32_t>(mix64(key) >> 32)) {}

  constexpr uint32_t at(uint32_t index) const {
    uint32_t value = index ^ low_;
    value = (value ^ (value >> 16)) * 0x7FEB352DU;
    value = (value ^ (value >> 15)) * 0x846CA68BU;
    value = (value ^ (value >> 16)) + high_;
    value = (value ^ (value >> 16)) * 0x21F0AAADU;
    value = (value ^ (value >> 15)) * 0xD35A2D97U;
    return value ^ (value >> 15);
  }

  // Uniform in [0, 1), a multiple of 2^-24: exact in float.
  constexpr float uniform_at(uint32_t index) const { return static_cast<float>(at(index) >> 8) * 0x1.0p-24F; }

 private:
  uint32_t low_;
  uint32_t high_;
};

}  // namespace runnel
