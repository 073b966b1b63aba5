#include "runtime/serial/cobs.h"

#include "runtime/base/error.h"

namespace runnel::serial {

size_t cobs_encode(ByteView frame, MutableByteView out) {
  RUNNEL_ASSERT(out.size() >= cobs_bytes_max(frame.size()));
  out[0] = 0;
  size_t code_at = 1;
  size_t end = 2;
  uint8_t code = 1;
  for (size_t i = 0; i < frame.size(); ++i) {
    if (frame[i] != 0) {
      out[end++] = frame[i];
      ++code;
    }
    // A full block says that no zero follows; at the very end of the frame none has to be begun behind it.
    if (frame[i] == 0 || (code == 255 && i + 1 < frame.size())) {
      out[code_at] = code;
      code_at = end++;
      code = 1;
    }
  }
  out[code_at] = code;
  out[end++] = 0;
  return end;
}

void CobsDecoder::reset() {
  size_ = 0;
  left_ = 0;
  zero_follows_ = begun_ = too_long_ = ended_ = false;
}

bool CobsDecoder::take(uint8_t byte) {
  if (ended_) reset();
  if (byte == 0) {
    const bool whole = begun_ && !too_long_ && left_ == 0;
    if (begun_ && !whole) ++frames_dropped_;
    if (!whole || size_ == 0) {
      reset();
      return false;
    }
    return ended_ = true;
  }
  if (too_long_) return false;
  if (left_ == 0) {
    if (begun_ && zero_follows_) {
      if (size_ == buffer_.size()) {
        too_long_ = true;
        return false;
      }
      buffer_[size_++] = 0;
    }
    begun_ = true;
    left_ = static_cast<uint8_t>(byte - 1);
    zero_follows_ = byte != 255;
    return false;
  }
  if (size_ == buffer_.size()) {
    too_long_ = true;
    return false;
  }
  buffer_[size_++] = byte;
  --left_;
  return false;
}

}  // namespace runnel::serial
