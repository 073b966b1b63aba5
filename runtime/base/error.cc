#include "runtime/base/error.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace runnel {

const char* error_name(Error error) {
  switch (error) {
    case Error::kOk:
      return "ok";
    case Error::kTruncated:
      return "truncated";
    case Error::kMalformed:
      return "malformed";
    case Error::kChecksum:
      return "checksum";
    case Error::kLimit:
      return "limit";
    case Error::kVersion:
      return "version";
    case Error::kWrongType:
      return "wrong_type";
    case Error::kShape:
      return "shape";
    case Error::kNotFinite:
      return "not_finite";
    case Error::kOutOfRange:
      return "out_of_range";
    case Error::kDuplicate:
      return "duplicate";
    case Error::kUnknownName:
      return "unknown_name";
    case Error::kUnknownDevice:
      return "unknown_device";
    case Error::kUntrusted:
      return "untrusted";
    case Error::kExpired:
      return "expired";
    case Error::kRevoked:
      return "revoked";
    case Error::kIo:
      return "io";
    case Error::kStorageFull:
      return "storage_full";
    case Error::kNotFound:
      return "not_found";
    case Error::kBusy:
      return "busy";
    case Error::kUnreachable:
      return "unreachable";
    case Error::kTimeout:
      return "timeout";
    case Error::kCorrupt:
      return "corrupt";
    case Error::kInvalidArgument:
      return "invalid_argument";
    case Error::kNoMemory:
      return "no_memory";
    case Error::kUnsupported:
      return "unsupported";
  }
  return "unknown";
}

Failure fail(Error error, const char* format, ...) {
  Failure failure(error);
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(failure.text_, sizeof failure.text_, format, arguments);
  va_end(arguments);
  return failure;
}

Failure& Failure::prefix(const char* format, ...) {
  char text[kTextBytesMax];
  va_list arguments;
  va_start(arguments, format);
  int written = std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (written < 0) return *this;
  // Cutting the tail is wanted here: the front says where.
  size_t used = std::min(static_cast<size_t>(written), sizeof text - 1);
  for (const char* part : {text_[0] != '\0' ? ": " : "", static_cast<const char*>(text_)}) {
    const size_t length = std::min(std::strlen(part), sizeof text - 1 - used);
    std::memcpy(text + used, part, length);
    used += length;
  }
  text[used] = '\0';
  std::memcpy(text_, text, sizeof text_);
  return *this;
}

}  // namespace runnel
