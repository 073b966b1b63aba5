// Packs bits into bytes, the first bit into the most significant bit of the first byte.
//
// Memory: writes into the caller's buffer and never past the bits it was given. Threads: one at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/base/bytes.h"
#include "runtime/base/error.h"

namespace runnel::codec {

class BitWriter {
 public:
  explicit BitWriter(MutableByteView out) : next_(out.data()), capacity_bytes_(out.size()) {}

  // Appends the low `count` bits of `bits`, the most significant of them first.
  // REQUIRES: count <= 32, the other bits of `bits` are zero, and `out` has room.
  void put(uint32_t bits, unsigned count) {
    pending_ = (pending_ << count) | bits;
    pending_bits_ += count;
    if (pending_bits_ < 32) return;
    pending_bits_ -= 32;
    RUNNEL_ASSERT(capacity_bytes_ - written_bytes_ >= 4);
    store_le(next_ + written_bytes_, __builtin_bswap32(static_cast<uint32_t>(pending_ >> pending_bits_)));
    written_bytes_ += 4;
  }

  // Fills the last byte with zero bits and returns how many bytes were written in all. Nothing may be put afterwards.
  size_t finish() {
    for (; pending_bits_ > 0; ++written_bytes_) {
      RUNNEL_ASSERT(written_bytes_ < capacity_bytes_);
      const unsigned taken = pending_bits_ < 8 ? pending_bits_ : 8;
      pending_bits_ -= taken;
      next_[written_bytes_] = static_cast<uint8_t>((pending_ >> pending_bits_) << (8 - taken));
    }
    return written_bytes_;
  }

 private:
  uint8_t* next_;
  size_t capacity_bytes_;
  size_t written_bytes_ = 0;
  uint64_t pending_ = 0;       // its low pending_bits_ bits wait to be stored; what is above them is stale
  unsigned pending_bits_ = 0;  // below 32 between calls
};

}  // namespace runnel::codec
