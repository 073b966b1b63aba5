#include "runtime/base/crc32c.h"

#include <array>
#include <cstring>

#include "runtime/base/crc32c_plain.h"

namespace runnel {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78U;  // reflected

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1U) != 0 ? kPolynomial : 0U);
    table[byte] = value;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kTable = make_table();

#if defined(__x86_64__)
constexpr size_t kLaneBytes = 1024;

// What kLaneBytes zeros make of a checksum. It is linear in the checksum's bits: a matrix over them, doubled as often
// as it takes, and then looked up a byte at a time.
constexpr std::array<std::array<uint32_t, 256>, 4> make_lane_shift() {
  std::array<uint32_t, 32> shift{};
  for (uint32_t bit = 0; bit < 32; ++bit) {
    const uint32_t value = 1U << bit;
    shift[bit] = (value >> 8) ^ kTable[value & 0xFFU];
  }
  const auto apply = [](const std::array<uint32_t, 32>& matrix, uint32_t value) {
    uint32_t result = 0;
    for (uint32_t bit = 0; value != 0; ++bit, value >>= 1) result ^= (value & 1U) != 0 ? matrix[bit] : 0U;
    return result;
  };
  for (size_t zeros = 1; zeros < kLaneBytes; zeros *= 2) {
    const std::array<uint32_t, 32> once = shift;
    for (uint32_t bit = 0; bit < 32; ++bit) shift[bit] = apply(once, once[bit]);
  }
  std::array<std::array<uint32_t, 256>, 4> table{};
  for (uint32_t place = 0; place < 4; ++place) {
    for (uint32_t byte = 0; byte < 256; ++byte) table[place][byte] = apply(shift, byte << (8 * place));
  }
  return table;
}

constexpr std::array<std::array<uint32_t, 256>, 4> kLaneShift = make_lane_shift();

uint64_t shift_lane(uint64_t value) {
  return kLaneShift[0][value & 0xFFU] ^ kLaneShift[1][(value >> 8) & 0xFFU] ^ kLaneShift[2][(value >> 16) & 0xFFU] ^
         kLaneShift[3][(value >> 24) & 0xFFU];
}

__attribute__((target("sse4.2"))) inline uint64_t add_word(uint64_t value, const uint8_t* at) {
  uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return __builtin_ia32_crc32di(value, word);
}

// SSE 4.2 has an instruction for just this polynomial: eight bytes, of which the next may begin in every cycle but each
// takes three. So three lanes go side by side and are put together afterwards.
__attribute__((target("sse4.2"))) uint32_t crc32c_sse42(ByteView bytes, uint32_t previous) {
  uint64_t value = ~previous;
  const uint8_t* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 3 * kLaneBytes; left -= 3 * kLaneBytes, at += 3 * kLaneBytes) {
    uint64_t second = 0;
    uint64_t third = 0;
    for (size_t i = 0; i < kLaneBytes; i += 8) {
      value = add_word(value, at + i);
      second = add_word(second, at + kLaneBytes + i);
      third = add_word(third, at + 2 * kLaneBytes + i);
    }
    value = shift_lane(shift_lane(value) ^ second) ^ third;
  }
  for (; left >= 8; left -= 8, at += 8) value = add_word(value, at);
  auto rest = static_cast<uint32_t>(value);
  for (; left > 0; --left, ++at) rest = __builtin_ia32_crc32qi(rest, *at);
  return ~rest;
}
#endif

}  // namespace

uint32_t crc32c_plain(ByteView bytes, uint32_t previous) {
  uint32_t value = ~previous;
  for (const uint8_t byte : bytes) value = (value >> 8) ^ kTable[(value ^ byte) & 0xFFU];
  return ~value;
}

uint32_t crc32c(ByteView bytes, uint32_t previous) {
#if defined(__x86_64__)
  static const bool fast = __builtin_cpu_supports("sse4.2") != 0;
  if (fast) return crc32c_sse42(bytes, previous);
#endif
  return crc32c_plain(bytes, previous);
}

}  // namespace runnel
