#include "coordinator/store/update_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "coordinator/store/sync_folder.h"

namespace runnel::coordinator {
namespace {

constexpr size_t kPiecesMax = 512;  // of one system call; Linux takes 1024

}  // namespace

UpdateFile::~UpdateFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Failure UpdateFile::failure(const char* doing, int code) const {
  const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  return fail(full ? Error::kStorageFull : Error::kIo, "%s: %s: %s", path_.c_str(), doing, std::strerror(code));
}

Failure UpdateFile::open(bool create) {
  if (descriptor_ >= 0) return Error::kOk;
  const int descriptor = ::open(path_.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
  if (descriptor < 0 && errno == ENOENT && !create)
    return fail(Error::kCorrupt, "%s: missing, and the database names updates in it", path_.c_str());
  if (descriptor < 0) return failure("opening", errno);
  // The file's name must survive a power cut before a row may speak of it.
  if (create) {
    if (Failure bad = sync_folder_of(path_); !bad.ok()) {
      ::close(descriptor);
      return bad;
    }
  }
  descriptor_ = descriptor;
  return Error::kOk;
}

Failure UpdateFile::write(uint64_t offset, std::span<const ByteView> blobs) {
  RUNNEL_TRY(open(true));
  Failure outcome = write_all(offset, blobs);
  if (outcome.ok() && ::fdatasync(descriptor_) != 0) outcome = failure("syncing", errno);
  if (!outcome.ok()) cut(offset);
  return outcome;
}

Failure UpdateFile::write_all(uint64_t offset, std::span<const ByteView> blobs) {
  uint64_t bytes = 0;
  for (const ByteView blob : blobs) bytes += blob.size();
  if (offset > bytes_max_ || bytes > bytes_max_ - offset) return failure("at its bound", ENOSPC);
  std::vector<iovec> pieces;
  size_t next = 0;     // blob to go on with
  size_t written = 0;  // of it
  while (next < blobs.size()) {
    if (written == blobs[next].size()) {
      ++next;
      written = 0;
      continue;
    }
    pieces.clear();
    for (size_t i = next; i < blobs.size() && pieces.size() < kPiecesMax; ++i) {
      const ByteView rest = blobs[i].subspan(i == next ? written : 0);
      pieces.push_back({const_cast<uint8_t*>(rest.data()), rest.size()});
    }
    const ssize_t count =
        ::pwritev(descriptor_, pieces.data(), static_cast<int>(pieces.size()), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return failure("writing", count == 0 ? ENOSPC : errno);
    offset += static_cast<uint64_t>(count);
    auto left = static_cast<size_t>(count);
    while (left > 0) {
      const size_t here = std::min(left, blobs[next].size() - written);
      left -= here;
      written += here;
      if (written == blobs[next].size()) {
        ++next;
        written = 0;
      }
    }
  }
  return Error::kOk;
}

Failure UpdateFile::read(uint64_t offset, MutableByteView out) {
  RUNNEL_TRY(open(false));
  size_t filled = 0;
  while (filled < out.size()) {
    const ssize_t count =
        ::pread(descriptor_, out.data() + filled, out.size() - filled, static_cast<off_t>(offset + filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failure("reading", errno);
    if (count == 0) return fail(Error::kCorrupt, "%s: damaged: it ends too early", path_.c_str());
    filled += static_cast<size_t>(count);
  }
  return Error::kOk;
}

void UpdateFile::cut(uint64_t bytes) {
  struct stat status {};
  if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) return;
  if (static_cast<uint64_t>(status.st_size) <= bytes) return;
  const int outcome = ::ftruncate(descriptor_, static_cast<off_t>(bytes));
  static_cast<void>(outcome);
}

}  // namespace runnel::coordinator
