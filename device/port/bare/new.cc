#include <new>

#include "device/port/bare/board.h"

namespace runnel::port {
namespace {

// Constructed by hand: its memory must be there before any constructor runs.
alignas(FixedHeap) unsigned char heap_memory[sizeof(FixedHeap)];
FixedHeap* the_heap = nullptr;

void* allocate_or_stop(std::size_t bytes) {
  void* memory = the_heap->allocate(bytes);
  if (memory == nullptr) board_stop("out of memory");
  return memory;
}

// For types that want more than the heap's own alignment: where the block begins stands right before it.
void* aligned(std::size_t bytes, std::align_val_t alignment) {
  const auto unit = static_cast<std::size_t>(alignment);
  auto* block = static_cast<unsigned char*>(allocate_or_stop(bytes + unit + sizeof(void*)));
  const auto first = reinterpret_cast<uintptr_t>(block + sizeof(void*));
  auto* memory = block + sizeof(void*) + (unit - first % unit) % unit;
  reinterpret_cast<void**>(memory)[-1] = block;
  return memory;
}
void release_aligned(void* memory) {
  if (memory != nullptr) the_heap->release(static_cast<void**>(memory)[-1]);
}

}  // namespace

void give_heap(MutableByteView block) {
  the_heap = new (heap_memory) FixedHeap(block);
}

FixedHeap& heap() {
  return *the_heap;
}

}  // namespace runnel::port

void* operator new(std::size_t bytes) {
  return runnel::port::allocate_or_stop(bytes);
}
void* operator new[](std::size_t bytes) {
  return runnel::port::allocate_or_stop(bytes);
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return runnel::port::the_heap->allocate(bytes);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return runnel::port::the_heap->allocate(bytes);
}
void operator delete(void* memory) noexcept {
  runnel::port::the_heap->release(memory);
}
void operator delete[](void* memory) noexcept {
  runnel::port::the_heap->release(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  runnel::port::the_heap->release(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  runnel::port::the_heap->release(memory);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return runnel::port::aligned(bytes, alignment);
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return runnel::port::aligned(bytes, alignment);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  runnel::port::release_aligned(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  runnel::port::release_aligned(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  runnel::port::release_aligned(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  runnel::port::release_aligned(memory);
}
