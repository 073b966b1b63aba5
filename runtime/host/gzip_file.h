// A file read from front to back, decompressed on the way when it is gzip; which of the two it is shows in its first
// bytes.
//
// Memory: about 70 KiB, whatever the file's size. Threads: one at a time.
// Trust: the bytes are anybody's; a damaged or cut gzip stream is a Failure, never fewer bytes in silence.
#pragma once

#include <cstddef>
#include <string>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"

struct gzFile_s;

namespace runnel::host {

class GzipFile {
 public:
  // kNotFound when there is no such file, kIo when it cannot be read. The texts name the file.
  static Result<GzipFile> open(const std::string& path);

  GzipFile(GzipFile&& other) noexcept;
  GzipFile& operator=(GzipFile&&) = delete;
  ~GzipFile();

  // Fills `into`, or as much of it as there is before the end of the file, and returns how many bytes it wrote. Fails
  // with kCorrupt (damaged gzip), kTruncated (gzip that stops early) or kIo; the texts name the file.
  Result<size_t> read(MutableByteView into);

  const std::string& path() const { return path_; }

 private:
  GzipFile(std::string path, gzFile_s* file) : path_(std::move(path)), file_(file) {}

  std::string path_;
  gzFile_s* file_;
};

}  // namespace runnel::host
