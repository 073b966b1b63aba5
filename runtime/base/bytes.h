// Views of bytes, and little-endian loads and stores. Everything that runnel writes to a wire or a disk is
// little-endian.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

namespace runnel {

using ByteView = std::span<const uint8_t>;
using MutableByteView = std::span<uint8_t>;

template <typename T>
inline T load_le(const uint8_t* from) {
  static_assert(std::endian::native == std::endian::little, "the core assumes a little-endian processor");
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
inline void store_le(uint8_t* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

// True if [offset, offset + bytes) lies within [0, total), without overflow.
constexpr bool range_within(uint64_t offset, uint64_t bytes, uint64_t total) {
  return offset <= total && bytes <= total - offset;
}

}  // namespace runnel
