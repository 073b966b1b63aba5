#include "runtime/journal/journal.h"

#include <algorithm>
#include <cinttypes>

#include "runtime/base/crc32c.h"
#include "runtime/base/planted_bug.h"

namespace runnel::journal {
namespace {

constexpr size_t kBufferBytes = 512;

}  // namespace

Failure Journal::put(uint32_t key, std::span<const ByteView> parts) {
  uint64_t bytes = 0;
  for (const ByteView part : parts) bytes += part.size();
  if (bytes > options_.record_bytes_max) {
    return fail(Error::kLimit, "journal: a value of %" PRIu64 " bytes exceeds the limit of %" PRIu32 " bytes", bytes,
                options_.record_bytes_max);
  }
  const Entry* old = find(key);
  if (old == nullptr && count_ >= options_.keys_max) {
    return fail(Error::kLimit, "journal: key %" PRIu32 " would be one more than the limit of %" PRIu32 " keys", key,
                options_.keys_max);
  }
  const uint64_t others_bytes = live_bytes_ - (old == nullptr ? 0 : record_bytes(old->payload_bytes));
  if (others_bytes + record_bytes(bytes) > records_bytes_max()) {
    return fail(Error::kStorageFull,
                "journal: a value of %" PRIu64 " bytes does not fit: other keys take %" PRIu64 " of %" PRIu64 " bytes",
                bytes, others_bytes, records_bytes_max());
  }
  uint32_t crc = 0;
  for (const ByteView part : parts) crc = crc32c(part, crc);
  return change(
      {.kind = RecordKind::kPut, .key = key, .payload_bytes = static_cast<uint32_t>(bytes), .payload_crc = crc}, parts);
}

Failure Journal::erase(uint32_t key) {
  if (find(key) == nullptr && !in_doubt_) return Error::kOk;
  return change({.kind = RecordKind::kErase, .key = key, .payload_bytes = 0, .payload_crc = 0}, {});
}

Result<uint64_t> Journal::size(uint32_t key) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return fail(Error::kNotFound, "journal: no key %" PRIu32, key);
  return uint64_t{entry->payload_bytes};
}

Failure Journal::read(uint32_t key, uint64_t offset, MutableByteView into) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return fail(Error::kNotFound, "journal: no key %" PRIu32, key);
  if (!range_within(offset, into.size(), entry->payload_bytes)) {
    return fail(Error::kOutOfRange, "journal: %zu bytes at %" PRIu64 " of key %" PRIu32 ", which has %" PRIu32,
                into.size(), offset, key, entry->payload_bytes);
  }
  if (!into.empty()) {
    if (const Error error = storage_->read(entry->payload_offset + offset, into); error != Error::kOk) {
      return fail(error, "journal: reading key %" PRIu32 " at offset %" PRIu64, key, entry->payload_offset + offset);
    }
  }
  if (into.size() == entry->payload_bytes && crc32c(into) != entry->payload_crc) {
    return fail(Error::kCorrupt, "journal: the value of key %" PRIu32 " at offset %" PRIu64 " fails its checksum", key,
                entry->payload_offset);
  }
  return Error::kOk;
}

Failure Journal::verify(uint32_t key) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return fail(Error::kNotFound, "journal: no key %" PRIu32, key);
  uint32_t crc = 0;
  RUNNEL_TRY(payload_crc(entry->payload_offset, entry->payload_bytes, crc));
  if (crc != entry->payload_crc) {
    return fail(Error::kCorrupt, "journal: the value of key %" PRIu32 " at offset %" PRIu64 " fails its checksum", key,
                entry->payload_offset);
  }
  return Error::kOk;
}

StaticVector<uint32_t, kKeysMax> Journal::keys() const {
  StaticVector<uint32_t, kKeysMax> keys;
  for (size_t index = 0; index < count_; ++index) RUNNEL_ASSERT(keys.push_back(entries_[index].key));
  return keys;
}

uint64_t Journal::free_bytes() const {
  const uint64_t taken_bytes = live_bytes_ + kHeaderBytes;
  if (taken_bytes > records_bytes_max()) return 0;
  return std::min<uint64_t>(records_bytes_max() - taken_bytes, options_.record_bytes_max);
}

Failure Journal::change(const RecordHeader& header, std::span<const ByteView> parts) {
  RUNNEL_TRY(clear_spare_commit());
  const bool fits = range_within(tail_, record_bytes(header.payload_bytes) + kTerminatorBytes, bank_bytes_);
  RUNNEL_TRY(tail_clean_ && fits ? append(header, parts) : rewrite(header, parts));
  in_doubt_ = false;
  return Error::kOk;
}

