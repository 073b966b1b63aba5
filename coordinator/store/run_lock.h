// One process at a time: an advisory lock on a file, gone with the process that held it, however it ended.
#pragma once

#include <string>
#include <utility>

#include "runtime/base/result.h"

namespace runnel::coordinator {

class RunLock {
 public:
  RunLock() = default;
  RunLock(RunLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  RunLock& operator=(RunLock&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;
  ~RunLock();

  // Makes the file if need be. kBusy, naming the holder's process id where it can be read, if another has it.
  static Result<RunLock> take(const std::string& path);

 private:
  explicit RunLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace runnel::coordinator
