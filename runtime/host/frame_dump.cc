#include "runtime/host/frame_dump.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "runtime/host/log.h"

namespace runnel::host {

Result<FrameDump> FrameDump::open(const std::string& folder) {
  FrameDump dump;
  if (folder.empty()) return dump;
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(Error::kIo, "%s: %s", folder.c_str(), std::strerror(errno));
  }
  dump.folder_ = folder;
  return dump;
}

void FrameDump::write(std::string_view direction, std::string_view name, std::string_view extension, ByteView bytes) {
  if (folder_.empty()) return;
  char file[160];
  std::snprintf(file, sizeof file, "/%06llu-%.*s-%.*s.%.*s", static_cast<unsigned long long>(next_++),
                static_cast<int>(direction.size()), direction.data(), static_cast<int>(name.size()), name.data(),
                static_cast<int>(extension.size()), extension.data());
  const std::string path = folder_ + file;
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool written =
      descriptor >= 0 && ::write(descriptor, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  if (!written) {
    log_line(LogLevel::kWarning, "%s: %s; no more frames are dumped", path.c_str(), std::strerror(errno));
    folder_.clear();
  }
  if (descriptor >= 0) ::close(descriptor);
}

}  // namespace runnel::host
