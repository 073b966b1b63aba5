// Bytes in flight: each piece comes out again, in order, once its time has come.
//
// Memory: at most `capacity_bytes` in flight; the reader asks room_bytes() first, which is the back pressure on the
// sender. Time: passed in. Threads: one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/time.h"

namespace runnel::fleet {

class DelayLine {
 public:
  explicit DelayLine(size_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

  size_t room_bytes() const { return capacity_bytes_ - bytes_; }
  size_t bytes() const { return bytes_; }
  bool empty() const { return pieces_.empty(); }

  // A piece never overtakes the one before it: when `due` is earlier than the last piece's, it waits for that one.
  // REQUIRES: bytes.size() <= room_bytes().
  void push(ByteView bytes, Instant due);

  // The first piece's remaining bytes when it is due, else nothing.
  ByteView front(Instant now) const;

  // REQUIRES: bytes <= front().size().
  void consume(size_t bytes);

  // When the first piece comes due; kNever when there is none.
  Instant next_due() const { return pieces_.empty() ? kNever : pieces_.front().due; }

 private:
  struct Piece {
    Instant due;
    std::vector<uint8_t> bytes;
  };

  size_t capacity_bytes_;
  size_t bytes_ = 0;
  size_t consumed_ = 0;  // of the first piece
  std::deque<Piece> pieces_;
};

}  // namespace runnel::fleet
