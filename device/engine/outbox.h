// The device's durable memory of what it owes the coordinator: a queue of updates, the oldest of which is uploaded,
// each kept until its fate is known.
//
// An update's bytes lie in a journal record of their own, one of kOutboxEntriesMax slots, written first; they count
// from the moment that the head record names them, which also says which update was made last. So the sequence number
// never goes back and a trained round is never trained again, whatever the power does, and slots that the head does not
// name are room to be used again.
//
// With error feedback there is also the residual: what compression lost. It lies in one of two slots in the same way,
// so that update and residual change together. An update that was refused for good is given back instead of forgotten:
// it stays, not to be sent but to be added to the next one. So does one that was not even sent, because it could not
// have arrived in time: all of it is residual then. When there is no room, one can be folded into the residual before
// its turn. In the head lie a few bytes of the rate controller's too, so that what it knows of the link and of its
// spending changes together with the update.
//
// Time: none of its own; see handle_time(). Memory: the entries and the state. Trust: what the journal's checksums
// vouch for; an update that they do not is dropped when the outbox is opened, and counted.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "device/engine/outbox_record.h"
#include "runtime/base/result.h"
#include "runtime/journal/journal.h"

namespace runnel::device {

class Outbox {
 public:
  static constexpr size_t kStateBytesMax = kOutboxStateBytesMax;

  // Reads what the journal holds. kCorrupt if the head record is none. `journal` must outlive the outbox.
  static Result<Outbox> open(journal::Journal& journal);

  // Everything that is not settled, oldest first.
  std::span<const OutboxEntry> entries() const { return head_.entries; }
  // The oldest that is to be sent; null when there is none. Until the next change.
  const OutboxEntry* front() const;
  bool pending() const { return front() != nullptr; }

  // Of the newest update, pending or settled; sequence 0 on a device that has never made one.
  const OutboxHead& newest() const { return head_; }
  uint64_t next_sequence() const { return head_.sequence + 1; }
  // True if the update of that round was already made, so that it must not be made again.
  bool has_trained(uint64_t run, uint32_t round) const {
    return head_.sequence != 0 && head_.run == run && head_.round >= round;
  }
  // What the rate controller gave with the last change; empty on a new device.
  ByteView state() const { return head_.state; }
  // Updates that were there, and whose bytes had rotten when the outbox was opened.
  uint32_t rotten_count() const { return rotten_count_; }

  struct NewUpdate {
    uint64_t run = 0;
    uint32_t round = 0;
    uint64_t model_version = 0;
    uint64_t sequence = 0;
    ByteView message;                 // empty: it counts as made, and the residual has all of it
    std::span<const float> residual;  // empty = none
    ByteView state;                   // empty: as it is
    bool carries = false;             // it is to be given back if it is refused
  };
  // True if an update of that size would be stored now: there is a slot, and room in the journal for it, for its
  // residual, for the head at its longest and for one fold. So no later change fails for want of room.
  bool has_room(uint64_t message_bytes, size_t residual_count);
  // Gives room back that the head does not name: of settled updates, which later ones would else write over. If that
  // fails, the next one tries again.
  void sweep();
  // Stores an update durably as the last of the queue; what was taken goes with the same change. On failure nothing
  // changed (kStorageFull, kLimit, kIo). REQUIRES: sequence >= next_sequence(), state.size() <= kStateBytesMax.
  Failure store(const NewUpdate& update);

  // What compression lost, if it is of this run; empty = nothing. kCorrupt, kIo.
  Result<std::vector<float>> residual(uint64_t run) const;
  // Marks an entry given back as part of the update in the making: the next store() ends it.
  void take(uint64_t sequence);
  // The update in the making will not be: nothing is taken.
  void untake();

  // Bytes of that entry's message. kCorrupt if the whole of it is read and has rotten; kIo.
  Failure read(const OutboxEntry& entry, uint64_t offset, MutableByteView bytes) const;

  // The changes below are durable on return; on failure nothing changed. An empty state leaves the one there is.
  // REQUIRES: the entry is there.
  // Acknowledged, or refused with nothing to keep, or dropped: forgets its bytes.
  Failure settle(uint64_t sequence, ByteView state = {});
  // Refused for good, or overtaken by its round: not to be sent any more, but part of the next one.
  Failure give_back(uint64_t sequence, ByteView state = {});
  // The same, to make room: it is in `residual` now, which replaces the one there is.
  Failure fold(uint64_t sequence, std::span<const float> residual);

  // Ages grow by `passed_s`, counted by a clock that never jumps. `unix_s` (0 = not known) is noted with the next
  // change; told for the first time, it adds the time that the device was off, at least 0 and at most `off_s_max`: a
  // wall clock that jumps, either way, can neither make an update younger nor by itself too old.
  void handle_time(uint32_t passed_s, uint64_t unix_s, uint32_t off_s_max);

 private:
  explicit Outbox(journal::Journal& journal) : journal_(&journal) {}
  Failure verify_entries();
  Failure write(OutboxHead next, ByteView state);
  Failure move_inline(OutboxHead& next);
  Failure put_residual(std::span<const float> residual, OutboxHead& next);
  uint32_t free_slot(const OutboxHead& next) const;
  OutboxEntry* find(OutboxHead& head, uint64_t sequence) const;

  journal::Journal* journal_;
  OutboxHead head_;
  uint64_t inline_offset_ = 0;   // of the entry of slot 0 in the head record
  uint64_t clocked_before_ = 0;  // entries up to this sequence have not been given the time off yet
  uint64_t unix_s_ = 0;
  uint32_t rotten_count_ = 0;
};

}  // namespace runnel::device
