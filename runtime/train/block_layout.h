// Where each buffer stands in one block of memory, worked out before there is a block: the same code that reports how
// much memory a trainer needs lays that memory out, so the report cannot be wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/arena.h"
#include "runtime/base/bytes.h"

namespace runnel::train {

// `count` elements at an offset of the block; every piece starts on a cache line.
template <typename T>
struct Piece {
  uint64_t offset_bytes = 0;
  uint64_t count = 0;

  // REQUIRES: the block has at least BlockLayout::bytes() bytes and is aligned to Arena::kAlignment.
  std::span<T> in(MutableByteView block) const {
    return {reinterpret_cast<T*>(block.data() + offset_bytes), static_cast<size_t>(count)};
  }
};

// Sizes are 64-bit, so that a model far too large for a 32-bit processor is refused rather than miscounted.
class BlockLayout {
 public:
  // REQUIRES: count < 2^48.
  template <typename T>
  Piece<T> add(uint64_t count) {
    const Piece<T> piece{bytes_, count};
    bytes_ += (count * sizeof(T) + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
    return piece;
  }

  uint64_t bytes() const { return bytes_; }

 private:
  uint64_t bytes_ = 0;
};

}  // namespace runnel::train
