// One frame of the line between a board and its gateway, as bytes: a header of ten bytes, what it carries, and a
// CRC-32C over both. docs/gateway.md has the table.
//
// Trust: read_frame() takes any bytes. The checksum guards against noise; whoever can write to the line is believed.
#pragma once

#include <string_view>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"

namespace runnel::serial {

inline constexpr uint8_t kLineVersion = 1;
inline constexpr size_t kHeaderBytes = 10;
inline constexpr size_t kChecksumBytes = 4;
inline constexpr size_t kFrameOverheadBytes = kHeaderBytes + kChecksumBytes;
inline constexpr uint8_t kWindowMax = 16;
inline constexpr size_t kBoardNameBytesMax = 63;
inline constexpr size_t kLineTextBytesMax = 92;  // behind the two bytes of a reason
inline constexpr uint32_t kPieceBytesMin = 96;   // a greeting with the longest name
inline constexpr uint32_t kPieceBytesMax = 4096;
inline constexpr uint32_t kLineMessageBytesMax = (1U << 24) - 1;

// Numbers are on the line: never renumber, only add.
enum class FrameKind : uint8_t {
  kGreet = 1,    // board: here I am, and what I can take
  kWelcome = 2,  // gateway: the number of the link that would begin, and what I can take
  kRefuse = 3,   // either: why there will be no link
  kPiece = 4,    // either: a part of a message
  kAck = 5,      // either: nothing but the header
  kGone = 6,     // gateway: I know no link of that number (0: of any); greet again
};

// What a message is about. The line itself does not look at them.
enum class MessageType : uint8_t {
  kFrame = 1,       // either: a frame of the training protocol (runtime/wire), for or from the coordinator
  kConnect = 2,     // board: wants the coordinator; u32 attempt
  kDisconnect = 3,  // board: does not want it any more
  kSessionUp = 4,   // gateway: the secure session stands; u32 attempt
  kLinkDown = 5,    // gateway: no coordinator, or not any more; u32 attempt, text
};

inline constexpr uint8_t kFirstPiece = 1;  // flags
inline constexpr uint8_t kLastPiece = 2;
inline constexpr uint8_t kGap = 4;  // frames before the one expected have been lost: go back

struct LineFrame {
  uint8_t version = kLineVersion;
  FrameKind kind = FrameKind::kAck;
  uint16_t link = 0;
  uint16_t sequence = 0;  // of a piece; in welcome and gone: the gateway's life, another one at each of its starts
  uint16_t next = 0;      // the piece expected next; all before it have arrived
  uint8_t flags = 0;
  MessageType type = MessageType::kFrame;
  ByteView payload;
};

// Writes header, payload and checksum; returns the length. REQUIRES: `out` holds payload and kFrameOverheadBytes. The
// payload may lie in `out` already, at its place.
size_t write_frame(const LineFrame& frame, MutableByteView out);

// kTruncated, kChecksum or kUnsupported (a kind that does not exist). A frame of another version is read as far as the
// header: versions agree on version, kind and checksum.
Result<LineFrame> read_frame(ByteView bytes);

// What a side can take, as its greeting says.
struct LineLimits {
  uint16_t piece_bytes_max = 0;    // payload of a frame
  uint8_t window = 0;              // pieces under way at a time
  uint32_t message_bytes_max = 0;  // a message put together again
};

struct Greeting {
  uint8_t version_min = kLineVersion;
  uint8_t version_max = kLineVersion;
  LineLimits limits;
  uint32_t nonce = 0;  // another one at each start, if the board has where to take it from
  std::string_view name;
};

struct WelcomeLine {
  LineLimits limits;
  uint32_t nonce = 0;   // the greeting's
  uint64_t unix_s = 0;  // the wall clock; 0 = not known
};

// Each returns the length of what it wrote; `out` must hold kPieceBytesMin. kLimit if the limits or the name are beyond
// what is possible.
size_t write_greeting(const Greeting& greeting, MutableByteView out);
Result<Greeting> read_greeting(ByteView payload);
size_t write_welcome(const WelcomeLine& welcome, MutableByteView out);
Result<WelcomeLine> read_welcome(ByteView payload);

}  // namespace runnel::serial