// The header is written after the rest: as long as it has not been touched, the zeros in its place end the log, and a
// failure (a full disk, most likely) needs no further write to be undone.
Failure Journal::append(const RecordHeader& header, std::span<const ByteView> parts) {
  const uint64_t offset = bank_offset(active_) + tail_;
  const uint64_t padded_bytes = record_bytes(header.payload_bytes);
  const uint64_t payload_end = kHeaderBytes + header.payload_bytes;
  RUNNEL_TRY(write_payload(offset, parts));
  RUNNEL_TRY(write_zeros(offset + payload_end, padded_bytes - payload_end + kTerminatorBytes));

  std::array<uint8_t, kHeaderBytes> bytes;
  encode_header(header, epoch_, offset, bytes);
  tail_clean_ = false;
  Failure failure = write(offset, bytes);
  if (failure.ok()) failure = sync();
  if (!failure.ok()) {
    tail_clean_ = write_zeros(offset, kHeaderBytes).ok() && sync().ok();
    if (!tail_clean_) put_in_doubt(failure);
    return failure;
  }
  tail_clean_ = true;
  tail_ += padded_bytes;
  RUNNEL_ASSERT(apply(header, offset));
  return Error::kOk;
}

// Copies the live records and the change to the other bank. Until its commit slot is durable the active bank is the
// truth, and nothing in it is touched.
Failure Journal::rewrite(const RecordHeader& header, std::span<const ByteView> parts) {
  if (next_epoch_ > kEpochMax) return fail(Error::kLimit, "journal: epochs are used up");
  const uint64_t epoch = next_epoch_;
  const uint64_t bank = bank_offset(1 - active_);
  std::array<uint8_t, kSlotBytes> slot;
  encode_slot({.role = SlotRole::kReservation, .epoch = epoch, .bank_bytes = bank_bytes_},
              bank + reservation_offset(epoch), slot);
  RUNNEL_TRY(write(bank + reservation_offset(epoch), slot));
  RUNNEL_TRY(sync());
  ++next_epoch_;  // not before: had the reservation failed, trying the next epoch would overwrite the one before

  uint64_t end = bank + kRecordsOffset;
  RUNNEL_TRY(copy_live_records(header.key, epoch, end));
  const uint64_t change_offset = end;
  if (header.kind == RecordKind::kPut) {
    std::array<uint8_t, kHeaderBytes> bytes;
    encode_header(header, epoch, change_offset, bytes);
    RUNNEL_TRY(write(change_offset, bytes));
    RUNNEL_TRY(write_payload(change_offset, parts));
    end += record_bytes(header.payload_bytes);
    const uint64_t payload_end = change_offset + kHeaderBytes + header.payload_bytes;
    RUNNEL_TRY(write_zeros(payload_end, end - payload_end));
  }
  RUNNEL_TRY(write_zeros(end, kTerminatorBytes));
  RUNNEL_TRY(sync());

  encode_slot({.role = SlotRole::kCommit, .epoch = epoch, .bank_bytes = bank_bytes_, .copied_end = end - bank},
              bank + kCommitOffset, slot);
  spare_commit_clear_ = false;
  Failure failure = write(bank + kCommitOffset, slot);
  if (failure.ok()) failure = sync();
  if (!failure.ok()) {
    if (!clear_spare_commit().ok()) put_in_doubt(failure);
    return failure;
  }

  active_ = 1 - active_;
  epoch_ = epoch;
  tail_ = end - bank;
  tail_clean_ = true;
  uint64_t offset = bank + kRecordsOffset;
  for (size_t index = 0; index < count_; ++index) {
    if (entries_[index].key == header.key) continue;
    entries_[index].payload_offset = offset + kHeaderBytes;
    offset += record_bytes(entries_[index].payload_bytes);
  }
  RUNNEL_ASSERT(apply(header, change_offset));
  // The old bank is retired, so that a rotten slot in the new one shows as kCorrupt rather than as yesterday's state.
  // The change itself is durable already: if this fails, the next change tries again before anything else.
  static_cast<void>(clear_spare_commit().ok());
  return Error::kOk;
}

void Journal::put_in_doubt(Failure& failure) {
  in_doubt_ = true;
  failure.prefix("journal: the change could not be withdrawn, a restart may find it made");
}

