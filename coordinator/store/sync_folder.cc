#include "coordinator/store/sync_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace runnel::coordinator {

Failure sync_folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return fail(Error::kIo, "%s: %s", folder.c_str(), std::strerror(errno));
  const int synced = ::fsync(descriptor);
  const int code = errno;
  ::close(descriptor);
  return synced == 0 ? Failure(Error::kOk) : fail(Error::kIo, "%s: %s", folder.c_str(), std::strerror(code));
}

}  // namespace runnel::coordinator
