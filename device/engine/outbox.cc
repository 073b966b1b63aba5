#include "device/engine/outbox.h"

#include <array>

#include "runtime/base/crc32c.h"

namespace runnel::device {
namespace {

constexpr uint32_t kRecordKey = 1;
constexpr uint32_t kResidualKey = 1;  // plus the slot: 2 or 3
constexpr uint32_t kSettled = 0, kPending = 1, kGivenBack = 2, kKept = 3;
constexpr uint32_t kFormat = 2;
constexpr uint32_t kFormatWithoutState = 1;  // 48 bytes of header
constexpr size_t kHeaderBytesMin = 48;
constexpr size_t kHeaderBytes = 56;

using Header = std::array<uint8_t, kHeaderBytes>;

// format u32, state u32, sequence u64, run u64, round u32, checksum u32, total_bytes u64, residual slot u32 and count
// u32, state bytes u32, carries u32; then the state, then the update.
Header encode(const OutboxEntry& entry, size_t state_bytes) {
  Header header{};
  store_le<uint32_t>(&header[0], kFormat);
  store_le<uint32_t>(&header[4], entry.pending      ? kPending
                                 : entry.given_back ? kGivenBack
                                 : entry.kept       ? kKept
                                                    : kSettled);
  store_le<uint64_t>(&header[8], entry.sequence);
  store_le<uint64_t>(&header[16], entry.run);
  store_le<uint32_t>(&header[24], entry.round);
  store_le<uint32_t>(&header[28], entry.checksum);
  store_le<uint64_t>(&header[32], entry.total_bytes);
  store_le<uint32_t>(&header[40], entry.residual_slot);
  store_le<uint32_t>(&header[44], entry.residual_count);
  store_le<uint32_t>(&header[48], static_cast<uint32_t>(state_bytes));
  store_le<uint32_t>(&header[52], entry.carries ? 1 : 0);
  return header;
}

}  // namespace

Result<Outbox> Outbox::open(journal::Journal& journal) {
  Outbox outbox(journal);
  const Result<uint64_t> size = journal.size(kRecordKey);
  if (!size) {
    if (size.error() == Error::kNotFound) return outbox;
    return size.failure();
  }
  Header header{};
  if (*size < kHeaderBytesMin)
    return fail(Error::kCorrupt, "the outbox record has %llu bytes", static_cast<unsigned long long>(*size));
  RUNNEL_TRY(journal.verify(kRecordKey));
  RUNNEL_TRY(journal.read(kRecordKey, 0, MutableByteView(header.data(), kHeaderBytesMin)));
  const auto format = load_le<uint32_t>(&header[0]);
  if (format != kFormat && format != kFormatWithoutState) {
    return fail(Error::kVersion, "the outbox record has format %u, this build reads up to %u", format, kFormat);
  }
  const size_t header_bytes = format == kFormat ? kHeaderBytes : kHeaderBytesMin;
  if (*size < header_bytes) return fail(Error::kCorrupt, "the outbox record ends within its header");
  RUNNEL_TRY(journal.read(kRecordKey, 0, MutableByteView(header.data(), header_bytes)));
  const auto state_bytes = load_le<uint32_t>(&header[48]);
  OutboxEntry entry;
  entry.pending = load_le<uint32_t>(&header[4]) == kPending;
  entry.given_back = load_le<uint32_t>(&header[4]) == kGivenBack;
  entry.kept = load_le<uint32_t>(&header[4]) == kKept;
  entry.sequence = load_le<uint64_t>(&header[8]);
  entry.run = load_le<uint64_t>(&header[16]);
  entry.round = load_le<uint32_t>(&header[24]);
  entry.checksum = load_le<uint32_t>(&header[28]);
  entry.total_bytes = load_le<uint64_t>(&header[32]);
  entry.residual_slot = load_le<uint32_t>(&header[40]);
  entry.residual_count = load_le<uint32_t>(&header[44]);
  entry.carries = format == kFormat ? load_le<uint32_t>(&header[52]) != 0 : entry.residual_slot != 0;
  outbox.update_offset_ = header_bytes + state_bytes;
  if (state_bytes > kStateBytesMax || *size < outbox.update_offset_ ||
      *size - outbox.update_offset_ != entry.total_bytes || entry.residual_slot > 2) {
    return fail(Error::kCorrupt, "the outbox record's size does not fit its header");
  }
  outbox.state_.resize(state_bytes);
  RUNNEL_TRY(journal.read(kRecordKey, header_bytes, outbox.state_));
  outbox.newest_ = entry;
  return outbox;
}

Failure Outbox::write(const OutboxEntry& entry, ByteView update, ByteView state) {
  RUNNEL_ASSERT(state.size() <= kStateBytesMax);
  if (state.empty()) state = this->state();
  const Header header = encode(entry, state.size());
  const std::array<ByteView, 3> parts{ByteView(header), state, update};
  RUNNEL_TRY(journal_->put(kRecordKey, parts));
  newest_ = entry;
  update_offset_ = kHeaderBytes + state.size();
  if (state.data() != state_.data()) state_.assign(state.begin(), state.end());
  return Error::kOk;
}

Failure Outbox::store(uint64_t run, uint32_t round, uint64_t sequence, ByteView update, std::span<const float> residual,
                      ByteView state, bool carries) {
  RUNNEL_ASSERT(sequence >= next_sequence());
  OutboxEntry entry{sequence, run, round, crc32c(update), update.size(), !update.empty()};
  entry.carries = carries || !residual.empty();
  entry.kept = update.empty();
  const uint32_t old_slot = newest_.has_value() ? newest_->residual_slot : 0;
  if (!residual.empty()) {
    entry.residual_slot = old_slot == 1 ? 2 : 1;
    entry.residual_count = static_cast<uint32_t>(residual.size());
    RUNNEL_TRY(journal_->put(kResidualKey + entry.residual_slot,
                             ByteView(reinterpret_cast<const uint8_t*>(residual.data()), residual.size_bytes())));
  }
  RUNNEL_TRY(write(entry, update, state));
  // Room for the next one. If this fails, the next write into the slot replaces it.
  if (old_slot != 0) static_cast<void>(journal_->erase(kResidualKey + old_slot).ok());
  return Error::kOk;
}

Result<Carried> Outbox::carried(uint64_t run) const {
  Carried carried;
  if (!newest_.has_value() || newest_->run != run) return carried;
  if (newest_->residual_slot != 0) {
    const uint32_t key = kResidualKey + newest_->residual_slot;
    const Result<uint64_t> size = journal_->size(key);
    if (!size) return size.failure();
    if (*size != newest_->residual_count * sizeof(float))
      return fail(Error::kCorrupt, "the residual record's size does not fit its header");
    carried.residual.resize(newest_->residual_count);
    RUNNEL_TRY(journal_->read(
        key, 0, MutableByteView(reinterpret_cast<uint8_t*>(carried.residual.data()), carried.residual.size() * 4)));
  }
  if (newest_->given_back) {
    carried.returned.resize(newest_->total_bytes);
    RUNNEL_TRY(journal_->read(kRecordKey, update_offset_, carried.returned));
  }
  return carried;
}

Failure Outbox::read(uint64_t offset, MutableByteView bytes) const {
  RUNNEL_ASSERT(pending());
  return journal_->read(kRecordKey, update_offset_ + offset, bytes);
}

Failure Outbox::settle(ByteView state) {
  RUNNEL_ASSERT(pending());
  OutboxEntry entry = *newest_;
  entry.pending = false;
  entry.total_bytes = 0;
  return write(entry, {}, state);
}

Failure Outbox::give_back(ByteView state) {
  RUNNEL_ASSERT(pending());
  OutboxEntry entry = *newest_;
  entry.pending = false;
  entry.given_back = true;
  std::vector<uint8_t> update(entry.total_bytes);
  RUNNEL_TRY(read(0, update));
  return write(entry, update, state);
}

}  // namespace runnel::device
