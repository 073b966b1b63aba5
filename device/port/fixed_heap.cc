#include "device/port/fixed_heap.h"

#include <algorithm>

#include "runtime/base/error.h"

namespace runnel::port {

// Before each block of memory, free or not.
struct FixedHeap::Header {
  uint32_t bytes;         // with this header; the lowest bit is set while it is in use
  uint32_t bytes_before;  // of the block before this one; 0 for the first
  bool used() const { return (bytes & 1) != 0; }
  size_t size() const { return bytes & ~uint32_t{1}; }
};

FixedHeap::FixedHeap(MutableByteView block) : block_(block.first(block.size() / kAlignment * kAlignment)) {
  RUNNEL_ASSERT(reinterpret_cast<uintptr_t>(block.data()) % kAlignment == 0);
  RUNNEL_ASSERT(block_.size() >= sizeof(Header) && block_.size() < size_t{1} << 31);
  *at(0) = {static_cast<uint32_t>(block_.size()), 0};
}

FixedHeap::Header* FixedHeap::at(size_t offset) const {
  return reinterpret_cast<Header*>(block_.data() + offset);
}

// Null behind the last one.
FixedHeap::Header* FixedHeap::next(const Header* header) const {
  RUNNEL_ASSERT(header->size() >= sizeof(Header));  // else somebody wrote over it: a search would not end
  const size_t offset = static_cast<size_t>(reinterpret_cast<const uint8_t*>(header) - block_.data()) + header->size();
  return offset == block_.size() ? nullptr : at(offset);
}

void* FixedHeap::allocate(size_t bytes) {
  Header* best = nullptr;
  const size_t wanted = (std::max<size_t>(bytes, 1) + sizeof(Header) + kAlignment - 1) / kAlignment * kAlignment;
  if (!sealed_ && bytes < block_.size()) {
    for (Header* header = at(0); header != nullptr; header = next(header)) {
      if (!header->used() && header->size() >= wanted && (best == nullptr || header->size() < best->size()))
        best = header;
    }
  }
  if (best == nullptr) {
    ++refused_;
    largest_refused_ = std::max(largest_refused_, bytes);
    return nullptr;
  }
  const size_t rest = best->size() - wanted;
  if (rest > sizeof(Header)) {
    best->bytes = static_cast<uint32_t>(wanted);
    Header* behind = next(best);
    *behind = {static_cast<uint32_t>(rest), static_cast<uint32_t>(wanted)};
    if (Header* last = next(behind); last != nullptr) last->bytes_before = behind->bytes;  // free: no bit is set
  }
  best->bytes |= 1;
  used_ += best->size();
  peak_ = std::max(peak_, used_);
  auto* memory = reinterpret_cast<uint8_t*>(best + 1);
  reach_ = std::max(reach_, static_cast<size_t>(memory - block_.data()) - sizeof(Header) + best->size());
  return memory;
}

void FixedHeap::release(void* memory) {
  if (memory == nullptr) return;
  Header* header = static_cast<Header*>(memory) - 1;
  RUNNEL_ASSERT(header->used());
  used_ -= header->size();
  header->bytes &= ~uint32_t{1};
  if (Header* behind = next(header); behind != nullptr && !behind->used()) header->bytes += behind->bytes;
  if (header->bytes_before != 0) {
    auto* before = reinterpret_cast<Header*>(reinterpret_cast<uint8_t*>(header) - header->bytes_before);
    if (!before->used()) {
      before->bytes += header->bytes;
      header = before;
    }
  }
  if (Header* behind = next(header); behind != nullptr) behind->bytes_before = header->bytes;
}

}  // namespace runnel::port
