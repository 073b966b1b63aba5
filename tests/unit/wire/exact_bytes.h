// Bytes in a heap block of exactly their size, aligned as the decoders require: a sanitizer sees a read one byte past
// the end.
#pragma once

#include <algorithm>
#include <memory>

#include "runtime/base/bytes.h"
#include "runtime/base/error.h"

namespace runnel::wire {

class ExactBytes {
 public:
  explicit ExactBytes(ByteView from) : bytes_(new uint8_t[from.size()]), size_(from.size()) {
    RUNNEL_ASSERT(reinterpret_cast<uintptr_t>(bytes_.get()) % 8 == 0);
    std::copy(from.begin(), from.end(), bytes_.get());
  }
  ByteView view() const { return {bytes_.get(), size_}; }
  uint8_t& operator[](size_t index) { return bytes_[index]; }
  void flip(size_t bit) { bytes_[bit / 8] = static_cast<uint8_t>(bytes_[bit / 8] ^ (1U << (bit % 8))); }
  size_t size() const { return size_; }

 private:
  std::unique_ptr<uint8_t[]> bytes_;
  size_t size_;
};

}  // namespace runnel::wire
