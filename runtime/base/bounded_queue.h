// A first-in-first-out queue with a fixed capacity. When it is full, push says so; the owner's policy decides what
// gives.
#pragma once

#include <array>
#include <cstddef>
#include <utility>

#include "runtime/base/error.h"

namespace runnel {

template <typename T, size_t kCapacity>
class BoundedQueue {
  static_assert(kCapacity > 0);

 public:
  // False, and unchanged, when full.
  [[nodiscard]] bool push(T value) {
    if (full()) return false;
    items_[(first_ + size_) % kCapacity] = std::move(value);
    ++size_;
    return true;
  }

  // REQUIRES: !empty().
  T pop() {
    RUNNEL_ASSERT(!empty());
    T value = std::move(items_[first_]);
    first_ = (first_ + 1) % kCapacity;
    --size_;
    return value;
  }

  void clear() { first_ = size_ = 0; }
  bool empty() const { return size_ == 0; }
  bool full() const { return size_ == kCapacity; }
  size_t size() const { return size_; }

 private:
  std::array<T, kCapacity> items_{};
  size_t first_ = 0;
  size_t size_ = 0;
};

}  // namespace runnel
