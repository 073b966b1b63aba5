// What bare-metal programs of ours need of a board, for every board: a heap before the first constructor, and somewhere
// to stop.
//
// The board's startup code calls give_heap() before constructors run. Everything else in this folder stands in for
// parts of the C and C++ libraries that would need an operating system, or bring exceptions: operator new, printf into
// memory, and what the libraries call when they give up.
#pragma once

#include "device/port/fixed_heap.h"

namespace runnel::port {

// The block that operator new takes from. Once, before anything is constructed.
void give_heap(MutableByteView block);
FixedHeap& heap();

// The board's own: says why on whatever it has (a console, a word of memory that survives), and starts anew or stands
// still. The outbox is durable, so starting anew is always right.
[[noreturn]] void board_stop(const char* why);

}  // namespace runnel::port
