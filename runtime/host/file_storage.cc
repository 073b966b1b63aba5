#include "runtime/host/file_storage.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <limits>

#include "runtime/host/file_bytes.h"

namespace runnel::host {
namespace {

constexpr mode_t kMode = 0600;

Failure lock(int fd, const std::string& path) {
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) return fail(Error::kBusy, "%s is in use by another process", path.c_str());
    return fail_with_errno(errno, path, "lock");
  }
  return Error::kOk;
}

}  // namespace

Result<std::unique_ptr<FileStorage>> FileStorage::open(const std::string& path, const FileStorageOptions& options) {
  bool created = true;
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, kMode));
  if (!file.is_open() && errno == EEXIST) {
    created = false;
    file = FileDescriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  }
  if (!file.is_open()) return fail_with_errno(errno, path, "open");
  RUNNEL_TRY(lock(file.get(), path));
  std::unique_ptr<FileStorage> storage(new FileStorage(path, std::move(file)));
  if (const Failure failure = storage->prepare(options); !failure.ok()) {
    if (created) ::unlink(path.c_str());
    return failure;
  }
  return storage;
}

// Brings the file to its size and makes size and name durable. The name each time: an earlier run may have died between
// creating the file and syncing the folder.
Failure FileStorage::prepare(const FileStorageOptions& options) {
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) return fail_with_errno(errno, path_, "stat");
  if (!S_ISREG(status.st_mode)) return fail(Error::kInvalidArgument, "%s is not a plain file", path_.c_str());
  if (options.capacity_bytes > static_cast<uint64_t>(std::numeric_limits<off_t>::max())) {
    return fail(Error::kInvalidArgument, "%s: a capacity of %" PRIu64 " bytes", path_.c_str(), options.capacity_bytes);
  }
  size_bytes_ = static_cast<uint64_t>(status.st_size);
  const bool shorter = size_bytes_ < options.capacity_bytes;
  if (shorter) size_bytes_ = options.capacity_bytes;
  const auto size = static_cast<off_t>(size_bytes_);
  if (options.preallocate && size > 0) {
    int number = EINTR;
    while (number == EINTR) number = ::posix_fallocate(file_.get(), 0, size);
    if (number != 0) return fail_with_errno(number, path_, "take the disk space");
  }
  if (shorter && ::ftruncate(file_.get(), size) != 0) return fail_with_errno(errno, path_, "extend");
  if (::fsync(file_.get()) != 0) return fail_with_errno(errno, path_, "sync");
  // After an fsync that failed, in a process before this one, Linux goes on showing pages that never reached the disk.
  // They count as clean, so they can be dropped, and what is read from here on is what a power cut would leave. Best
  // effort: it is advice.
  static_cast<void>(::posix_fadvise(file_.get(), 0, 0, POSIX_FADV_DONTNEED));
  return sync_folder_of(path_);
}

Error FileStorage::read(uint64_t offset, MutableByteView into) {
  if (!range_within(offset, into.size(), size_bytes_)) {
    return remember(fail(Error::kInvalidArgument, "%s: read of %zu bytes at %" PRIu64 " leaves the file", path_.c_str(),
                         into.size(), offset));
  }
  while (!into.empty()) {
    const ssize_t got = ::pread(file_.get(), into.data(), into.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return remember(fail_with_errno(errno, path_, "read"));
    if (got == 0) {
      return remember(
          fail(Error::kIo, "%s: ends before offset %" PRIu64 ": it was cut short while in use", path_.c_str(), offset));
    }
    into = into.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
  return Error::kOk;
}

Error FileStorage::write(uint64_t offset, ByteView bytes) {
  if (!range_within(offset, bytes.size(), size_bytes_)) {
    return remember(fail(Error::kInvalidArgument, "%s: write of %zu bytes at %" PRIu64 " leaves the file",
                         path_.c_str(), bytes.size(), offset));
  }
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return remember(fail_with_errno(written < 0 ? errno : EIO, path_, "write"));
    bytes = bytes.subspan(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return Error::kOk;
}

Error FileStorage::sync() {
  int result = -1;
  do {
    result = ::fdatasync(file_.get());
  } while (result != 0 && errno == EINTR);
  return result == 0 ? Error::kOk : remember(fail_with_errno(errno, path_, "sync"));
}

Error FileStorage::remember(const Failure& failure) {
  last_failure_ = failure.text();
  return failure.error();
}

}  // namespace runnel::host
