// Frames in a stream of bytes: consistent overhead byte stuffing (Cheshire and Baker, SIGCOMM 1997). Within a frame no
// byte is zero, so a zero is the end of a frame wherever one starts to listen: after any garbage the next frame but one
// is whole again, and no length has to be believed first. The price is bounded: one byte in 254, and one.
//
// Threads: one at a time. Memory: the caller's. Trust: the stream may hold anything.
#pragma once

#include "runtime/base/bytes.h"

namespace runnel::serial {

// Bytes that a frame of `bytes` takes in the stream, with a zero before and behind it.
constexpr size_t cobs_bytes_max(size_t bytes) {
  return bytes + bytes / 254 + 1 + 2;
}

// Writes a zero, the stuffed frame and a zero to `out`; returns how many bytes that are. REQUIRES: out holds
// cobs_bytes_max(frame.size()). The frame may be the last bytes of an `out` of exactly that length.
size_t cobs_encode(ByteView frame, MutableByteView out);

// Takes the stream byte by byte.
class CobsDecoder {
 public:
  // Frames beyond the buffer are skipped, and counted.
  explicit CobsDecoder(MutableByteView buffer) : buffer_(buffer) {}

  // True if the byte ended a frame; frame() is it until the next byte. Frames without bytes are none.
  bool take(uint8_t byte);
  ByteView frame() const { return {buffer_.data(), size_}; }

  void reset();
  uint64_t frames_dropped() const { return frames_dropped_; }  // too long, or cut off within a block

 private:
  MutableByteView buffer_;
  size_t size_ = 0;
  uint8_t left_ = 0;           // bytes until the next code byte
  bool zero_follows_ = false;  // behind the block at hand, unless the frame ends there
  bool begun_ = false;
  bool too_long_ = false;
  bool ended_ = false;  // the last byte ended a frame
  uint64_t frames_dropped_ = 0;
};

}  // namespace runnel::serial
