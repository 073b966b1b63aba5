#include "runtime/host/gzip_file.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace runnel::host {
namespace {

constexpr unsigned kReadBytesMax = 1U << 20;  // of one call to zlib, whose count is an int

}  // namespace

Result<GzipFile> GzipFile::open(const std::string& path) {
  errno = 0;
  gzFile file = gzopen(path.c_str(), "rbe");
  if (file == nullptr) {
    const int error = errno != 0 ? errno : ENOMEM;
    return fail(error == ENOENT ? Error::kNotFound : Error::kIo, "%s: cannot be opened: %s", path.c_str(),
                strerror(error));
  }
  return GzipFile(path, file);
}

GzipFile::GzipFile(GzipFile&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, nullptr)) {}

GzipFile::~GzipFile() {
  if (file_ != nullptr) gzclose_r(file_);
}

Result<size_t> GzipFile::read(MutableByteView into) {
  size_t filled = 0;
  while (filled < into.size()) {
    const auto wanted = static_cast<unsigned>(std::min<size_t>(into.size() - filled, kReadBytesMax));
    const int got = gzread(file_, into.data() + filled, wanted);
    if (got > 0) filled += static_cast<size_t>(got);
    if (got == static_cast<int>(wanted)) continue;
    // Short: the end, or an error. zlib reports a stream that was cut off by this status alone, not by the count.
    int status = Z_OK;
    const char* words = gzerror(file_, &status);
    if (status == Z_OK || status == Z_STREAM_END) break;
    if (status == Z_ERRNO) return fail(Error::kIo, "%s: cannot be read: %s", path_.c_str(), strerror(errno));
    if (status == Z_BUF_ERROR) return fail(Error::kTruncated, "%s: the gzip data stops before its end", path_.c_str());
    return fail(Error::kCorrupt, "%s: damaged gzip data (%s)", path_.c_str(), words);
  }
  return filled;
}

}  // namespace runnel::host
