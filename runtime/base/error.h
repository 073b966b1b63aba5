// What can go wrong, as values: a stable code, and where it helps a short sentence that names what and where.
//
// Three kinds of wrong: our own bug is an assertion (RUNNEL_ASSERT, on in release builds); a peer's bytes and the
// outside world are an Error. Numbers are part of the protocol (a refusal carries one) and of the metrics: never
// renumber, only add.
#pragma once

#include <cstdarg>
#include <cstdint>

namespace runnel {

enum class [[nodiscard]] Error : uint16_t{
    kOk = 0,

    // A peer's or a file's bytes.
    kTruncated = 100,    // fewer bytes than the structure needs
    kMalformed = 101,    // does not follow the grammar
    kChecksum = 102,     // a checksum or authentication tag does not match
    kLimit = 103,        // a count or length beyond a stated limit
    kVersion = 104,      // a protocol or format version that this build does not speak
    kWrongType = 105,    // a valid message, not allowed in this state
    kShape = 106,        // a tensor's shape differs from the model's
    kNotFinite = 107,    // NaN or infinity where a number is needed
    kOutOfRange = 108,   // a number outside its stated range
    kDuplicate = 109,    // already there
    kUnknownName = 110,  // a name that stands for nothing here

    // Who is asking.
    kUnknownDevice = 200,
    kUntrusted = 201,  // certificate not of this fleet
    kExpired = 202,    // certificate, session or round past its time
    kRevoked = 203,

    // The outside world.
    kIo = 300,
    kStorageFull = 301,
    kNotFound = 302,
    kBusy = 303,  // in use by another process, or no capacity now
    kUnreachable = 304,
    kTimeout = 305,
    kCorrupt = 306,  // stored data of ours does not read back

    // The caller.
    kInvalidArgument = 400,
    kNoMemory = 401,  // the arena or buffer that was given is too small
    kUnsupported = 402,
};

// The code's name, for example "storage_full". Never null.
const char* error_name(Error error);

// An error with a sentence. The text lives inside the object, is cut at its capacity and is always terminated.
class [[nodiscard]] Failure {
 public:
  static constexpr unsigned kTextBytesMax = 240;

  Failure(Error error) : error_(error) {}  // NOLINT(google-explicit-constructor): an Error is a Failure without words

  Error error() const { return error_; }
  const char* text() const { return text_; }
  bool ok() const { return error_ == Error::kOk; }

  // Puts words in front: "model.toml: line 3: unknown layer".
  Failure& prefix(const char* format, ...) __attribute__((format(printf, 2, 3)));

 private:
  friend Failure fail(Error error, const char* format, ...);
  Error error_;
  char text_[kTextBytesMax] = {};
};

Failure fail(Error error, const char* format, ...) __attribute__((format(printf, 2, 3)));

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace runnel

// Our own invariant; on in every build. Never on a value that came from a peer or a file.
#define RUNNEL_ASSERT(expression) \
  ((expression) ? static_cast<void>(0) : ::runnel::assertion_failed(#expression, __FILE__, __LINE__))
