// Updates on their way in: at most one a device, and a bounded number of bytes for all of them.
//
// A part that was received stays here when its device loses the link, so that the upload goes on where it stopped, and
// becomes durable, so that it also does after a restart: with the next transaction once much of it is
// unsaved or its device is gone, and otherwise a second after it came, together with what others sent meanwhile. What
// the disk would not take is tried again later; until then it is lost with the power, and sent again.
// Only so many may move at a time: more would not be faster where the coordinator is what limits them, and each would
// take longer. Slow ones count only in part, as bytes of theirs come now and then.
// When there is no room, the part that has been silent longest gives way, also on disk; its device then starts again
// from the beginning. So it does when it is silent for days.
// Memory: an upload counts with all the bytes that it announced, so that what was let in can be finished; of them only
// those that arrived are touched. What is being written to disk is held a second time, at most kSaveBytesMax of it. On
// disk is never more than here. Threads: one at a time.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/engine/store_request.h"
#include "runtime/base/result.h"
#include "runtime/base/time.h"
#include "runtime/wire/messages.h"
#include "runtime/wire/reassembly.h"

namespace runnel::coordinator {

struct UploadOptions {
  uint64_t bytes_max = 256ULL << 20;        // of all parts together
  uint64_t update_bytes_max = 64ULL << 20;  // of one update
  size_t moving_max = 4096;                 // uploads in chunks of which bytes came within the last 30 s
  uint64_t unsaved_bytes_max = 256 * 1024;  // of one device, before they are made durable at once
  Duration save_after = seconds(1);         // otherwise, after they came
  Duration save_retry_after = seconds(2);   // after the disk refused
  Duration age_max = seconds(7 * 86400);    // of silence, before a part is dropped
};

class UploadTable {
 public:
  static constexpr uint64_t kSaveBytesMax = 4ULL << 20;

  explicit UploadTable(const UploadOptions& options) : options_(options) {}

  // A part from the disk, of a device that was last heard of then. False, and it is forgotten, if there is no room.
  bool restore(const UploadPart& part, Instant touched);

  // Begins, or finds again, the upload that the offer announces; gives the contiguous bytes received so far.
  // `elsewhere_bytes` are held for updates by others and count against the same bound. kLimit when the update is too
  // large; kBusy when others that are active hold all the room, or as many move as may.
  Result<uint64_t> offer(const std::string& device, const wire::UpdateOffer& offer, uint64_t elsewhere_bytes,
                         Instant now);

  // Takes a chunk and gives the contiguous bytes received. kNotFound without an offer of that sequence; kOutOfRange for
  // a gap.
  Result<uint64_t> add(const std::string& device, const wire::UpdateChunk& chunk, Instant now);

  // True once every byte is there and the checksum holds. kChecksum if all bytes are there and it does not.
  Result<bool> complete(const std::string& device) const;
  // Its bytes; forget() or release() must follow. REQUIRES: complete(device).
  ByteBuffer take(const std::string& device);
  uint64_t sequence(const std::string& device) const;              // 0 when there is none
  const wire::UpdateOffer* find(const std::string& device) const;  // without its payload; nullptr when there is none
  std::vector<std::string> devices() const;

  // Drops the device's upload, also on disk.
  void forget(const std::string& device, Instant now);
  // Drops it here alone: its update is in a transaction that ends its parts on disk.
  void release(const std::string& device);
  // The device cannot be reached: what is unsaved of it becomes durable with the next transaction.
  void handle_away(const std::string& device);

  void handle_timeout(Instant now);
  // With `disk_busy`, or while a transaction of this table is under way, only that of what ages.
  Instant next_timeout(bool disk_busy) const;

  // What should be durable by now, together with what may as well be; nullopt if nothing is due. Its outcome must be
  // told before the next.
  std::optional<SaveUploads> poll_save(Instant now);
  void handle_saved(Instant now, const Failure& failure);

  uint64_t held_bytes() const { return held_bytes_; }  // announced, of all uploads
  uint64_t saving_bytes() const { return saving_bytes_; }
  size_t size() const { return uploads_.size(); }

 private:
  struct Upload {
    wire::UpdateOffer offer;
    wire::Reassembly bytes;
    uint32_t checksum = 0;  // of what was received
    Instant touched{};
    Instant unsaved_since = kNever;
    uint64_t saved_bytes = 0;   // durable
    uint64_t saving_bytes = 0;  // will be if the transaction that is under way succeeds
    bool whole = false;         // it came within its offer and would come so again: not worth a transaction
  };
  bool make_room(uint64_t bytes, uint64_t elsewhere_bytes, Instant now);
  bool may_move(Instant now);
  void touch(Upload& upload, Instant now);
  void note_unsaved(const std::string& device, Upload& upload, Instant now);
  void erase(std::map<std::string, Upload>::iterator upload);
  Instant save_due() const;

  static constexpr Duration kMoves = seconds(30);
  static constexpr Duration kCountedAgain = milliseconds(100);
  // A part that was touched this recently is in use and does not give way.
  static constexpr Duration kActive = seconds(30);

  UploadOptions options_;
  uint64_t held_bytes_ = 0;
  std::map<std::string, Upload> uploads_;
  std::set<std::pair<Instant, std::string>> unsaved_;  // by when the first of their unsaved bytes came
  std::set<std::string> forgotten_;                    // here, but not yet on disk
  Instant forgotten_since_ = kNever;
  bool save_now_ = false;
  Instant save_not_before_{};
  bool saving_ = false;
  uint64_t saving_bytes_ = 0;
  std::set<std::string> saving_devices_;
  std::set<std::string> saving_forgotten_;
  size_t moving_ = 0;         // at most this many move
  Instant moving_counted_{};  // then
  Instant newest_touch_{};
  Instant all_active_until_{};      // nobody has been silent for kActive before then
  Instant next_aged_out_ = kNever;  // not after the first of them
};

}  // namespace runnel::coordinator
