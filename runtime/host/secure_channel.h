// What the two sides of a secure channel share: the message grammar, limits, counters.
//
// A channel carries frames between one device and the coordinator, encrypted and authenticated by DTLS 1.2 (RFC 6347)
// with certificates of the fleet's authority on both sides. Its messages travel over ZeroMQ, but a session outlives its
// connections: each record decrypts on its own, so after a reconnection the device goes on with the very next record.
// The coordinator finds the session by the id in front of the record and moves its reply address only when the record
// authenticates. Lost, repeated, reordered and forged messages change nothing but counters.
//
// A message:  kind (1 byte) | session id (8 bytes, little-endian) | body
//   dtls             body = the DTLS records of one flight, or one application record
//   plaintext        body = the frame itself; only where both sides were told to be insecure
//   unknown_session  body empty; coordinator to device: "I do not know this id". Not authenticated, so only a hint: the
//                    device answers by a new handshake, at most one per Options::hint_interval.
//
// The session id is 8 random bytes that the device draws for each handshake. It is an address, not a secret: whoever
// guesses one can make the coordinator drop a record. With n live sessions the chance that any two devices collide is
// n^2 / 2^65 (3e-12 for 10,000 devices); the second of them would time out in its handshake and draw another.
//
// No HelloVerifyRequest: under the messages is TCP, whose own handshake already proves that the peer can be reached,
// and a round trip costs a second or more on NB-IoT. What a stranger can make the coordinator hold is bounded by
// half_open_max.
//
// Suites: ECDHE-ECDSA with ChaCha20-Poly1305 (preferred: 8 bytes less a record, constant time without AES hardware) and
// AES-128-GCM. A frame costs 9 + 13 + 16 bytes more than its own, 8 more with AES-128-GCM.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/base/bytes.h"

namespace runnel::host {

using SessionId = uint64_t;

enum class MessageKind : uint8_t { kDtls = 1, kPlaintext = 2, kUnknownSession = 3 };

inline constexpr size_t kMessageHeaderBytes = 9;
inline constexpr size_t kRecordOverheadBytes = 13 + 16;         // header and tag
inline constexpr size_t kRecordOverheadBytesMax = 13 + 8 + 16;  // and AES-GCM's explicit nonce
inline constexpr size_t kMessageBytesMax = 16'384;              // also what the sockets accept
inline constexpr size_t kPlaintextBytesMax = kMessageBytesMax - kMessageHeaderBytes - kRecordOverheadBytesMax;

struct ChannelCounters {
  uint64_t handshakes_started = 0;
  uint64_t handshakes_completed = 0;  // full and resumed
  uint64_t handshakes_resumed = 0;
  uint64_t handshakes_failed = 0;
  uint64_t records_sent = 0;      // application records (frames, in plaintext mode)
  uint64_t records_received = 0;  // application records that authenticated
  uint64_t records_dropped = 0;   // forged, repeated, out of the replay window, or not wanted now
  uint64_t messages_dropped = 0;  // not of the grammar, of the wrong kind, too long, or no room
  uint64_t hints_sent = 0;        // unknown_session
  uint64_t hints_received = 0;
  uint64_t bytes_sent = 0;  // whole messages
  uint64_t bytes_received = 0;
};

}  // namespace runnel::host
