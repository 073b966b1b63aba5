#include "runtime/host/stop_signal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace runnel::host {
namespace {

volatile std::sig_atomic_t requested = 0;
int pipe_ends[2] = {-1, -1};  // to read, to write

void on_signal(int signal) {
  if (requested != 0) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  requested = 1;
  const int error = errno;
  static_cast<void>(::write(pipe_ends[1], "", 1) == 1);  // a full pipe is readable too
  errno = error;
}

}  // namespace

void install_stop_signals() {
  // Without it a wait is only interrupted, as by any signal.
  if (pipe_ends[0] < 0 && ::pipe2(pipe_ends, O_NONBLOCK | O_CLOEXEC) != 0) pipe_ends[0] = pipe_ends[1] = -1;
  struct sigaction action = {};
  action.sa_handler = on_signal;  // without SA_RESTART: a wait is to be interrupted
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

bool stop_requested() {
  return requested != 0;
}

int stop_signal_fd() {
  return pipe_ends[0];
}

void drain_stop_signal() {
  char bytes[16];
  while (::read(pipe_ends[0], bytes, sizeof bytes) > 0) {
  }
}

}  // namespace runnel::host
