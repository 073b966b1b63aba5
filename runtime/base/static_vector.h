// A vector whose capacity is part of its type: no heap, trivially destructible contents only.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <type_traits>

#include "runtime/base/error.h"

namespace runnel {

template <typename T, size_t kCapacity>
class StaticVector {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  // False, and unchanged, when full.
  [[nodiscard]] bool push_back(const T& value) {
    if (size_ == kCapacity) return false;
    items_[size_++] = value;
    return true;
  }
  void clear() { size_ = 0; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  static constexpr size_t capacity() { return kCapacity; }
  T& operator[](size_t index) { return RUNNEL_ASSERT(index < size_), items_[index]; }
  const T& operator[](size_t index) const { return RUNNEL_ASSERT(index < size_), items_[index]; }
  T& back() { return (*this)[size_ - 1]; }
  const T& back() const { return (*this)[size_ - 1]; }
  const T* begin() const { return items_.data(); }
  const T* end() const { return items_.data() + size_; }
  T* begin() { return items_.data(); }
  T* end() { return items_.data() + size_; }
  friend bool operator==(const StaticVector& a, const StaticVector& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  std::array<T, kCapacity> items_{};
  size_t size_ = 0;
};

}  // namespace runnel
