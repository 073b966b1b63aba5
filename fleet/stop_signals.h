// Signals as something to poll: Ctrl-C and SIGTERM ask for an orderly end, SIGCHLD says that a child wants reaping.
//
// Threads: blocks these signals for the whole process; make it before any thread and keep one.
#pragma once

#include <csignal>

#include "fleet/fleet_error.h"
#include "fleet/unique_fd.h"

namespace runnel::fleet {

// The person at the terminal, or a supervisor, asked for the end.
class Interrupted : public FleetError {
 public:
  explicit Interrupted(int signal_number) : FleetError("interrupted"), signal_number_(signal_number) {}
  int exit_code() const { return 128 + signal_number_; }

 private:
  int signal_number_;
};

class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // Readable when a signal waits.
  int fd() const { return fd_.get(); }

  // Takes what has arrived. Throws Interrupted when it asks for the end.
  void check();

  // check(), after waiting for a signal for at most `timeout_ms`.
  void wait(int timeout_ms);

 private:
  sigset_t before_{};
  UniqueFd fd_;
};

}  // namespace runnel::fleet
