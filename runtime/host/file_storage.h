// A journal's storage in a file of fixed size that one process has to itself.
//
// Threads: one at a time. Memory: a path and the last failure's text. Trust: the file may hold anything; its bytes are
// not looked at here. A process that may meet a file size limit (RLIMIT_FSIZE) must ignore SIGXFSZ to see kStorageFull.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/base/result.h"
#include "runtime/host/file_descriptor.h"
#include "runtime/journal/storage.h"

namespace runnel::host {

struct FileStorageOptions {
  uint64_t capacity_bytes = 0;  // a shorter file is extended with zeros, a longer one is used as it is
  // Take the disk space now, so that a full disk shows at the start and not at the first put; else the file may be
  // sparse.
  bool preallocate = false;
};

class FileStorage final : public journal::Storage {
 public:
  // Opens or creates the file (readable by its owner alone) and locks it until the object goes. kBusy: another process,
  // or another object of this one, has it. kStorageFull, kNotFound (no such folder), kIo, kInvalidArgument (not a plain
  // file). A file that was created is removed again on failure.
  static Result<std::unique_ptr<FileStorage>> open(const std::string& path, const FileStorageOptions& options);

  uint64_t size_bytes() const override { return size_bytes_; }
  // kInvalidArgument when the range leaves the file; kIo also when somebody has cut the file short.
  Error read(uint64_t offset, MutableByteView into) override;
  Error write(uint64_t offset, ByteView bytes) override;
  Error sync() override;

  const std::string& path() const { return path_; }
  // What the last failing read, write or sync ran into, with the path; empty when none has.
  const std::string& last_failure() const { return last_failure_; }

 private:
  FileStorage(std::string path, FileDescriptor file) : path_(std::move(path)), file_(std::move(file)) {}
  Failure prepare(const FileStorageOptions& options);
  Error remember(const Failure& failure);

  std::string path_;
  FileDescriptor file_;
  uint64_t size_bytes_ = 0;
  std::string last_failure_;
};

}  // namespace runnel::host
