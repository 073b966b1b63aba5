// A heap of one block, for boards without an operating system: what operator new takes from (bare/new.cc). It never
// grows, and once sealed it gives nothing more.
//
// Best fit over blocks that know their neighbours; a board has a few dozen of them. Threads: one at a time, and not
// from interrupts. Memory: the block, 8 bytes of it for each allocation. Time: linear in the number of blocks.
#pragma once

#include <cstdint>

#include "runtime/base/bytes.h"

namespace runnel::port {

class FixedHeap {
 public:
  static constexpr size_t kAlignment = 8;

  // `block` is 8-byte aligned, below 2 GiB, and must outlive the heap.
  explicit FixedHeap(MutableByteView block);

  // 8-byte aligned; null when there is no room, or the heap is sealed.
  void* allocate(size_t bytes);
  // REQUIRES: null, or what allocate() gave and was not released since.
  void release(void* memory);

  // From now on allocate() gives nothing, and counts who asks: the proof that a piece of code takes no memory.
  void seal() { sealed_ = true; }
  void unseal() { sealed_ = false; }

  size_t capacity_bytes() const { return block_.size(); }
  size_t used_bytes() const { return used_; }  // with the 8 bytes of each allocation
  size_t peak_bytes() const { return peak_; }
  // How far the block has ever been used from its beginning, holes included: what it must at least hold.
  size_t reach_bytes() const { return reach_; }
  uint32_t refused() const { return refused_; }
  size_t largest_refused_bytes() const { return largest_refused_; }

 private:
  struct Header;
  Header* at(size_t offset) const;
  Header* next(const Header* header) const;

  MutableByteView block_;
  size_t used_ = 0;
  size_t peak_ = 0;
  size_t reach_ = 0;
  size_t largest_refused_ = 0;
  uint32_t refused_ = 0;
  bool sealed_ = false;
};

}  // namespace runnel::port
