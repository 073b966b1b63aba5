#include "coordinator/store/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace runnel::coordinator {

RunLock::~RunLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<RunLock> RunLock::take(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    return fail(errno == ENOSPC ? Error::kStorageFull : Error::kIo, "%s: %s", path.c_str(), std::strerror(errno));
  }
  RunLock lock(descriptor);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail(Error::kIo, "%s: %s", path.c_str(), std::strerror(errno));
    char holder[24] = {};
    const ssize_t length = ::pread(descriptor, holder, sizeof holder - 1, 0);
    const bool known = length > 0 && std::strspn(holder, "0123456789") > 0;
    holder[std::strspn(holder, "0123456789")] = '\0';
    return fail(Error::kBusy, "%s: another runnel-coordinator runs this fleet%s%s", path.c_str(),
                known ? ", process " : "", holder);
  }
  // The number is for people; the lock holds with or without it, so a full disk does not matter here.
  char self[24];
  const int length = std::snprintf(self, sizeof self, "%ld\n", static_cast<long>(::getpid()));
  const bool written =
      ::ftruncate(descriptor, 0) == 0 && ::pwrite(descriptor, self, static_cast<size_t>(length), 0) == length;
  static_cast<void>(written);
  return lock;
}

}  // namespace runnel::coordinator
