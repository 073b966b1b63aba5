#include "device/port/mps2/mps2.h"

#include <array>

#include "device/port/bare/board.h"

namespace runnel::port {
namespace {

constexpr uint32_t kClockHz = 25'000'000;  // SYSCLK of AN386 and AN500

volatile uint32_t& reg(uintptr_t address) {
  return *reinterpret_cast<volatile uint32_t*>(address);
}

// ARMv7-M.
constexpr uintptr_t kSysTickControl = 0xE000E010;
constexpr uintptr_t kSysTickReload = 0xE000E014;
constexpr uintptr_t kSysTickValue = 0xE000E018;
constexpr uintptr_t kInterruptEnable0 = 0xE000E100;

// The CMSDK's UART (Arm DDI 0479).
constexpr uintptr_t kUart = 0x40004000;
constexpr uintptr_t kUartData = kUart + 0x0;
constexpr uintptr_t kUartState = kUart + 0x4;    // bit 0: transmit buffer full, bit 1: receive buffer full
constexpr uintptr_t kUartControl = kUart + 0x8;  // bit 0: send, bit 1: receive, bit 3: interrupt on receiving
constexpr uintptr_t kUartInterrupts = kUart + 0xC;
constexpr uintptr_t kUartDivider = kUart + 0x10;
constexpr uint32_t kUartBaud = 115200;

volatile uint32_t milliseconds_since_start = 0;

// One writer (the interrupt), one reader. When it is full, what comes is lost, and the line asks for it again.
constexpr uint32_t kRingBytes = 1024;
std::array<uint8_t, kRingBytes> ring;
volatile uint32_t ring_written = 0;
volatile uint32_t ring_read = 0;

enum class Semihosting : int { kWriteText = 0x04, kCommandLine = 0x15, kExit = 0x20 };

int semihosting(Semihosting operation, const void* argument) {
  register int result __asm__("r0") = static_cast<int>(operation);
  register const void* given __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xAB" : "+r"(result) : "r"(given) : "memory");
  return result;
}

}  // namespace

void start_clock() {
  reg(kSysTickReload) = kClockHz / 1000 - 1;
  reg(kSysTickValue) = 0;
  reg(kSysTickControl) = 7;  // the processor's clock, with interrupt, on
}

void clock_interrupt() {
  milliseconds_since_start = milliseconds_since_start + 1;
}

// 32 bits of milliseconds last 49 days; a board that runs for longer counts the turns of the counter.
Instant now() {
  static uint32_t last = 0;
  static int64_t turns = 0;
  const uint32_t count = milliseconds_since_start;
  if (count < last) ++turns;
  last = count;
  return Instant{} + milliseconds((turns << 32) + int64_t{count});
}

void print(const char* text) {
  semihosting(Semihosting::kWriteText, text);
}

void exit_board(int status) {
  const std::array<uint32_t, 2> reason{0x20026, static_cast<uint32_t>(status)};  // the application's own exit
  semihosting(Semihosting::kExit, reason.data());
  for (;;) wait_for_interrupt();
}

void board_stop(const char* why) {
  print("runnel: stopped: ");
  print(why);
  print("\n");
  exit_board(134);
}

const char* command_line() {
  static std::array<char, 128> text;
  struct {
    char* to;
    uint32_t bytes;
  } const request{text.data(), static_cast<uint32_t>(text.size())};
  return semihosting(Semihosting::kCommandLine, &request) == 0 ? text.data() : "";
}

void start_uart() {
  reg(kUartDivider) = kClockHz / kUartBaud;
  reg(kUartControl) = 1 | 2 | 8;
  reg(kInterruptEnable0) = 1;  // UART 0 receives
}

void uart_receive_interrupt() {
  // First, so that a byte that comes behind the last look interrupts again.
  reg(kUartInterrupts) = 2;
  while ((reg(kUartState) & 2) != 0) {
    const auto byte = static_cast<uint8_t>(reg(kUartData));
    const uint32_t written = ring_written;
    if (written - ring_read < kRingBytes) {
      ring[written % kRingBytes] = byte;
      ring_written = written + 1;
    }
  }
}

bool uart_received_anything() {
  return ring_written != ring_read;
}

size_t uart_receive(MutableByteView into) {
  size_t count = 0;
  uint32_t at = ring_read;
  while (count < into.size() && at != ring_written) into[count++] = ring[at++ % kRingBytes];
  ring_read = at;
  return count;
}

void uart_send(ByteView bytes) {
  for (const uint8_t byte : bytes) {
    while ((reg(kUartState) & 1) != 0) {
    }
    reg(kUartData) = byte;
  }
}

}  // namespace runnel::port
