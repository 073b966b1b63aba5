// A small durable map from 32-bit keys to byte strings: a device's outbox and the little state it must not forget. A
// put that returned kOk survives any power cut; one that failed, or was cut, leaves the previous value.
//
// The storage is two halves ("banks"), one of them active. Changes are appended to it as records; when it has no room,
// the live records and the change at hand are copied to the other bank under a new epoch, and that bank's commit slot
// is written last. FORMAT.md has the bytes. Why power cuts, lost and reordered writes cannot mislead recovery:
//  - Only one record is ever unsynced: each put or erase syncs before it returns, and the next starts after it. So
//    behind a torn record there is never a valid later one of the same epoch, and recovery may stop at the first record
//    that does not hold. (Finding one there means that an acknowledged record has rotted:
//    RecoveryReport::lost_records.)
//  - A record's header is covered by a CRC over its epoch and place, and holds the payload's CRC: bytes of an older use
//    of the bank, or a new header before an old payload, are no record. Epochs are never used twice, not even by a copy
//    that a power cut ended: a synced reservation slot names the epoch before the first byte is written under it, and
//    there are two, so that an unfinished one cannot cost the one before.
//  - A record is laid over a durable run of zeros (the terminator that the previous one wrote behind itself). What a
//    failed attempt left in that place has been withdrawn (zeroed and synced), or the bank is not appended to any more
//    but copied: two half-written attempts cannot add up to a whole one. The same holds for the commit slots.
//
// Threads: one at a time. Memory: no heap; the index of live keys is inside the object (kKeysMax entries, about 2 KiB),
// and operations use about 600 bytes of stack. Values stay in the storage. Trust: CRCs guard against torn and flipped
// bytes, not against malice; opening arbitrary bytes is safe.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/bytes.h"
#include "runtime/base/error.h"
#include "runtime/base/result.h"
#include "runtime/base/static_vector.h"
#include "runtime/journal/format.h"
#include "runtime/journal/storage.h"

