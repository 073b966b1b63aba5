#include "runtime/base/arena.h"

#include <cstring>

namespace runnel {

void* Arena::allocate_bytes(size_t bytes) {
  if (bytes == 0) return nullptr;
  const auto next = reinterpret_cast<uintptr_t>(block_.data()) + used_;
  const size_t padding = (kAlignment - next % kAlignment) % kAlignment;
  const size_t available = block_.size() - used_;
  if (padding > available || bytes > available - padding) return nullptr;
  uint8_t* memory = block_.data() + used_ + padding;
  used_ += padding + bytes;
  std::memset(memory, 0, bytes);
  return memory;
}

}  // namespace runnel
