#include "device/engine/outbox_record.h"

namespace runnel::device {
namespace {

constexpr uint32_t kFormat = 3;
constexpr uint32_t kFormatOfOne = 2;         // one update, behind the state behind the header
constexpr uint32_t kFormatWithoutState = 1;  // 48 bytes of header
constexpr size_t kHeaderBytesWithoutState = 48;
constexpr size_t kHeaderBytesOfOne = 56;
// States of the one update in formats 1 and 2.
constexpr uint32_t kPending = 1, kGivenBack = 2, kKept = 3;
// Flags of format 3.
constexpr uint32_t kHeadKept = 1;
constexpr uint32_t kEntryCarries = 1, kEntryGivenBack = 2;

// format u32, state u32, sequence u64, run u64, round u32, checksum u32, total_bytes u64, residual slot u32 and count
// u32; in format 2 also state bytes u32, carries u32, and the state; then the update.
Result<OutboxHead> decode_one(ByteView start, uint64_t record_bytes, bool with_state, uint64_t& inline_offset) {
  const size_t header_bytes = with_state ? kHeaderBytesOfOne : kHeaderBytesWithoutState;
  if (start.size() < header_bytes) return fail(Error::kCorrupt, "the outbox record ends within its header");
  OutboxHead head;
  OutboxEntry entry;
  const auto state = load_le<uint32_t>(&start[4]);
  entry.sequence = head.sequence = load_le<uint64_t>(&start[8]);
  entry.run = head.run = load_le<uint64_t>(&start[16]);
  entry.round = head.round = load_le<uint32_t>(&start[24]);
  entry.checksum = load_le<uint32_t>(&start[28]);
  entry.total_bytes = load_le<uint64_t>(&start[32]);
  entry.given_back = state == kGivenBack;
  head.residual_slot = load_le<uint32_t>(&start[40]);
  head.residual_count = load_le<uint32_t>(&start[44]);
  head.made = 1;
  head.kept = state == kKept;
  const uint32_t state_bytes = with_state ? load_le<uint32_t>(&start[48]) : 0;
  entry.carries = with_state ? load_le<uint32_t>(&start[52]) != 0 : head.residual_slot != 0;
  inline_offset = header_bytes + state_bytes;
  if (state_bytes > kOutboxStateBytesMax || start.size() < inline_offset || record_bytes < inline_offset ||
      record_bytes - inline_offset != entry.total_bytes || head.residual_slot > 2) {
    return fail(Error::kCorrupt, "the outbox record's size does not fit its header");
  }
  head.state.assign(start.begin() + static_cast<std::ptrdiff_t>(header_bytes),
                    start.begin() + static_cast<std::ptrdiff_t>(inline_offset));
  if (state == kPending || state == kGivenBack) head.entries.push_back(entry);
  return head;
}

OutboxEntry decode_entry(const uint8_t* in) {
  OutboxEntry entry;
  entry.sequence = load_le<uint64_t>(in);
  entry.run = load_le<uint64_t>(in + 8);
  entry.model_version = load_le<uint64_t>(in + 16);
  entry.total_bytes = load_le<uint64_t>(in + 24);
  entry.round = load_le<uint32_t>(in + 32);
  entry.checksum = load_le<uint32_t>(in + 36);
  entry.age_s = load_le<uint32_t>(in + 40);
  entry.slot = load_le<uint32_t>(in + 44);
  const auto flags = load_le<uint32_t>(in + 48);
  entry.carries = (flags & kEntryCarries) != 0;
  entry.given_back = (flags & kEntryGivenBack) != 0;
  return entry;  // 12 bytes are to spare
}

bool sound(const OutboxHead& head) {
  uint64_t slots = 0;
  uint64_t before = 0;
  for (const OutboxEntry& entry : head.entries) {
    if (entry.slot == 0 || entry.slot > kOutboxEntriesMax || (slots >> entry.slot & 1) != 0) return false;
    if (entry.sequence <= before || entry.sequence > head.sequence) return false;
    slots |= uint64_t{1} << entry.slot;
    before = entry.sequence;
  }
  return head.residual_slot <= 2;
}

}  // namespace

// format u32, flags u32, sequence u64, run u64, round u32, made u32, residual slot u32 and count u32, written_at_s u64,
// state bytes u32, entry count u32; then the state; then the entries.
std::vector<uint8_t> encode_outbox(const OutboxHead& head) {
  RUNNEL_ASSERT(head.state.size() <= kOutboxStateBytesMax && head.entries.size() <= kOutboxEntriesMax);
  std::vector<uint8_t> bytes(kOutboxHeadBytes + head.state.size() + head.entries.size() * kOutboxEntryBytes);
  uint8_t* out = bytes.data();
  store_le<uint32_t>(out, kFormat);
  store_le<uint32_t>(out + 4, head.kept ? kHeadKept : 0);
  store_le<uint64_t>(out + 8, head.sequence);
  store_le<uint64_t>(out + 16, head.run);
  store_le<uint32_t>(out + 24, head.round);
  store_le<uint32_t>(out + 28, head.made);
  store_le<uint32_t>(out + 32, head.residual_slot);
  store_le<uint32_t>(out + 36, head.residual_count);
  store_le<uint64_t>(out + 40, head.written_at_s);
  store_le<uint32_t>(out + 48, static_cast<uint32_t>(head.state.size()));
  store_le<uint32_t>(out + 52, static_cast<uint32_t>(head.entries.size()));
  out = std::copy(head.state.begin(), head.state.end(), out + kOutboxHeadBytes);
  for (const OutboxEntry& entry : head.entries) {
    RUNNEL_ASSERT(entry.slot != 0);
    store_le<uint64_t>(out, entry.sequence);
    store_le<uint64_t>(out + 8, entry.run);
    store_le<uint64_t>(out + 16, entry.model_version);
    store_le<uint64_t>(out + 24, entry.total_bytes);
    store_le<uint32_t>(out + 32, entry.round);
    store_le<uint32_t>(out + 36, entry.checksum);
    store_le<uint32_t>(out + 40, entry.age_s);
    store_le<uint32_t>(out + 44, entry.slot);
    store_le<uint32_t>(out + 48, (entry.carries ? kEntryCarries : 0) | (entry.given_back ? kEntryGivenBack : 0));
    out += kOutboxEntryBytes;
  }
  return bytes;
}

Result<OutboxHead> decode_outbox(ByteView start, uint64_t record_bytes, uint64_t& inline_offset) {
  inline_offset = 0;
  if (start.size() < kHeaderBytesWithoutState)
    return fail(Error::kCorrupt, "the outbox record has %llu bytes", static_cast<unsigned long long>(record_bytes));
  const auto format = load_le<uint32_t>(start.data());
  if (format == kFormatOfOne || format == kFormatWithoutState)
    return decode_one(start, record_bytes, format == kFormatOfOne, inline_offset);
  if (format != kFormat)
    return fail(Error::kVersion, "the outbox record has format %u, this build reads up to %u", format, kFormat);
  if (start.size() < kOutboxHeadBytes) return fail(Error::kCorrupt, "the outbox record ends within its header");
  OutboxHead head;
  head.kept = (load_le<uint32_t>(&start[4]) & kHeadKept) != 0;
  head.sequence = load_le<uint64_t>(&start[8]);
  head.run = load_le<uint64_t>(&start[16]);
  head.round = load_le<uint32_t>(&start[24]);
  head.made = load_le<uint32_t>(&start[28]);
  head.residual_slot = load_le<uint32_t>(&start[32]);
  head.residual_count = load_le<uint32_t>(&start[36]);
  head.written_at_s = load_le<uint64_t>(&start[40]);
  const auto state_bytes = load_le<uint32_t>(&start[48]);
  const auto entry_count = load_le<uint32_t>(&start[52]);
  if (state_bytes > kOutboxStateBytesMax || entry_count > kOutboxEntriesMax ||
      record_bytes != kOutboxHeadBytes + state_bytes + entry_count * kOutboxEntryBytes ||
      start.size() != record_bytes) {
    return fail(Error::kCorrupt, "the outbox record's size does not fit its header");
  }
  const uint8_t* in = start.data() + kOutboxHeadBytes;
  head.state.assign(in, in + state_bytes);
  for (in += state_bytes; head.entries.size() < entry_count; in += kOutboxEntryBytes)
    head.entries.push_back(decode_entry(in));
  if (!sound(head)) return fail(Error::kCorrupt, "the outbox record's entries contradict each other");
  return head;
}

}  // namespace runnel::device
