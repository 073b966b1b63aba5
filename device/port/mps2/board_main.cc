// The example firmware: a board that trains on its own readings and speaks with its gateway over UART 0. Everything it
// needs is here or in static memory; board_session.h does the rest. The emulator's command line may name the board.
#include <array>
#include <cstdio>
#include <cstring>

#include "device/port/bare/board.h"
#include "device/port/board_session.h"
#include "device/port/mps2/mps2.h"
#include "device/port/mps2/readings.h"
#include "device/port/ram_disk.h"
#include "runtime/base/arena.h"
#include "runtime/journal/journal.h"

namespace runnel::port {
namespace {

constexpr size_t kTrainingBytes = 44'800;
constexpr size_t kLineBytes = 4864;
constexpr size_t kOutboxBytes = 8 * 1024;
constexpr uint32_t kReadings = 160;

alignas(Arena::kAlignment) std::array<uint8_t, kTrainingBytes> training_block;
alignas(8) std::array<uint8_t, kLineBytes> line_memory;
alignas(8) std::array<uint8_t, kOutboxBytes> outbox_memory;
// Large objects are better off here than on the stack.
alignas(journal::Journal) std::array<uint8_t, sizeof(journal::Journal)> journal_memory;
alignas(device::Outbox) std::array<uint8_t, sizeof(device::Outbox)> outbox_object;
alignas(BoardSession) std::array<uint8_t, sizeof(BoardSession)> session_memory;

void log(const char* line) {
  print(line);
  print("\n");
}

template <typename T>
T& construct(MutableByteView memory, Result<T> made, const char* what) {
  if (!made) {
    print(what);
    board_stop(made.failure().text());
  }
  return *new (memory.data()) T(std::move(made).value());
}

// The word behind the program's own name; without one the board is called d0.
std::string_view board_name() {
  const char* at = command_line();
  const char* blank = std::strchr(at, ' ');
  return blank == nullptr ? std::string_view("d0") : std::string_view(blank + 1);
}

void report_memory(const BoardSession& session) {
  char line[160];
  std::snprintf(line, sizeof line,
                "memory: static %u, heap %u (now %u, reach %u), stack %u; line: %u pieces, %u sent again, %u dropped",
                static_cast<unsigned>(static_memory_bytes()), static_cast<unsigned>(heap().peak_bytes()),
                static_cast<unsigned>(heap().used_bytes()), static_cast<unsigned>(heap().reach_bytes()),
                static_cast<unsigned>(stack_peak_bytes()), static_cast<unsigned>(session.line().counters().pieces_sent),
                static_cast<unsigned>(session.line().counters().pieces_sent_again),
                static_cast<unsigned>(session.line().frames_dropped()));
  log(line);
}

// Apart from run(), where what this takes of the stack would be taken for ever.
__attribute__((noinline)) BoardSession& make_session() {
  BoardOptions options;
  if (!options.name.assign(board_name())) board_stop("the board's name is too long");
  static_cast<void>(options.software.assign("runnel-board-mps2"));
  uint64_t board = 0;
  for (const char c : options.name.view()) board = derive_key(board, static_cast<uint8_t>(c));
  options.seed = board;
  options.nonce = static_cast<uint32_t>(board);
  options.log = log;
  if (BoardSession::line_memory_bytes(options) > line_memory.size()) board_stop("the line needs more memory");

  static RamDisk disk(outbox_memory);
  journal::Journal& journal =
      construct(journal_memory, journal::Journal::open(disk, journal::JournalOptions{}), "journal: ");
  device::Outbox& outbox = construct(outbox_object, device::Outbox::open(journal), "outbox: ");
  static const Readings readings(board, kReadings);
  return *new (session_memory.data()) BoardSession(options, outbox, readings, training_block, line_memory, now());
}

int run() {
  start_clock();
  start_uart();
  BoardSession& session = make_session();
  uint64_t reported = 0;
  while (!session.over()) {
    std::array<uint8_t, 256> bytes;
    for (size_t count = uart_receive(bytes); count > 0; count = uart_receive(bytes))
      session.handle_bytes(now(), ByteView(bytes).first(count));
    const bool more = session.turn(now());
    if (stack_exhausted()) board_stop("the stack is too small");
    for (ByteView out = session.poll_output(now()); !out.empty(); out = session.poll_output(now())) uart_send(out);
    if (const uint64_t acknowledged = session.engine().updates_acknowledged(); acknowledged != reported) {
      reported = acknowledged;
      report_memory(session);
    }
    // The clock ticks every millisecond, so nothing is ever late by more.
    if (!more && !uart_received_anything()) wait_for_interrupt();
  }
  report_memory(session);
  return session.engine().state() == device::DeviceState::kFinished ? 0 : 1;
}

}  // namespace

int board_main() {
  return run();
}

}  // namespace runnel::port
