#include "device/engine/outbox.h"

#include <array>

#include "runtime/base/crc32c.h"

namespace runnel::device {
namespace {

constexpr uint32_t kRecordKey = 1;
constexpr uint32_t kResidualKey = 1;  // plus the slot: 2 or 3
constexpr uint32_t kSettled = 0, kPending = 1, kGivenBack = 2;
constexpr uint32_t kFormat = 1;
constexpr size_t kHeaderBytes = 48;

using Header = std::array<uint8_t, kHeaderBytes>;

// format u32, state u32, sequence u64, run u64, round u32, checksum u32, total_bytes u64, residual slot u32 and count
// u32.
Header encode(const OutboxEntry& entry) {
  Header header{};
  store_le<uint32_t>(&header[0], kFormat);
  store_le<uint32_t>(&header[4], entry.pending ? kPending : entry.given_back ? kGivenBack : kSettled);
  store_le<uint64_t>(&header[8], entry.sequence);
  store_le<uint64_t>(&header[16], entry.run);
  store_le<uint32_t>(&header[24], entry.round);
  store_le<uint32_t>(&header[28], entry.checksum);
  store_le<uint64_t>(&header[32], entry.total_bytes);
  store_le<uint32_t>(&header[40], entry.residual_slot);
  store_le<uint32_t>(&header[44], entry.residual_count);
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
  if (*size < kHeaderBytes)
    return fail(Error::kCorrupt, "the outbox record has %llu bytes", static_cast<unsigned long long>(*size));
  RUNNEL_TRY(journal.verify(kRecordKey));
  RUNNEL_TRY(journal.read(kRecordKey, 0, header));
  if (load_le<uint32_t>(&header[0]) != kFormat) {
    return fail(Error::kVersion, "the outbox record has format %u, this build reads %u", load_le<uint32_t>(&header[0]),
                kFormat);
  }
  OutboxEntry entry;
  entry.pending = load_le<uint32_t>(&header[4]) == kPending;
  entry.given_back = load_le<uint32_t>(&header[4]) == kGivenBack;
  entry.sequence = load_le<uint64_t>(&header[8]);
  entry.run = load_le<uint64_t>(&header[16]);
  entry.round = load_le<uint32_t>(&header[24]);
  entry.checksum = load_le<uint32_t>(&header[28]);
  entry.total_bytes = load_le<uint64_t>(&header[32]);
  entry.residual_slot = load_le<uint32_t>(&header[40]);
  entry.residual_count = load_le<uint32_t>(&header[44]);
  if (*size - kHeaderBytes != entry.total_bytes || entry.residual_slot > 2)
    return fail(Error::kCorrupt, "the outbox record's size does not fit its header");
  outbox.newest_ = entry;
  return outbox;
}

Failure Outbox::write(const OutboxEntry& entry, ByteView update) {
  const Header header = encode(entry);
  const std::array<ByteView, 2> parts{ByteView(header), update};
  RUNNEL_TRY(journal_->put(kRecordKey, parts));
  newest_ = entry;
  return Error::kOk;
}

Failure Outbox::store(uint64_t run, uint32_t round, uint64_t sequence, ByteView update,
                      std::span<const float> residual) {
  RUNNEL_ASSERT(sequence >= next_sequence());
  OutboxEntry entry{sequence, run, round, crc32c(update), update.size(), true};
  const uint32_t old_slot = newest_.has_value() ? newest_->residual_slot : 0;
  if (!residual.empty()) {
    entry.residual_slot = old_slot == 1 ? 2 : 1;
    entry.residual_count = static_cast<uint32_t>(residual.size());
    RUNNEL_TRY(journal_->put(kResidualKey + entry.residual_slot,
                             ByteView(reinterpret_cast<const uint8_t*>(residual.data()), residual.size_bytes())));
  }
  RUNNEL_TRY(write(entry, update));
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
    RUNNEL_TRY(journal_->read(kRecordKey, kHeaderBytes, carried.returned));
  }
  return carried;
}

Failure Outbox::read(uint64_t offset, MutableByteView bytes) const {
  RUNNEL_ASSERT(pending());
  return journal_->read(kRecordKey, kHeaderBytes + offset, bytes);
}

Failure Outbox::settle() {
  RUNNEL_ASSERT(pending());
  OutboxEntry entry = *newest_;
  entry.pending = false;
  entry.total_bytes = 0;
  return write(entry, {});
}

Failure Outbox::give_back() {
  RUNNEL_ASSERT(pending());
  OutboxEntry entry = *newest_;
  entry.pending = false;
  entry.given_back = true;
  std::vector<uint8_t> update(entry.total_bytes);
  RUNNEL_TRY(read(0, update));
  return write(entry, update);
}

}  // namespace runnel::device