namespace runnel::journal {

// The size of the index. A build for a board with little memory sets less.
#ifndef RUNNEL_JOURNAL_KEYS
#define RUNNEL_JOURNAL_KEYS 64
#endif
inline constexpr size_t kKeysMax = RUNNEL_JOURNAL_KEYS;
inline constexpr uint64_t kStorageBytesMin = 2 * kBankBytesMin;

// The smallest storage in which `keys` values of `values_bytes` together always fit.
constexpr uint64_t storage_bytes_for(uint64_t values_bytes, uint64_t keys) {
  const uint64_t bank = kRecordsOffset + kTerminatorBytes + keys * (kHeaderBytes + kAlignmentBytes) + values_bytes;
  return 2 * ((bank + kAlignmentBytes - 1) / kAlignmentBytes * kAlignmentBytes);
}

// Limits on what put() takes. What an earlier run stored under wider limits stays readable.
struct JournalOptions {
  uint32_t record_bytes_max = 16U << 20;  // bytes of one value
  uint32_t keys_max = kKeysMax;           // live keys, 1..kKeysMax
};

// What open() found. With dropped_tail the journal holds a state of the past: after a power cut the last acknowledged
// one; with lost_records an older one, in which keys may also be missing. With neither, every value is the last
// acknowledged one, save those of corrupt_values.
struct RecoveryReport {
  bool formatted = false;         // the storage was empty
  uint64_t epoch = 0;             // of the bank in use
  uint32_t replayed_records = 0;  // puts and erases that hold
  bool dropped_tail = false;      // bytes of a change that no record accounts for: an unfinished put, or rot
  uint64_t dropped_offset = 0;    // where in the storage they start; valid if dropped_tail
  uint32_t lost_records =
      0;  // at least so many acknowledged changes were unreadable and dropped: rot, never a power cut
  uint32_t corrupt_values = 0;  // live values whose bytes fail their CRC; verify() tells which
};

class Journal {
 public:
  // Movable, as open() hands it over; a second copy would write over the first one's records.
  Journal(Journal&&) = default;
  Journal& operator=(Journal&&) = default;
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Recovers what the storage holds; syncs it and writes nothing, except that an empty storage (all 0x00 or all 0xFF,
  // or such a format cut short) is formatted. A dropped tail is a success: see recovery(). `storage` must outlive the
  // journal. kInvalidArgument: options out of range, or a storage that is too small. kCorrupt: not empty, and neither
  // bank has a readable commit slot. kVersion: another format version. kLimit: more than kKeysMax keys. kIo: a read
  // failed; nothing is ever dropped for that. On failure the storage is unchanged, save for a failed format.
  static Result<Journal> open(Storage& storage, const JournalOptions& options);

  // Wipes the storage, whatever it holds, and opens it empty. A wipe that was cut short must be done again: what open()
  // then finds is unspecified. Fails as open() does, and with kStorageFull.
  static Result<Journal> format(Storage& storage, const JournalOptions& options);

  // Sets the value of `key` to the parts, one after the other. Durable on return.
  // kLimit: the value exceeds record_bytes_max, or the key is new and there are keys_max. kStorageFull: the live values
  // would not fit the bank even after compaction, or the storage said so. kIo. On failure nothing has changed, now or
  // after a restart. One exception no storage can avoid: if both the final write or sync and its withdrawal fail (the
  // text says so), the change may be found made after a restart, unless a later change has succeeded before.
  Failure put(uint32_t key, std::span<const ByteView> parts);
  Failure put(uint32_t key, ByteView value) { return put(key, std::span<const ByteView>(&value, 1)); }

  // Removes `key`. Durable on return; an absent key is kOk and normally writes nothing. Needs no room: works on a full
  // journal. On failure nothing has changed, as for put().
  Failure erase(uint32_t key);

  // The value's length in bytes. kNotFound.
  Result<uint64_t> size(uint32_t key) const;

  // Fills `into` with the value's bytes from `offset`. kNotFound; kOutOfRange when the range leaves the value; kIo.
  // When the range is the whole value its CRC is checked (kCorrupt); a part is not checked, verify() is for that. On
  // failure the contents of `into` are unknown.
  Failure read(uint32_t key, uint64_t offset, MutableByteView into) const;

  // Reads the value again and checks its CRC: kCorrupt, kNotFound, kIo.
  Failure verify(uint32_t key) const;

  // The live keys, ascending.
  StaticVector<uint32_t, kKeysMax> keys() const;
  bool contains(uint32_t key) const { return find(key) != nullptr; }

  // Bytes of the bank taken by live records, headers and padding included.
  uint64_t live_bytes() const { return live_bytes_; }
  // The longest value that a put of a new key could store now (compacting if need be), were there a key to spare. 0
  // also when not even an empty value fits.
  uint64_t free_bytes() const;
  // Bytes of the bank that no live record takes, for several records (format.h: record_bytes) together.
  uint64_t unused_bytes() const { return records_bytes_max() - std::min(live_bytes_, records_bytes_max()); }

  const RecoveryReport& recovery() const { return report_; }

 private:
  struct Entry {
    uint32_t key = 0;
    uint32_t payload_bytes = 0;
    uint32_t payload_crc = 0;
    bool corrupt_at_open = false;
    uint64_t payload_offset = 0;  // in the storage
  };

  Journal(Storage& storage, const JournalOptions& options) : storage_(&storage), options_(options) {}

  // Recovery (recovery.cc).
  static Failure check(const Storage& storage, const JournalOptions& options);
  Failure recover();
  Failure find_active_bank(bool& found, uint64_t& copied_end);
  Failure replay(uint64_t copied_end);
  Failure count_lost_records();
  Failure read_header(uint64_t offset_in_bank, RecordHeader& header, bool& valid);
  Failure find_content(bool& empty, uint64_t& content_offset);
  Failure format_empty();
  Failure wipe();

  // Changes (journal.cc).
  Failure change(const RecordHeader& header, std::span<const ByteView> parts);
  Failure append(const RecordHeader& header, std::span<const ByteView> parts);
  Failure rewrite(const RecordHeader& header, std::span<const ByteView> parts);
  Failure copy_live_records(uint32_t key_to_skip, uint64_t epoch, uint64_t& offset);
  Failure write_payload(uint64_t record_offset, std::span<const ByteView> parts);
  Failure write(uint64_t offset, ByteView bytes);
  Failure write_zeros(uint64_t offset, uint64_t bytes);
  Failure sync();
  Failure clear_spare_commit();
  void put_in_doubt(Failure& failure);

  Failure payload_crc(uint64_t offset, uint64_t bytes, uint32_t& crc) const;
  const Entry* find(uint32_t key) const;
  size_t lower_bound(uint32_t key) const;
  [[nodiscard]] bool apply(const RecordHeader& header, uint64_t record_offset);
  uint64_t bank_offset(unsigned bank) const { return bank == 0 ? 0 : bank_bytes_; }
  uint64_t records_bytes_max() const { return bank_bytes_ - kRecordsOffset - kTerminatorBytes; }

  Storage* storage_;
  JournalOptions options_;
  uint64_t bank_bytes_ = 0;
  unsigned active_ = 0;  // bank 0 or 1
  uint64_t epoch_ = 0;
  uint64_t next_epoch_ = 1;
  uint64_t tail_ = 0;                // where the next record goes, in the active bank
  bool tail_clean_ = false;          // nothing at or behind the tail can become a record; else changes rewrite the bank
  bool spare_commit_clear_ = false;  // the other bank's commit slot is durably zero; required before any change
  bool in_doubt_ = false;            // a failed change may come to light after a restart, unless a later one succeeds
  std::array<Entry, kKeysMax> entries_{};  // the first count_, by ascending key
  size_t count_ = 0;
  uint64_t live_bytes_ = 0;
  RecoveryReport report_;
};

}  // namespace runnel::journal
