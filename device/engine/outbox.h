// The device's durable memory of what it owes the coordinator: the newest update, until it is acknowledged.
//
// One journal record holds a header and the Update message. Acknowledging replaces it by a header alone, so the
// sequence number never goes back and a trained round is never trained again, whatever the power does. Memory: none of
// its own beyond the header. Trust: what the journal's checksums vouch for.
#pragma once

#include <cstdint>
#include <optional>

#include "runtime/base/result.h"
#include "runtime/journal/journal.h"

namespace runnel::device {

// Which update the device made last.
struct OutboxEntry {
  uint64_t sequence = 0;
  uint64_t run = 0;
  uint32_t round = 0;
  uint32_t checksum = 0;     // CRC-32C of the Update message
  uint64_t total_bytes = 0;  // of the Update message; 0 once settled
  bool pending = false;      // neither acknowledged nor refused yet
};

class Outbox {
 public:
  // Reads what the journal holds. kCorrupt if the record is not an outbox entry. `journal` must outlive the outbox.
  static Result<Outbox> open(journal::Journal& journal);

  // The newest update, pending or settled; nullopt on a device that has never made one.
  const std::optional<OutboxEntry>& newest() const { return newest_; }
  bool pending() const { return newest_.has_value() && newest_->pending; }
  uint64_t next_sequence() const { return newest_.has_value() ? newest_->sequence + 1 : 1; }

  // True if the update of that round was already made, so that it must not be made again.
  bool has_trained(uint64_t run, uint32_t round) const {
    return newest_.has_value() && newest_->run == run && newest_->round >= round;
  }

  // Stores an update durably; a pending older one is replaced. On failure nothing changed (kStorageFull, kIo).
  // REQUIRES: sequence >= next_sequence().
  Failure store(uint64_t run, uint32_t round, uint64_t sequence, ByteView update);

  // Bytes of the pending update. REQUIRES: pending().
  Failure read(uint64_t offset, MutableByteView bytes) const;

  // Acknowledged or refused for good: forgets its bytes, durably. REQUIRES: pending().
  Failure settle();

 private:
  explicit Outbox(journal::Journal& journal) : journal_(&journal) {}
  Failure write(const OutboxEntry& entry, ByteView update);

  journal::Journal* journal_;
  std::optional<OutboxEntry> newest_;
};

}  // namespace runnel::device
