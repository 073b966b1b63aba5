// What a board and a host must compute alike, to the last bit: training step by step, every codec there and back,
// messages, a journal on a disk in memory, and two ends of a line that loses and garbles. Each result is one line of
// text with a checksum; tests/cortex_m/expected.txt has them all.
#pragma once

namespace runnel::agreement {

struct Host {
  void (*say)(const char* line);
  // Between these two calls nothing may take memory.
  void (*begin_steady)();
  void (*end_steady)();
};

void run(const Host& host);

}  // namespace runnel::agreement
