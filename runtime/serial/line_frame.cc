#include "runtime/serial/line_frame.h"

#include "runtime/base/crc32c.h"

namespace runnel::serial {
namespace {

constexpr size_t kGreetingBytes = 14;  // before the name
constexpr size_t kWelcomeBytes = 20;

Result<LineLimits> read_limits(const uint8_t* at) {
  LineLimits limits;
  limits.piece_bytes_max = load_le<uint16_t>(at);
  limits.window = at[2];
  limits.message_bytes_max = load_le<uint32_t>(at + 4);
  if (limits.piece_bytes_max < kPieceBytesMin || limits.window == 0 || limits.message_bytes_max == 0 ||
      limits.message_bytes_max > kLineMessageBytesMax) {
    return fail(Error::kLimit, "serial line: pieces of %u bytes, %u at a time, messages of %u bytes",
                unsigned{limits.piece_bytes_max}, unsigned{limits.window}, unsigned{limits.message_bytes_max});
  }
  return limits;
}

void write_limits(const LineLimits& limits, uint8_t* at) {
  store_le<uint16_t>(at, limits.piece_bytes_max);
  at[2] = limits.window;
  at[3] = 0;
  store_le<uint32_t>(at + 4, limits.message_bytes_max);
}

}  // namespace

size_t write_frame(const LineFrame& frame, MutableByteView out) {
  const size_t bytes = kHeaderBytes + frame.payload.size();
  RUNNEL_ASSERT(out.size() >= bytes + kChecksumBytes);
  if (!frame.payload.empty()) std::memmove(&out[kHeaderBytes], frame.payload.data(), frame.payload.size());
  out[0] = frame.version;
  out[1] = static_cast<uint8_t>(frame.kind);
  store_le<uint16_t>(&out[2], frame.link);
  store_le<uint16_t>(&out[4], frame.sequence);
  store_le<uint16_t>(&out[6], frame.next);
  out[8] = frame.flags;
  out[9] = static_cast<uint8_t>(frame.type);
  store_le<uint32_t>(&out[bytes], crc32c(out.first(bytes)));
  return bytes + kChecksumBytes;
}

Result<LineFrame> read_frame(ByteView bytes) {
  if (bytes.size() < kFrameOverheadBytes)
    return fail(Error::kTruncated, "serial line: a frame of %zu bytes", bytes.size());
  const size_t end = bytes.size() - kChecksumBytes;
  if (load_le<uint32_t>(&bytes[end]) != crc32c(bytes.first(end)))
    return fail(Error::kChecksum, "serial line: a frame of %zu bytes with a wrong checksum", bytes.size());
  if (bytes[1] < static_cast<uint8_t>(FrameKind::kGreet) || bytes[1] > static_cast<uint8_t>(FrameKind::kGone))
    return fail(Error::kUnsupported, "serial line: a frame of kind %u", unsigned{bytes[1]});
  LineFrame frame;
  frame.version = bytes[0];
  frame.kind = static_cast<FrameKind>(bytes[1]);
  frame.link = load_le<uint16_t>(&bytes[2]);
  frame.sequence = load_le<uint16_t>(&bytes[4]);
  frame.next = load_le<uint16_t>(&bytes[6]);
  frame.flags = bytes[8];
  frame.type = static_cast<MessageType>(bytes[9]);
  frame.payload = bytes.subspan(kHeaderBytes, end - kHeaderBytes);
  return frame;
}

size_t write_greeting(const Greeting& greeting, MutableByteView out) {
  RUNNEL_ASSERT(greeting.name.size() <= kBoardNameBytesMax && out.size() >= kGreetingBytes + greeting.name.size());
  out[0] = greeting.version_min;
  out[1] = greeting.version_max;
  write_limits(greeting.limits, &out[2]);
  store_le<uint32_t>(&out[10], greeting.nonce);
  if (!greeting.name.empty()) std::memcpy(&out[kGreetingBytes], greeting.name.data(), greeting.name.size());
  return kGreetingBytes + greeting.name.size();
}

Result<Greeting> read_greeting(ByteView payload) {
  if (payload.size() < kGreetingBytes)
    return fail(Error::kTruncated, "serial line: a greeting of %zu bytes", payload.size());
  if (payload.size() - kGreetingBytes > kBoardNameBytesMax)
    return fail(Error::kLimit, "serial line: a board's name of %zu bytes", payload.size() - kGreetingBytes);
  Result<LineLimits> limits = read_limits(&payload[2]);
  if (!limits) return limits.failure();
  Greeting greeting;
  greeting.version_min = payload[0];
  greeting.version_max = payload[1];
  greeting.limits = *limits;
  greeting.nonce = load_le<uint32_t>(&payload[10]);
  // The bytes of a text may be anything; whoever prints the name compares it first.
  greeting.name = {reinterpret_cast<const char*>(payload.data()) + kGreetingBytes, payload.size() - kGreetingBytes};
  return greeting;
}

size_t write_welcome(const WelcomeLine& welcome, MutableByteView out) {
  RUNNEL_ASSERT(out.size() >= kWelcomeBytes);
  write_limits(welcome.limits, &out[0]);
  store_le<uint32_t>(&out[8], welcome.nonce);
  store_le<uint64_t>(&out[12], welcome.unix_s);
  return kWelcomeBytes;
}

Result<WelcomeLine> read_welcome(ByteView payload) {
  if (payload.size() < kWelcomeBytes)
    return fail(Error::kTruncated, "serial line: a welcome of %zu bytes", payload.size());
  Result<LineLimits> limits = read_limits(&payload[0]);
  if (!limits) return limits.failure();
  WelcomeLine welcome;
  welcome.limits = *limits;
  welcome.nonce = load_le<uint32_t>(&payload[8]);
  welcome.unix_s = load_le<uint64_t>(&payload[12]);
  return welcome;
}

}  // namespace runnel::serial
