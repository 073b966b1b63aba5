// What Linux says about a running process: memory and time.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace runnel::bench {

struct ProcessFigures {
  uint64_t resident_bytes = 0;
  uint64_t resident_bytes_max = 0;  // since it began
  uint64_t private_bytes = 0;       // its own, as far as they are resident
  uint64_t shared_out_bytes = 0;    // its proportional share of everything (Pss)
  double processor_s = 0.0;         // user and system time of all its threads
};

// Zeros where a figure is not to be had.
ProcessFigures figures_of(pid_t process);

}  // namespace runnel::bench
