// Tells a service manager (systemd) that the program is up, that it is alive, and that it is about to go, in the
// protocol of sd_notify(3): datagrams to the socket that $NOTIFY_SOCKET names. Without that variable nothing is sent.
//
// Threads: one. Time: the caller's. A message that cannot be sent is lost: the manager's timeout is the remedy.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/time.h"

namespace runnel::host {

class ServiceManager {
 public:
  // Reads $NOTIFY_SOCKET and, if it is meant for this process, $WATCHDOG_USEC.
  ServiceManager();
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  bool present() const { return socket_ >= 0; }

  void tell_ready();
  void tell_stopping();
  // One line for people, as `systemctl status` shows it. Sent when it differs from the last one.
  void tell_status(std::string_view text);

  // Sends a sign of life when one is due: twice in the time after which the manager gives the program up.
  void handle_timeout(Instant now);
  Instant next_timeout() const { return beat_at_; }

 private:
  void send(std::string_view message);

  int socket_ = -1;
  std::string path_;  // of the manager's socket; a leading 0 byte is an abstract one
  std::string status_;
  Duration beat_every_{};  // zero: no watchdog
  Instant beat_at_ = kNever;
};

}  // namespace runnel::host
