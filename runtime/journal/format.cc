#include "runtime/journal/format.h"

#include "runtime/base/crc32c.h"

namespace runnel::journal {
namespace {

constexpr uint32_t kRecordMagic = 0x524C4E52;  // "RNLR"
constexpr uint32_t kSlotMagic = 0x424C4E52;    // "RNLB"
constexpr uint16_t kFormatVersion = 1;

uint32_t header_crc(std::span<const uint8_t, kHeaderBytes> bytes, uint64_t epoch, uint64_t offset) {
  uint8_t place[16];
  store_le<uint64_t>(place, epoch);
  store_le<uint64_t>(place + 8, offset);
  return crc32c(bytes.first<kHeaderBytes - 4>(), crc32c(place));
}

uint32_t slot_crc(std::span<const uint8_t, kSlotBytes> bytes, uint64_t offset) {
  uint8_t place[8];
  store_le<uint64_t>(place, offset);
  return crc32c(bytes.first<kSlotBytes - 4>(), crc32c(place));
}

}  // namespace

void encode_header(const RecordHeader& header, uint64_t epoch, uint64_t offset, std::span<uint8_t, kHeaderBytes> to) {
  store_le<uint32_t>(to.data(), kRecordMagic);
  store_le<uint32_t>(to.data() + 4, static_cast<uint32_t>(header.kind));
  store_le<uint32_t>(to.data() + 8, header.key);
  store_le<uint32_t>(to.data() + 12, header.payload_bytes);
  store_le<uint32_t>(to.data() + 16, header.payload_crc);
  store_le<uint32_t>(to.data() + 20, header_crc(to, epoch, offset));
}

bool decode_header(std::span<const uint8_t, kHeaderBytes> from, uint64_t epoch, uint64_t offset, RecordHeader& header) {
  if (load_le<uint32_t>(from.data()) != kRecordMagic) return false;
  if (load_le<uint32_t>(from.data() + 20) != header_crc(from, epoch, offset)) return false;
  const auto kind = load_le<uint32_t>(from.data() + 4);
  const auto payload_bytes = load_le<uint32_t>(from.data() + 12);
  if (kind == static_cast<uint32_t>(RecordKind::kErase)) {
    if (payload_bytes != 0) return false;
  } else if (kind != static_cast<uint32_t>(RecordKind::kPut)) {
    return false;
  }
  header = RecordHeader{.kind = static_cast<RecordKind>(kind),
                        .key = load_le<uint32_t>(from.data() + 8),
                        .payload_bytes = payload_bytes,
                        .payload_crc = load_le<uint32_t>(from.data() + 16)};
  return true;
}

void encode_slot(const BankSlot& slot, uint64_t offset, std::span<uint8_t, kSlotBytes> to) {
  store_le<uint32_t>(to.data(), kSlotMagic);
  store_le<uint16_t>(to.data() + 4, kFormatVersion);
  store_le<uint16_t>(to.data() + 6, static_cast<uint16_t>(slot.role));
  store_le<uint64_t>(to.data() + 8, slot.epoch);
  store_le<uint64_t>(to.data() + 16, slot.bank_bytes);
  store_le<uint64_t>(to.data() + 24, slot.copied_end);
  store_le<uint32_t>(to.data() + 32, 0);
  store_le<uint32_t>(to.data() + 36, slot_crc(to, offset));
}

SlotState decode_slot(std::span<const uint8_t, kSlotBytes> from, SlotRole role, uint64_t offset, BankSlot& slot) {
  if (load_le<uint32_t>(from.data()) != kSlotMagic) return SlotState::kAbsent;
  if (load_le<uint32_t>(from.data() + 36) != slot_crc(from, offset)) return SlotState::kAbsent;
  if (load_le<uint16_t>(from.data() + 4) != kFormatVersion) return SlotState::kOtherVersion;
  if (load_le<uint16_t>(from.data() + 6) != static_cast<uint16_t>(role)) return SlotState::kAbsent;
  const BankSlot decoded{.role = role,
                         .epoch = load_le<uint64_t>(from.data() + 8),
                         .bank_bytes = load_le<uint64_t>(from.data() + 16),
                         .copied_end = load_le<uint64_t>(from.data() + 24)};
  if (decoded.epoch == 0 || decoded.epoch > kEpochMax) return SlotState::kAbsent;
  if (decoded.bank_bytes < kBankBytesMin || decoded.bank_bytes % kAlignmentBytes != 0) return SlotState::kAbsent;
  slot = decoded;
  return SlotState::kValid;
}

}  // namespace runnel::journal
