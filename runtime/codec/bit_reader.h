// Reads the bits that a BitWriter packed. Beyond the end there are zero bits, and overrun() says that they were used.
//
// Trust: the bytes may be anyone's. No call can read outside them, and asking for too much is not an error until the
// reader says so; hence a decoder may check once a bucket instead of once a bit, provided that its loops are bounded
// otherwise. Memory: borrows the bytes. Threads: one at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/base/bytes.h"

namespace runnel::codec {

class BitReader {
 public:
  explicit BitReader(ByteView bytes)
      : next_(bytes.data()), left_bytes_(bytes.size()), total_bits_(bytes.size() * 8ULL) {}

  // The next 32 bits, the first of them most significant, without consuming them.
  uint32_t peek32() {
    if (window_bits_ < 32) refill();
    return static_cast<uint32_t>(window_ >> (window_bits_ - 32));
  }

  // REQUIRES: count <= 32, and peek32() was called since the last skip().
  void skip(unsigned count) {
    window_bits_ -= count;
    used_bits_ += count;
  }

  // One bit.
  uint32_t bit() {
    const uint32_t value = peek32() >> 31;
    skip(1);
    return value;
  }

  // True once more bits were consumed than there are.
  bool overrun() const { return used_bits_ > total_bits_; }
  uint64_t used_bits() const { return used_bits_; }

 private:
  // Called with fewer than 32 bits in the window; leaves at least 32.
  void refill() {
    if (left_bytes_ >= 4) {
      window_ = (window_ << 32) | __builtin_bswap32(load_le<uint32_t>(next_));
      next_ += 4;
      left_bytes_ -= 4;
      window_bits_ += 32;
      return;
    }
    for (unsigned i = 0; i < 4; ++i) {
      window_ <<= 8;
      if (left_bytes_ > 0) {
        window_ |= *next_++;
        --left_bytes_;
      }
    }
    window_bits_ += 32;
  }

  const uint8_t* next_;
  size_t left_bytes_;
  uint64_t total_bits_;
  uint64_t used_bits_ = 0;
  uint64_t window_ = 0;       // its low window_bits_ bits are the next ones
  unsigned window_bits_ = 0;  // at most 63
};

}  // namespace runnel::codec
