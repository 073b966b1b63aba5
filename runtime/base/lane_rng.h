// Sixteen random bits for every coordinate of a long vector, at the price of a few instructions for thirty-two of them.
//
// Eight xorshift128+ generators (Vigna 2017, shifts 23, 18, 5) run side by side; one step of all eight gives 32 numbers
// of 16 bits. Every chunk of 4096 coordinates begins anew from (key, chunk), so that any chunk can be made by itself,
// in any order and in any vector unit, and both ends of a link can make the same numbers. Not for secrets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/rng.h"

namespace runnel {

class LaneRng {
 public:
  static constexpr size_t kLanes = 8;          // generators
  static constexpr size_t kStep = 4 * kLanes;  // numbers made by one step
  static constexpr size_t kChunk = 4096;       // coordinates between fresh seeds
  using Numbers = std::span<uint16_t, kStep>;

  // The state at the start of a chunk, for kernels that step it themselves.
  struct State {
    alignas(64) uint64_t first[kLanes];
    alignas(64) uint64_t second[kLanes];
  };

  explicit constexpr LaneRng(uint64_t key) : key_(key) {}
  constexpr uint64_t key() const { return key_; }

  constexpr State start(uint64_t chunk) const {
    State state{};
    uint64_t word = derive_key(key_, chunk);
    for (uint64_t& lane : state.first) lane = mix64(word += 0x9E3779B97F4A7C15ULL);
    for (uint64_t& lane : state.second) lane = mix64(word += 0x9E3779B97F4A7C15ULL) | 1;
    return state;
  }

  // The numbers of the next 32 coordinates: lane l of the eight makes numbers 4l .. 4l+3, the lowest bits first.
  static constexpr void step(State& state, Numbers out) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      uint64_t x = state.first[lane];
      const uint64_t y = state.second[lane];
      state.first[lane] = y;
      x ^= x << 23;
      state.second[lane] = x ^ y ^ (x >> 18) ^ (y >> 5);
      const uint64_t sum = state.second[lane] + y;
      for (size_t part = 0; part < 4; ++part) out[4 * lane + part] = static_cast<uint16_t>(sum >> (16 * part));
    }
  }

 private:
  uint64_t key_;
};

}  // namespace runnel
