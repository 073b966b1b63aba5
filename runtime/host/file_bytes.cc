#include "runtime/host/file_bytes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <system_error>

#include "runtime/host/file_descriptor.h"

namespace runnel::host {
namespace {

Failure write_all(int fd, ByteView bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return fail_with_errno(errno, path, "write");
    }
    if (written == 0) return fail_with_errno(EIO, path, "write");
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return Error::kOk;
}

Failure fill(int fd, ByteView bytes, mode_t mode, const std::string& path) {
  if (::fchmod(fd, mode) != 0) return fail_with_errno(errno, path, "set the mode");
  RUNNEL_TRY(write_all(fd, bytes, path));
  if (::fsync(fd) != 0) return fail_with_errno(errno, path, "sync");
  return Error::kOk;
}

}  // namespace

Error error_of_errno(int number) {
  switch (number) {
    case 0:
      return Error::kOk;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return Error::kStorageFull;
    case ENOENT:
    case ENOTDIR:
      return Error::kNotFound;
    case ENOMEM:
      return Error::kNoMemory;
    default:
      return Error::kIo;
  }
}

Failure fail_with_errno(int number, const std::string& path, const char* what) {
  return fail(error_of_errno(number), "%s: %s: %s", path.c_str(), what,
              std::generic_category().message(number).c_str());
}

Result<std::vector<uint8_t>> read_file(const std::string& path, uint64_t bytes_max) {
  constexpr size_t kPieceBytes = 64 << 10;
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return fail_with_errno(errno, path, "open");
  // The size is a hint only: a file may grow meanwhile, and some (under /proc) have none.
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return fail_with_errno(errno, path, "stat");
  std::vector<uint8_t> bytes;
  if (status.st_size > 0)
    bytes.reserve(static_cast<size_t>(std::min<uint64_t>(static_cast<uint64_t>(status.st_size), bytes_max)) + 1);
  for (;;) {
    // One byte more than allowed is asked for, so that too long a file shows.
    const uint64_t allowed = bytes_max - bytes.size();
    const size_t piece = allowed < kPieceBytes ? static_cast<size_t>(allowed) + 1 : kPieceBytes;
    const size_t used = bytes.size();
    bytes.resize(used + piece);
    const ssize_t got = ::read(file.get(), bytes.data() + used, piece);
    const int number = errno;
    bytes.resize(used + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && number == EINTR) continue;
    if (got < 0) return fail_with_errno(number, path, "read");
    if (got == 0) return bytes;
    if (bytes.size() > bytes_max) {
      return fail(Error::kLimit, "%s: more than %" PRIu64 " bytes", path.c_str(), bytes_max);
    }
  }
}

Failure write_file_atomically(const std::string& path, ByteView bytes, mode_t mode) {
  std::string temporary = path + ".XXXXXX";
  const FileDescriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!file.is_open()) return fail_with_errno(errno, path, "create a temporary file beside it");
  Failure failure = fill(file.get(), bytes, mode, path);
  if (failure.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) {
    failure = fail_with_errno(errno, path, "rename a temporary file to it");
  }
  if (!failure.ok()) {
    ::unlink(temporary.c_str());
    return failure;
  }
  return sync_folder_of(path);
}

Failure sync_folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const FileDescriptor file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file.is_open()) return fail_with_errno(errno, folder, "open");
  if (::fsync(file.get()) != 0) return fail_with_errno(errno, folder, "sync");
  return Error::kOk;
}

}  // namespace runnel::host
