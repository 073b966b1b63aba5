// Opening a journal: which bank is active, which of its records hold, and whether the storage is empty.
#include <algorithm>
#include <cinttypes>

#include "runtime/journal/journal.h"

namespace runnel::journal {
namespace {

constexpr size_t kBufferBytes = 512;

bool all_equal(ByteView bytes, uint8_t value) {
  return std::all_of(bytes.begin(), bytes.end(), [value](uint8_t byte) { return byte == value; });
}

Failure read_failed(Error error, uint64_t offset) {
  return fail(error, "journal: reading at offset %" PRIu64 ": %s", offset, error_name(error));
}

// All zeros or all ones: most of a storage is, and neither begins a record or a slot. Eight at a time.
bool is_blank(ByteView bytes) {
  uint64_t any = 0;
  uint64_t all = ~uint64_t{0};
  size_t at = 0;
  for (; at + sizeof any <= bytes.size(); at += sizeof any) {
    const auto word = load_le<uint64_t>(bytes.data() + at);
    any |= word;
    all &= word;
  }
  if (any != 0 && ~all != 0) return false;
  const auto rest = bytes.subspan(at);
  return any == 0 ? all_equal(rest, 0) : all_equal(rest, 0xFF);
}

// Calls visit(offset, bytes) for every run of kBytes in [from, to) that starts a multiple of kAlignmentBytes behind
// `from`, and that may hold anything.
template <size_t kBytes, typename Visit>
Failure for_each_run(Storage& storage, uint64_t from, uint64_t to, Visit visit) {
  std::array<uint8_t, kBufferBytes> buffer;
  while (range_within(from, kBytes, to)) {
    const MutableByteView piece(buffer.data(), static_cast<size_t>(std::min<uint64_t>(kBufferBytes, to - from)));
    if (const Error error = storage.read(from, piece); error != Error::kOk) return read_failed(error, from);
    const size_t runs = static_cast<size_t>((piece.size() - kBytes) / kAlignmentBytes + 1);
    for (size_t run = is_blank(piece) ? runs : 0; run < runs; ++run)
      visit(from + run * kAlignmentBytes,
            piece.subspan(static_cast<size_t>(run * kAlignmentBytes)).template first<kBytes>());
    from += runs * kAlignmentBytes;
  }
  return Error::kOk;
}

// What the slots of the bank that starts at `bank` say.
struct BankSlots {
  bool committed = false;
  BankSlot commit;
  bool commit_zero = false;
  uint64_t newest_epoch = 0;  // that this bank was ever prepared for; 0 unknown
  uint64_t bank_bytes = 0;    // 0 unknown

