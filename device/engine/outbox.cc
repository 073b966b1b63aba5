#include "device/engine/outbox.h"

#include <array>

#include "runtime/base/crc32c.h"

namespace runnel::device {
namespace {

constexpr uint32_t kRecordKey = 1;
constexpr uint32_t kFormat = 1;
constexpr size_t kHeaderBytes = 48;

using Header = std::array<uint8_t, kHeaderBytes>;

// format u32, pending u32, sequence u64, run u64, round u32, checksum u32, total_bytes u64, reserved 8 bytes of zero.
Header encode(const OutboxEntry& entry) {
  Header header{};
  store_le<uint32_t>(&header[0], kFormat);
  store_le<uint32_t>(&header[4], entry.pending ? 1 : 0);
  store_le<uint64_t>(&header[8], entry.sequence);
  store_le<uint64_t>(&header[16], entry.run);
  store_le<uint32_t>(&header[24], entry.round);
  store_le<uint32_t>(&header[28], entry.checksum);
  store_le<uint64_t>(&header[32], entry.total_bytes);
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
  entry.pending = load_le<uint32_t>(&header[4]) == 1;
  entry.sequence = load_le<uint64_t>(&header[8]);
  entry.run = load_le<uint64_t>(&header[16]);
  entry.round = load_le<uint32_t>(&header[24]);
  entry.checksum = load_le<uint32_t>(&header[28]);
  entry.total_bytes = load_le<uint64_t>(&header[32]);
  if (*size - kHeaderBytes != entry.total_bytes)
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

Failure Outbox::store(uint64_t run, uint32_t round, uint64_t sequence, ByteView update) {
  RUNNEL_ASSERT(sequence >= next_sequence());
  return write({sequence, run, round, crc32c(update), update.size(), true}, update);
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

}  // namespace runnel::device