// Copies in key order, from `offset` on, and moves `offset` behind. A value that has rotted keeps its old CRC and so
// stays recognisable as corrupt.
Failure Journal::copy_live_records(uint32_t key_to_skip, uint64_t epoch, uint64_t& offset) {
  std::array<uint8_t, kBufferBytes> buffer;
  for (size_t index = 0; index < count_; ++index) {
    const Entry& entry = entries_[index];
    if (entry.key == key_to_skip) continue;
    encode_header({.kind = RecordKind::kPut,
                   .key = entry.key,
                   .payload_bytes = entry.payload_bytes,
                   .payload_crc = entry.payload_crc},
                  epoch, offset, std::span(buffer).first<kHeaderBytes>());
    RUNNEL_TRY(write(offset, std::span(buffer).first<kHeaderBytes>()));
    uint64_t done = 0;
    while (done < entry.payload_bytes) {
      const auto piece = static_cast<size_t>(std::min<uint64_t>(kBufferBytes, entry.payload_bytes - done));
      if (const Error error = storage_->read(entry.payload_offset + done, std::span(buffer).first(piece));
          error != Error::kOk) {
        return fail(error, "journal: reading key %" PRIu32 " at offset %" PRIu64, entry.key,
                    entry.payload_offset + done);
      }
      RUNNEL_TRY(write(offset + kHeaderBytes + done, std::span(buffer).first(piece)));
      done += piece;
    }
    const uint64_t bytes = record_bytes(entry.payload_bytes);
    RUNNEL_TRY(write_zeros(offset + kHeaderBytes + done, bytes - kHeaderBytes - done));
    offset += bytes;
  }
  return Error::kOk;
}

Failure Journal::write_payload(uint64_t record_offset, std::span<const ByteView> parts) {
  uint64_t offset = record_offset + kHeaderBytes;
  for (const ByteView part : parts) {
    RUNNEL_TRY(write(offset, part));
    offset += part.size();
  }
  return Error::kOk;
}

Failure Journal::write(uint64_t offset, ByteView bytes) {
  if (bytes.empty()) return Error::kOk;
  if (const Error error = storage_->write(offset, bytes); error != Error::kOk) {
    return fail(error, "journal: writing %zu bytes at offset %" PRIu64 ": %s", bytes.size(), offset, error_name(error));
  }
  return Error::kOk;
}

// REQUIRES: bytes <= kAlignmentBytes + kSlotBytes.
Failure Journal::write_zeros(uint64_t offset, uint64_t bytes) {
  static constexpr std::array<uint8_t, kAlignmentBytes + kSlotBytes> kZeros{};
  RUNNEL_ASSERT(bytes <= kZeros.size());
  return write(offset, std::span(kZeros).first(static_cast<size_t>(bytes)));
}

Failure Journal::sync() {
  if (planted(PlantedBug::kSendBeforePersist)) return Error::kOk;
  if (const Error error = storage_->sync(); error != Error::kOk) {
    return fail(error, "journal: syncing: %s", error_name(error));
  }
  return Error::kOk;
}

Failure Journal::clear_spare_commit() {
  if (spare_commit_clear_) return Error::kOk;
  RUNNEL_TRY(write_zeros(bank_offset(1 - active_) + kCommitOffset, kSlotBytes));
  RUNNEL_TRY(sync());
  spare_commit_clear_ = true;
  return Error::kOk;
}

Failure Journal::payload_crc(uint64_t offset, uint64_t bytes, uint32_t& crc) const {
  std::array<uint8_t, kBufferBytes> buffer;
  crc = 0;
  for (uint64_t done = 0; done < bytes;) {
    const auto piece = std::span(buffer).first(static_cast<size_t>(std::min<uint64_t>(kBufferBytes, bytes - done)));
    if (const Error error = storage_->read(offset + done, piece); error != Error::kOk) {
      return fail(error, "journal: reading %zu bytes at offset %" PRIu64, piece.size(), offset + done);
    }
    crc = crc32c(piece, crc);
    done += piece.size();
  }
  return Error::kOk;
}

size_t Journal::lower_bound(uint32_t key) const {
  size_t index = 0;
  while (index < count_ && entries_[index].key < key) ++index;
  return index;
}

const Journal::Entry* Journal::find(uint32_t key) const {
  const size_t index = lower_bound(key);
  return index < count_ && entries_[index].key == key ? &entries_[index] : nullptr;
}

// Brings the index up to date with a record that counts. False, and unchanged, when the index is full.
bool Journal::apply(const RecordHeader& header, uint64_t record_offset) {
  const size_t index = lower_bound(header.key);
  const bool present = index < count_ && entries_[index].key == header.key;
  const auto at = entries_.begin() + static_cast<std::ptrdiff_t>(index);
  const auto end = entries_.begin() + static_cast<std::ptrdiff_t>(count_);
  if (header.kind == RecordKind::kErase) {
    if (!present) return true;
    live_bytes_ -= record_bytes(entries_[index].payload_bytes);
    std::move(at + 1, end, at);
    --count_;
    return true;
  }
  if (present) {
    live_bytes_ -= record_bytes(entries_[index].payload_bytes);
  } else {
    if (count_ == kKeysMax) return false;
    std::move_backward(at, end, end + 1);
    ++count_;
  }
  entries_[index] = Entry{.key = header.key,
                          .payload_bytes = header.payload_bytes,
                          .payload_crc = header.payload_crc,
                          .payload_offset = record_offset + kHeaderBytes};
  live_bytes_ += record_bytes(header.payload_bytes);
  return true;
}

}  // namespace runnel::journal
