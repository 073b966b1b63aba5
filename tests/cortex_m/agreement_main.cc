// The board's side of the comparison: prints the lines, and stops at the first thing that takes memory where it may
// not.
#include "device/port/bare/board.h"
#include "device/port/mps2/mps2.h"
#include "tests/cortex_m/agreement.h"

namespace {

void say(const char* line) {
  runnel::port::print(line);
  runnel::port::print("\n");
}
void begin_steady() {
  runnel::port::heap().seal();
}
void end_steady() {
  runnel::port::heap().unseal();
  if (runnel::port::heap().refused() != 0) runnel::port::board_stop("memory was asked for where none may be taken");
}

}  // namespace

int runnel::port::board_main() {
  runnel::port::start_clock();
  runnel::agreement::run({say, begin_steady, end_steady});
  say("end");
  return 0;
}
