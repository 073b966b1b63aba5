// One block of memory, handed out front to back and never given back: peak use is known and nothing fragments.
//
// Memory: the block belongs to the caller and must outlive the arena. Threads: one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/bytes.h"

namespace runnel {

class Arena {
 public:
  static constexpr size_t kAlignment = 64;  // a cache line, and the widest vector register

  explicit Arena(MutableByteView block) : block_(block) {}

  // `count` zeroed elements aligned to kAlignment, or an empty span when they do not fit (the arena is then unchanged).
  // A count of zero gives an empty span and takes nothing.
  template <typename T>
  std::span<T> allocate(size_t count) {
    if (count > SIZE_MAX / sizeof(T)) return {};
    void* memory = allocate_bytes(count * sizeof(T));
    return memory == nullptr ? std::span<T>{} : std::span<T>{static_cast<T*>(memory), count};
  }

  size_t used_bytes() const { return used_; }
  size_t capacity_bytes() const { return block_.size(); }

  // What a block must hold so that `bytes` can be allocated from it after `used`, alignment included.
  static constexpr size_t aligned_bytes(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

 private:
  void* allocate_bytes(size_t bytes);

  MutableByteView block_;
  size_t used_ = 0;
};

}  // namespace runnel
