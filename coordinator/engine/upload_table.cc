#include "coordinator/engine/upload_table.h"

#include "runtime/base/crc32c.h"

namespace runnel::coordinator {

Result<uint64_t> UploadTable::offer(const std::string& device, const wire::UpdateOffer& offer, Instant now) {
  if (offer.total_bytes > update_bytes_max_) {
    return fail(Error::kLimit, "an update of %llu bytes, the limit is %llu",
                static_cast<unsigned long long>(offer.total_bytes), static_cast<unsigned long long>(update_bytes_max_));
  }
  if (const auto found = uploads_.find(device); found != uploads_.end()) {
    Upload& upload = found->second;
    if (upload.offer.sequence == offer.sequence && upload.offer.total_bytes == offer.total_bytes &&
        upload.offer.checksum == offer.checksum) {
      upload.touched = now;
      return upload.bytes.received_bytes();
    }
    forget(device);  // the device has something newer
  }
  if (!make_room(offer.total_bytes, now)) {
    return fail(Error::kBusy, "other uploads hold %llu of %llu bytes", static_cast<unsigned long long>(held_bytes_),
                static_cast<unsigned long long>(bytes_max_));
  }
  Upload& upload = uploads_[device];
  upload.offer = offer;
  upload.offer.payload = {};  // borrowed
  upload.touched = now;
  if (Failure bad = upload.bytes.start(offer.total_bytes, update_bytes_max_); !bad.ok()) {
    uploads_.erase(device);
    return bad;
  }
  held_bytes_ += offer.total_bytes;
  return uint64_t{0};
}

Result<uint64_t> UploadTable::add(const std::string& device, const wire::UpdateChunk& chunk, Instant now) {
  const auto found = uploads_.find(device);
  if (found == uploads_.end() || found->second.offer.sequence != chunk.sequence) {
    return fail(Error::kNotFound, "a chunk of update %llu, which was not offered",
                static_cast<unsigned long long>(chunk.sequence));
  }
  found->second.touched = now;
  RUNNEL_TRY(found->second.bytes.add(chunk.offset, chunk.payload));
  return found->second.bytes.received_bytes();
}

Result<bool> UploadTable::complete(const std::string& device) const {
  const auto found = uploads_.find(device);
  if (found == uploads_.end() || !found->second.bytes.complete()) return false;
  const uint32_t checksum = crc32c(found->second.bytes.bytes());
  if (checksum != found->second.offer.checksum) {
    return fail(Error::kChecksum, "update %llu arrived with checksum %08x, it was offered with %08x",
                static_cast<unsigned long long>(found->second.offer.sequence), checksum, found->second.offer.checksum);
  }
  return true;
}

ByteView UploadTable::bytes(const std::string& device) const {
  return uploads_.at(device).bytes.bytes();
}

uint64_t UploadTable::sequence(const std::string& device) const {
  const auto found = uploads_.find(device);
  return found == uploads_.end() ? 0 : found->second.offer.sequence;
}

void UploadTable::forget(const std::string& device) {
  const auto found = uploads_.find(device);
  if (found == uploads_.end()) return;
  held_bytes_ -= found->second.offer.total_bytes;
  uploads_.erase(found);
}

bool UploadTable::make_room(uint64_t bytes, Instant now) {
  while (bytes > bytes_max_ - held_bytes_) {
    auto oldest = uploads_.end();
    for (auto it = uploads_.begin(); it != uploads_.end(); ++it) {
      if (oldest == uploads_.end() || it->second.touched < oldest->second.touched) oldest = it;
    }
    if (oldest == uploads_.end() || now - oldest->second.touched < kActive) return false;
    forget(std::string(oldest->first));
  }
  return true;
}

}  // namespace runnel::coordinator
