// From reset to board_main(): the vector table, memory as C++ expects it, the heap, constructors.
#include <algorithm>
#include <cstdint>

#include "device/port/bare/board.h"
#include "device/port/mps2/mps2.h"

extern "C" {
// From the linker script.
extern uint8_t __data_begin[], __data_end[], __data_source[], __bss_begin[], __bss_end[];
extern uint8_t __heap_begin[], __heap_end[], __stack_begin[], __stack_top[];
extern void (*__init_array_begin[])();
extern void (*__init_array_end[])();

[[noreturn]] void reset_handler();
}

namespace runnel::port {
namespace {

constexpr uint8_t kPaint = 0xA5;

[[noreturn]] void fault() {
  board_stop("a fault: an address or an instruction that is none");
}
[[noreturn]] void unexpected() {
  board_stop("an interrupt that nobody asked for");
}

}  // namespace

size_t stack_peak_bytes() {
  const uint8_t* at = __stack_begin;
  while (at < __stack_top && *at == kPaint) ++at;
  return static_cast<size_t>(__stack_top - at);
}

bool stack_exhausted() {
  constexpr size_t kGuardBytes = 64;
  return std::any_of(__stack_begin, __stack_begin + kGuardBytes, [](uint8_t byte) { return byte != kPaint; });
}

size_t static_memory_bytes() {
  return static_cast<size_t>(__heap_begin - __data_begin);
}

void start() {
  // Below this function's own frame nothing of the stack is in use yet.
  auto* here = static_cast<uint8_t*>(__builtin_frame_address(0));
  for (volatile uint8_t* at = __stack_begin; at < here - 256; ++at) *at = kPaint;
  std::copy(__data_source, __data_source + (__data_end - __data_begin), __data_begin);
  std::fill(__bss_begin, __bss_end, uint8_t{0});
  give_heap({__heap_begin, static_cast<size_t>(__heap_end - __heap_begin)});
  for (auto constructor = __init_array_begin; constructor < __init_array_end; ++constructor) (*constructor)();
}

// The processor's sixteen entries, then the board's first interrupts: UART 0 receives and sends.
struct Vectors {
  const void* stack;
  void (*entries[17])();
};

__attribute__((section(".vectors"), used)) const Vectors vectors = {
    __stack_top,
    {reset_handler, unexpected, fault, fault, fault, fault, nullptr, nullptr, nullptr, nullptr, unexpected, unexpected,
     nullptr, unexpected, clock_interrupt, uart_receive_interrupt, unexpected}};

}  // namespace runnel::port

void reset_handler() {
  // The floating-point unit is off after a reset: access for everybody (ARMv7-M, CPACR).
  *reinterpret_cast<volatile uint32_t*>(0xE000ED88) |= 0xFU << 20;
  __asm__ volatile("dsb\n\tisb" ::: "memory");
  runnel::port::start();
  runnel::port::exit_board(runnel::port::board_main());
}
