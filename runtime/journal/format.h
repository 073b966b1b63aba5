// The journal's bytes: bank slots and record headers, as FORMAT.md lays them down.
//
// Both carry a CRC-32C that also covers where they stand, and a record's covers the epoch of its bank: bytes left over
// from an older use of the bank, or copied to another place, do not pass for new ones. A record's header holds the CRC
// of its payload too, so that a new header over an old payload is never taken for a record.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/base/bytes.h"

namespace runnel::journal {

inline constexpr uint64_t kAlignmentBytes = 8;  // records start on multiples of this
inline constexpr uint64_t kSlotBytes = 40;
inline constexpr uint64_t kCommitOffset = 2 * kSlotBytes;   // within a bank, behind two reservation slots
inline constexpr uint64_t kRecordsOffset = 3 * kSlotBytes;  // within a bank
inline constexpr uint64_t kHeaderBytes = 24;
inline constexpr uint64_t kTerminatorBytes = kHeaderBytes;  // zeros where the next record's header would be
inline constexpr uint64_t kBankBytesMin = kRecordsOffset + kHeaderBytes + kTerminatorBytes;
inline constexpr uint64_t kEpochMax = UINT64_MAX / 2;

// What a record of `payload_bytes` takes, header and padding included.
constexpr uint64_t record_bytes(uint64_t payload_bytes) {
  return kHeaderBytes + (payload_bytes + kAlignmentBytes - 1) / kAlignmentBytes * kAlignmentBytes;
}

enum class RecordKind : uint32_t { kPut = 1, kErase = 2 };

struct RecordHeader {
  RecordKind kind = RecordKind::kPut;
  uint32_t key = 0;
  uint32_t payload_bytes = 0;
  uint32_t payload_crc = 0;
};

// `offset` is where the header stands in the storage.
void encode_header(const RecordHeader& header, uint64_t epoch, uint64_t offset, std::span<uint8_t, kHeaderBytes> to);
// False when the bytes are not a record of this epoch at this place; `header` is then unchanged.
[[nodiscard]] bool decode_header(std::span<const uint8_t, kHeaderBytes> from, uint64_t epoch, uint64_t offset,
                                 RecordHeader& header);

enum class SlotRole : uint16_t { kReservation = 1, kCommit = 2 };

// Where, in the bank, an epoch is reserved. Epochs that follow each other take turns: an unfinished reservation must
// not cost the one before it, under which records may have been written.
constexpr uint64_t reservation_offset(uint64_t epoch) {
  return epoch % 2 * kSlotBytes;
}

struct BankSlot {
  SlotRole role = SlotRole::kReservation;
  uint64_t epoch = 0;
  uint64_t bank_bytes = 0;  // the size of each bank
  uint64_t copied_end = 0;  // commit only: where, in the bank, the records end that were durable before the commit
};

enum class SlotState { kAbsent, kValid, kOtherVersion };

void encode_slot(const BankSlot& slot, uint64_t offset, std::span<uint8_t, kSlotBytes> to);
// kAbsent: zeros, torn, rotten, or a slot of another role or place. `slot` is set when kValid and otherwise unchanged.
SlotState decode_slot(std::span<const uint8_t, kSlotBytes> from, SlotRole role, uint64_t offset, BankSlot& slot);

}  // namespace runnel::journal
