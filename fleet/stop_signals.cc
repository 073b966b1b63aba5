#include "fleet/stop_signals.h"

#include <poll.h>
#include <sys/signalfd.h>

namespace runnel::fleet {

StopSignals::StopSignals() {
  sigset_t taken;
  sigemptyset(&taken);
  for (const int each : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&taken, each);
  if (::sigprocmask(SIG_BLOCK, &taken, &before_) != 0) throw system_error("sigprocmask");
  fd_ = UniqueFd(::signalfd(-1, &taken, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!fd_.open()) throw system_error("signalfd");
}

StopSignals::~StopSignals() {
  ::sigprocmask(SIG_SETMASK, &before_, nullptr);
}

void StopSignals::check() {
  signalfd_siginfo info{};
  while (::read(fd_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo != SIGCHLD) throw Interrupted(static_cast<int>(info.ssi_signo));
  }
}

void StopSignals::wait(int timeout_ms) {
  pollfd signal{fd_.get(), POLLIN, 0};
  ::poll(&signal, 1, timeout_ms);
  check();
}

}  // namespace runnel::fleet
