// A storage in memory: the outbox survives what the program does, not a power cut. A board with flash puts its own
// driver in its place (PORTING.md).
//
// Threads: one at a time. Memory: the caller's, which must outlive the disk.
#pragma once

#include <algorithm>

#include "runtime/journal/storage.h"

namespace runnel::port {

class RamDisk final : public journal::Storage {
 public:
  explicit RamDisk(MutableByteView memory) : memory_(memory) {}

  uint64_t size_bytes() const override { return memory_.size(); }
  Error read(uint64_t offset, MutableByteView into) override {
    if (!range_within(offset, into.size(), memory_.size())) return Error::kIo;
    std::copy_n(memory_.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
    return Error::kOk;
  }
  Error write(uint64_t offset, ByteView bytes) override {
    if (!range_within(offset, bytes.size(), memory_.size())) return Error::kIo;
    std::copy(bytes.begin(), bytes.end(), memory_.begin() + static_cast<std::ptrdiff_t>(offset));
    return Error::kOk;
  }
  Error sync() override { return Error::kOk; }

 private:
  MutableByteView memory_;
};

}  // namespace runnel::port
