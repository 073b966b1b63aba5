#include "runtime/host/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace runnel::host {
namespace {

// 0 for what is absent or no whole number.
uint64_t number_in(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr || *text < '0' || *text > '9') return 0;
  char* end = nullptr;
  const unsigned long long number = std::strtoull(text, &end, 10);
  return *end == '\0' ? number : 0;
}

}  // namespace

ServiceManager::ServiceManager() {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  path_ = path;
  if (path_.size() >= sizeof(sockaddr_un::sun_path)) return;
  if (path_[0] == '@') path_[0] = '\0';
  socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const uint64_t process = number_in("WATCHDOG_PID");
  if (process != 0 && process != static_cast<uint64_t>(::getpid())) return;
  const uint64_t microseconds = std::min<uint64_t>(number_in("WATCHDOG_USEC"), 86400ULL * 1000000);
  beat_every_ = Duration(static_cast<Duration::rep>(microseconds / 2));
  if (present() && beat_every_ > Duration::zero()) beat_at_ = Instant{};
}

ServiceManager::~ServiceManager() {
  if (socket_ >= 0) ::close(socket_);
}

void ServiceManager::send(std::string_view message) {
  if (!present()) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size());
  // Never waits: a manager that does not read must not hold up the device.
  static_cast<void>(::sendto(socket_, message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                             reinterpret_cast<const sockaddr*>(&address), length));
}

void ServiceManager::tell_ready() {
  send("READY=1");
}

void ServiceManager::tell_stopping() {
  send("STOPPING=1");
}

void ServiceManager::tell_status(std::string_view text) {
  if (!present() || text == status_) return;
  status_ = text;
  send("STATUS=" + status_);
}

void ServiceManager::handle_timeout(Instant now) {
  if (beat_at_ == kNever || now < beat_at_) return;
  send("WATCHDOG=1");
  beat_at_ = now + beat_every_;
}

}  // namespace runnel::host
