// Chunks that arrive in order become one message again.
//
// Only the next expected byte is taken: what was already received is skipped, a gap is refused. The sender learns the
// contiguous count and goes on from there, so no map of holes is needed.
// Memory: one buffer, taken at start() at the announced size (bounded by the limit given there) and left untouched
// until bytes arrive: a peer that announces much and sends little costs address space, not pages.
#pragma once

#include <utility>

#include "runtime/base/byte_buffer.h"
#include "runtime/base/result.h"

namespace runnel::wire {

class Reassembly {
 public:
  // Begins a message of `total_bytes`, forgetting an earlier one. kLimit, and unchanged, if that is zero or above
  // `bytes_max`; kNoMemory, and empty, if there is no room.
  Failure start(uint64_t total_bytes, uint64_t bytes_max);

  // Takes the part of [offset, offset + payload) that is new. kOutOfRange for a gap, or a chunk beyond the end.
  Failure add(uint64_t offset, ByteView payload);

  uint64_t received_bytes() const { return received_bytes_; }
  uint64_t total_bytes() const { return buffer_.size(); }
  bool complete() const { return total_bytes() != 0 && received_bytes_ == total_bytes(); }

  // The message. REQUIRES: complete(). Aligned as operator new aligns.
  ByteView bytes() const { return {buffer_.data(), static_cast<size_t>(received_bytes_)}; }

  // What is there of it, complete or not.
  ByteView received() const { return {buffer_.data(), static_cast<size_t>(received_bytes_)}; }

  // The message, to be changed in place. REQUIRES: complete().
  MutableByteView mutable_bytes() { return {buffer_.data(), static_cast<size_t>(received_bytes_)}; }

  // The message itself; nothing is left here. REQUIRES: complete().
  ByteBuffer take() {
    received_bytes_ = 0;
    return std::exchange(buffer_, {});
  }

  // Forgets everything and gives the memory back.
  void reset();

 private:
  ByteBuffer buffer_;  // the first received_bytes_ are set
  uint64_t received_bytes_ = 0;
};

}  // namespace runnel::wire
