// The outbox's head record as bytes: what counts of everything that lies in the journal. FORMAT: below, in the .cc.
//
// Format 3 is written; 1 and 2, in which the one update lies behind its header, are read. Threads: no state. Trust:
// what the journal's checksums vouch for, and sizes are checked all the same.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"

namespace runnel::device {

// Updates that may wait. A build for a board with little memory sets less: room for all of them in the head record is
// kept free.
#ifndef RUNNEL_OUTBOX_ENTRIES
#define RUNNEL_OUTBOX_ENTRIES 32
#endif
inline constexpr uint32_t kOutboxEntriesMax = RUNNEL_OUTBOX_ENTRIES;
inline constexpr size_t kOutboxStateBytesMax = 512;

// An update that is not settled yet.
struct OutboxEntry {
  uint64_t sequence = 0;
  uint64_t run = 0;
  uint32_t round = 0;
  uint64_t model_version = 0;  // that it was trained on; 0 = an earlier release stored it
  uint32_t checksum = 0;       // CRC-32C of the Update message
  uint64_t total_bytes = 0;    // of the Update message
  uint32_t age_s = 0;          // since it was stored, as far as this device can tell; see Outbox::handle_time
  uint32_t slot = 0;           // 1..kOutboxEntriesMax; 0 = behind the head, as formats 1 and 2 have it
  bool carries = false;        // if it is refused, it belongs into the next one
  bool given_back = false;     // not to be sent any more: the next update makes up for it
  bool taken = false;          // in memory only: the update in the making has it in
};

struct OutboxHead {
  // Of the newest update, whatever has become of it.
  uint64_t sequence = 0;  // 0 = this device has never made one
  uint64_t run = 0;
  uint32_t round = 0;
  uint32_t made = 0;                 // updates on that plan, further ones without a link included
  bool kept = false;                 // it was never to be sent: all of it is in the residual
  uint32_t residual_slot = 0;        // 1 or 2; 0 = no residual
  uint32_t residual_count = 0;       // coordinates
  uint64_t written_at_s = 0;         // wall clock when the ages were right; 0 = not known
  std::vector<uint8_t> state;        // the rate controller's
  std::vector<OutboxEntry> entries;  // oldest first; at most kOutboxEntriesMax
};

inline constexpr size_t kOutboxHeadBytes = 56;
inline constexpr size_t kOutboxEntryBytes = 64;
inline constexpr size_t kOutboxRecordBytesMax =
    kOutboxHeadBytes + kOutboxStateBytesMax + kOutboxEntriesMax * kOutboxEntryBytes;

// REQUIRES: no entry of slot 0, state and entries within their bounds.
std::vector<uint8_t> encode_outbox(const OutboxHead& head);

// `start` is the beginning of a record of `record_bytes`: all of it in format 3, at least kOutboxRecordBytesMax of it
// or all in the others. `inline_offset` is where the update of an entry of slot 0 lies. kCorrupt, kVersion.
Result<OutboxHead> decode_outbox(ByteView start, uint64_t record_bytes, uint64_t& inline_offset);

}  // namespace runnel::device
