// Arm's MPS2 board with a Cortex-M4 (AN386) or a Cortex-M7 (AN500), as QEMU emulates them: clock, console and UART 0.
//
// The clock ticks in milliseconds. UART 0 receives by interrupt into a ring, so that bytes are not lost while a
// minibatch is worked off, and sends by waiting. The console is the debugger's (semihosting): without one, nothing here
// may be printed. Threads: the main program's, and the two interrupts.
#pragma once

#include "runtime/base/bytes.h"
#include "runtime/base/time.h"

namespace runnel::port {

// The program, which startup.cc calls; what it returns is the emulator's exit status.
int board_main();

// --- clock ---
void start_clock();
Instant now();
// Sleeps until an interrupt.
inline void wait_for_interrupt() {
  __asm__ volatile("wfi" ::: "memory");
}

// --- console, through the debugger ---
void print(const char* text);
[[noreturn]] void exit_board(int status);
// The words that the emulator was given for the program, the program's name first; empty if there are none.
const char* command_line();

// --- UART 0 ---
void start_uart();
// Takes what has been received, up to what `into` holds; returns how many bytes.
size_t uart_receive(MutableByteView into);
bool uart_received_anything();
void uart_send(ByteView bytes);

// --- how much memory it took ---
size_t static_memory_bytes();  // of .data and .bss
size_t stack_peak_bytes();
// Its last bytes were written to: what lies below them, the heap, may be damaged.
bool stack_exhausted();

// For the vector table.
extern "C" void clock_interrupt();
extern "C" void uart_receive_interrupt();

}  // namespace runnel::port
