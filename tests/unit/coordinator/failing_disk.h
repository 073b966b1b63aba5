// SQLite's default file system, with a disk that refuses what a test says. One at a time.
#pragma once

#include <sqlite3.h>

#include <cstring>

namespace runnel::coordinator {

class FailingDisk {
 public:
  enum class Refuses { kNothing, kSync, kRoom };

  FailingDisk() {
    base_ = sqlite3_vfs_find(nullptr);
    vfs_ = *base_;
    vfs_.pNext = nullptr;
    vfs_.zName = "failing";
    vfs_.xOpen = open;
    sqlite3_vfs_register(&vfs_, 1);
    refuses_ = Refuses::kNothing;
  }
  FailingDisk(const FailingDisk&) = delete;
  FailingDisk& operator=(const FailingDisk&) = delete;
  ~FailingDisk() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(base_, 1);
  }

  // From now on, of the write-ahead log.
  static void refuse(Refuses what) { refuses_ = what; }

 private:
  static int open(sqlite3_vfs*, sqlite3_filename name, sqlite3_file* file, int flags, int* flags_out) {
    const int code = base_->xOpen(base_, name, file, flags, flags_out);
    if (code != SQLITE_OK || (flags & SQLITE_OPEN_WAL) == 0) return code;
    plain_ = file->pMethods;
    std::memcpy(&methods_, plain_, sizeof methods_);
    methods_.xSync = sync;
    methods_.xWrite = write;
    file->pMethods = &methods_;
    return code;
  }
  static int sync(sqlite3_file* file, int flags) {
    return refuses_ == Refuses::kSync ? SQLITE_IOERR_FSYNC : plain_->xSync(file, flags);
  }
  static int write(sqlite3_file* file, const void* bytes, int count, sqlite3_int64 offset) {
    return refuses_ == Refuses::kRoom ? SQLITE_FULL : plain_->xWrite(file, bytes, count, offset);
  }

  inline static sqlite3_vfs* base_ = nullptr;
  inline static const sqlite3_io_methods* plain_ = nullptr;
  inline static sqlite3_io_methods methods_{};
  inline static Refuses refuses_ = Refuses::kNothing;
  inline static sqlite3_vfs vfs_{};  // connections may outlive the disk's bad mood
};

}  // namespace runnel::coordinator