  Failure load(Storage& storage, uint64_t bank) {
    std::array<uint8_t, kRecordsOffset> bytes;
    if (const Error error = storage.read(bank, bytes); error != Error::kOk) return read_failed(error, bank);
    commit_zero = all_equal(std::span(bytes).subspan<kCommitOffset, kSlotBytes>(), 0);
    for (size_t offset = 0; offset < kRecordsOffset; offset += kSlotBytes) {
      const SlotRole role = offset == kCommitOffset ? SlotRole::kCommit : SlotRole::kReservation;
      BankSlot slot;
      const SlotState state =
          decode_slot(std::span(bytes).subspan(offset).first<kSlotBytes>(), role, bank + offset, slot);
      if (state == SlotState::kOtherVersion) {
        return fail(Error::kVersion,
                    "journal: the slot at offset %" PRIu64 " has a format version that this build does not read",
                    bank + offset);
      }
      if (state != SlotState::kValid) continue;
      newest_epoch = std::max(newest_epoch, slot.epoch);
      bank_bytes = slot.bank_bytes;
      if (role == SlotRole::kCommit) {
        committed = true;
        commit = slot;
      }
    }
    return Error::kOk;
  }
};

}  // namespace

Result<Journal> Journal::open(Storage& storage, const JournalOptions& options) {
  RUNNEL_TRY(check(storage, options));
  Journal journal(storage, options);
  RUNNEL_TRY(journal.recover());
  return journal;
}

Result<Journal> Journal::format(Storage& storage, const JournalOptions& options) {
  RUNNEL_TRY(check(storage, options));
  Journal journal(storage, options);
  RUNNEL_TRY(journal.wipe());
  RUNNEL_TRY(journal.format_empty());
  return journal;
}

Failure Journal::check(const Storage& storage, const JournalOptions& options) {
  if (options.keys_max < 1 || options.keys_max > kKeysMax) {
    return fail(Error::kInvalidArgument, "journal: keys_max %" PRIu32 " is not in 1..%zu", options.keys_max, kKeysMax);
  }
  if (storage.size_bytes() < kStorageBytesMin) {
    return fail(Error::kInvalidArgument,
                "journal: a storage of %" PRIu64 " bytes is smaller than the minimum of %" PRIu64, storage.size_bytes(),
                kStorageBytesMin);
  }
  return Error::kOk;
}

// Syncs first: a process that was killed may have left writes that are readable and not yet durable, and nothing must
// be built on those.
Failure Journal::recover() {
  RUNNEL_TRY(sync());
  bool found = false;
  uint64_t copied_end = 0;
  RUNNEL_TRY(find_active_bank(found, copied_end));
  if (found) return replay(copied_end);
  bool empty = false;
  uint64_t content_offset = 0;
  RUNNEL_TRY(find_content(empty, content_offset));
  if (!empty) {
    return fail(Error::kCorrupt,
                "journal: no readable commit slot at offset %" PRIu64 " or %" PRIu64
                ", yet the storage is not empty (offset %" PRIu64 ")",
                kCommitOffset, bank_bytes_ + kCommitOffset, content_offset);
  }
  return format_empty();
}

// Sets bank_bytes_, and if a bank has a valid commit slot the active bank, its epoch and `copied_end`. A storage that
// has grown since the format keeps its old banks.
Failure Journal::find_active_bank(bool& found, uint64_t& copied_end) {
  const uint64_t bank_bytes_max = storage_->size_bytes() / 2 / kAlignmentBytes * kAlignmentBytes;
  bank_bytes_ = bank_bytes_max;
  BankSlots slots[2];
  RUNNEL_TRY(slots[0].load(*storage_, 0));
  if (slots[0].bank_bytes != 0) {
    bank_bytes_ = slots[0].bank_bytes;
    if (bank_bytes_ > bank_bytes_max) {
      return fail(Error::kInvalidArgument,
                  "journal: made for a storage with banks of %" PRIu64 " bytes, and this one has room for %" PRIu64,
                  bank_bytes_, bank_bytes_max);
    }
  } else {
    // Bank 0 was being prepared when the power went, or has rotted: the commit slot of the other one says where it
    // begins.
    RUNNEL_TRY(for_each_run<kSlotBytes>(*storage_, kCommitOffset + kBankBytesMin, storage_->size_bytes(),
                                        [this](uint64_t offset, std::span<const uint8_t, kSlotBytes> bytes) {
                                          BankSlot slot;
                                          if (decode_slot(bytes, SlotRole::kCommit, offset, slot) ==
                                                  SlotState::kValid &&
                                              slot.bank_bytes == offset - kCommitOffset) {
                                            bank_bytes_ = slot.bank_bytes;
                                          }
                                        }));
    bank_bytes_ = std::min(bank_bytes_, bank_bytes_max);
  }
  RUNNEL_TRY(slots[1].load(*storage_, bank_bytes_));
  for (BankSlots& bank : slots) bank.committed = bank.committed && bank.commit.bank_bytes == bank_bytes_;

  found = slots[0].committed || slots[1].committed;
  spare_commit_clear_ = slots[1].commit_zero;
  if (!found) return Error::kOk;
  active_ = slots[1].committed && (!slots[0].committed || slots[1].commit.epoch > slots[0].commit.epoch) ? 1 : 0;
  epoch_ = slots[active_].commit.epoch;
  copied_end = slots[active_].commit.copied_end;
  next_epoch_ = std::max(slots[0].newest_epoch, slots[1].newest_epoch) + 1;
  spare_commit_clear_ = slots[1 - active_].commit_zero;
  return Error::kOk;
}

// Applies the records of the active bank up to the first that does not hold. A record whose payload alone fails is
// kept, as corrupt, when it is known to have been durable: copied before the commit, or followed by a later record.
Failure Journal::replay(uint64_t copied_end) {
  tail_ = kRecordsOffset;
  report_.epoch = epoch_;
  for (;;) {
    RecordHeader header;
    bool valid = false;
    RUNNEL_TRY(read_header(tail_, header, valid));
    const uint64_t end = tail_ + record_bytes(header.payload_bytes);
    if (!valid || !range_within(end, kTerminatorBytes, bank_bytes_)) break;
    const uint64_t offset = bank_offset(active_) + tail_;
    uint32_t crc = 0;
    RUNNEL_TRY(payload_crc(offset + kHeaderBytes, header.payload_bytes, crc));
    const bool corrupt = header.kind == RecordKind::kPut && crc != header.payload_crc;
    if (corrupt && end > copied_end) {
      RecordHeader next;
      bool followed = false;
      RUNNEL_TRY(read_header(end, next, followed));
      if (!followed) break;
    }
    if (!apply(header, offset)) {
      return fail(Error::kLimit, "journal: more than %zu keys at offset %" PRIu64, kKeysMax, offset);
    }
    if (header.kind == RecordKind::kPut) entries_[lower_bound(header.key)].corrupt_at_open = corrupt;
    ++report_.replayed_records;
    tail_ = end;
  }
  for (size_t index = 0; index < count_; ++index) report_.corrupt_values += entries_[index].corrupt_at_open ? 1 : 0;

  std::array<uint8_t, kTerminatorBytes> terminator;
  const uint64_t offset = bank_offset(active_) + tail_;
  if (const Error error = storage_->read(offset, terminator); error != Error::kOk) return read_failed(error, offset);
  RUNNEL_TRY(count_lost_records());
  if (tail_ < copied_end && report_.lost_records == 0) report_.lost_records = 1;
  const bool ended = all_equal(terminator, 0) || all_equal(terminator, 0xFF);
  tail_clean_ = ended && report_.lost_records == 0;
  report_.dropped_tail = !tail_clean_;
  report_.dropped_offset = report_.dropped_tail ? offset : 0;
  return Error::kOk;
}

// REQUIRES: offset_in_bank + kHeaderBytes <= bank_bytes_.
Failure Journal::read_header(uint64_t offset_in_bank, RecordHeader& header, bool& valid) {
  std::array<uint8_t, kHeaderBytes> bytes;
  const uint64_t offset = bank_offset(active_) + offset_in_bank;
  if (const Error error = storage_->read(offset, bytes); error != Error::kOk) return read_failed(error, offset);
  valid = decode_header(bytes, epoch_, offset, header);
  return Error::kOk;
}

// Looks behind the tail for records of this epoch. A power cut leaves none there, so each is an acknowledged change
// that the break in the log cuts off; the record at the break itself is one more, unless it is the unfinished one.
Failure Journal::count_lost_records() {
  const uint64_t bank = bank_offset(active_);
  RUNNEL_TRY(for_each_run<kHeaderBytes>(*storage_, bank + tail_ + kAlignmentBytes, bank + bank_bytes_,
                                        [this](uint64_t offset, std::span<const uint8_t, kHeaderBytes> bytes) {
                                          RecordHeader header;
                                          if (decode_header(bytes, epoch_, offset, header)) ++report_.lost_records;
                                        }));
  if (report_.lost_records > 0) ++report_.lost_records;
  return Error::kOk;
}

// A storage counts as empty when it was never more than formatted: any bytes in bank 0's slots (a format cut short
// leaves such), zeros or ones in the first terminator, and one and the same blank byte everywhere else.
Failure Journal::find_content(bool& empty, uint64_t& content_offset) {
  constexpr uint64_t kFormattedBytes = kRecordsOffset + kTerminatorBytes;
  std::array<uint8_t, kBufferBytes> buffer;
  empty = false;
  uint8_t blank = 0;
  if (const Error error = storage_->read(kFormattedBytes, std::span(&blank, 1)); error != Error::kOk) {
    return read_failed(error, kFormattedBytes);
  }
  const uint64_t size = storage_->size_bytes();
  for (uint64_t offset = kRecordsOffset; offset < size;) {
    const auto piece = std::span(buffer).first(static_cast<size_t>(std::min<uint64_t>(kBufferBytes, size - offset)));
    if (const Error error = storage_->read(offset, piece); error != Error::kOk) return read_failed(error, offset);
    for (const uint8_t byte : piece) {
      const bool either = offset < kFormattedBytes;
      if ((byte != 0x00 && byte != 0xFF) || (!either && byte != blank)) {
        content_offset = offset;
        return Error::kOk;
      }
      ++offset;
    }
  }
  empty = true;
  return Error::kOk;
}

// Makes bank 0 of an empty storage the active one. REQUIRES: bank_bytes_ and
// spare_commit_clear_ are set.
Failure Journal::format_empty() {
  std::array<uint8_t, kRecordsOffset + kTerminatorBytes> bytes{};
  const std::span all(bytes);
  active_ = 0;
  epoch_ = 1;
  next_epoch_ = 2;
  encode_slot({.role = SlotRole::kReservation, .epoch = epoch_, .bank_bytes = bank_bytes_}, reservation_offset(1),
              all.subspan<reservation_offset(1), kSlotBytes>());
  encode_slot({.role = SlotRole::kCommit, .epoch = epoch_, .bank_bytes = bank_bytes_, .copied_end = kRecordsOffset},
              kCommitOffset, all.subspan<kCommitOffset, kSlotBytes>());
  RUNNEL_TRY(write(0, bytes));
  RUNNEL_TRY(sync());
  tail_ = kRecordsOffset;
  tail_clean_ = true;
  report_ = RecoveryReport{.formatted = true, .epoch = epoch_};
  return Error::kOk;
}

Failure Journal::wipe() {
  static constexpr std::array<uint8_t, kBufferBytes> kZeros{};
  const uint64_t size = storage_->size_bytes();
  for (uint64_t offset = 0; offset < size; offset += kBufferBytes) {
    RUNNEL_TRY(
        write(offset, std::span(kZeros).first(static_cast<size_t>(std::min<uint64_t>(kBufferBytes, size - offset)))));
  }
  RUNNEL_TRY(sync());
  bank_bytes_ = size / 2 / kAlignmentBytes * kAlignmentBytes;
  spare_commit_clear_ = true;
  return Error::kOk;
}

}  // namespace runnel::journal
