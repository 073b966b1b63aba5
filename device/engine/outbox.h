// The device's durable memory of what it owes the coordinator: the newest update, until it is acknowledged.
//
// One journal record holds a header and the Update message. Acknowledging replaces it by a header alone, so the
// sequence number never goes back and a trained round is never trained again, whatever the power does.
//
// With error feedback there is also the residual: what the update lost in compression. It lies in a record of its own,
// one of two, and the header says which: written first, it counts from the moment that the header names it, so that
// update and residual change together. An update that was refused for good is given back instead of forgotten: it
// stays, to be added to the next one. So does an update that was not even sent, because it could not have arrived in
// time: all of it is residual then. Beside the header lie a few bytes of the rate controller's, so that what it knows
// of the link and of its spending changes together with the update. Memory: none of its own beyond these. Trust: what
// the journal's checksums vouch for.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/journal/journal.h"

namespace runnel::device {

// Which update the device made last.
struct OutboxEntry {
  uint64_t sequence = 0;
  uint64_t run = 0;
  uint32_t round = 0;
  uint32_t checksum = 0;        // CRC-32C of the Update message
  uint64_t total_bytes = 0;     // of the Update message; 0 once settled
  bool pending = false;         // neither acknowledged nor refused yet
  bool given_back = false;      // refused, and kept to be added to the next update
  uint32_t residual_slot = 0;   // 1 or 2; 0 = no residual
  uint32_t residual_count = 0;  // coordinates
  bool kept = false;            // never sent: all of it is in the residual
  bool carries = false;         // if it is refused, it belongs into the next one
};

// What the next update has to make up for.
struct Carried {
  std::vector<float> residual;    // empty = none
  std::vector<uint8_t> returned;  // an Update message that the coordinator did not take; empty = none
};

class Outbox {
 public:
  static constexpr size_t kStateBytesMax = 512;

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

  // What the rate controller gave with the last change; empty on a new device.
  ByteView state() const { return state_; }

  // Stores an update durably, with what it lost (empty without error feedback) and the rate controller's state; an
  // older one is replaced. An empty update counts as made, and its residual is kept for the next: nothing is pending
  // then. `carries`: it is to be given back if it is refused. On failure nothing changed (kStorageFull, kLimit, kIo).
  // REQUIRES: sequence >= next_sequence(), state.size() <= kStateBytesMax.
  Failure store(uint64_t run, uint32_t round, uint64_t sequence, ByteView update, std::span<const float> residual = {},
                ByteView state = {}, bool carries = false);

  // The residual and the update given back, if they are of this run. kCorrupt, kIo.
  Result<Carried> carried(uint64_t run) const;

  // Bytes of the pending update. REQUIRES: pending().
  Failure read(uint64_t offset, MutableByteView bytes) const;

  // Acknowledged, or refused for good with nothing to keep: forgets its bytes, durably. An empty state leaves the one
  // there is. REQUIRES: pending().
  Failure settle(ByteView state = {});

  // Refused for good, or overtaken by its round: no longer pending, but kept for carried(), durably. REQUIRES:
  // pending().
  Failure give_back(ByteView state = {});

 private:
  explicit Outbox(journal::Journal& journal) : journal_(&journal) {}
  Failure write(const OutboxEntry& entry, ByteView update, ByteView state);

  journal::Journal* journal_;
  size_t update_offset_ = 0;  // of the update in its record
  std::vector<uint8_t> state_;
  std::optional<OutboxEntry> newest_;
};

}  // namespace runnel::device
