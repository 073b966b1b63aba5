#include "coordinator/engine/upload_table.h"

#include <algorithm>

#include "runtime/base/crc32c.h"
#include "runtime/base/planted_bug.h"

namespace runnel::coordinator {
namespace {

wire::UpdateOffer offer_of(const UploadPart& part) {
  wire::UpdateOffer offer;
  offer.run = part.run;
  offer.sequence = part.sequence;
  offer.round = part.round;
  offer.model_version = part.model_version;
  offer.total_bytes = part.total_bytes;
  offer.checksum = part.checksum;
  return offer;
}

bool same_update(const wire::UpdateOffer& a, const wire::UpdateOffer& b) {
  return a.run == b.run && a.sequence == b.sequence && a.total_bytes == b.total_bytes && a.checksum == b.checksum;
}

}  // namespace

bool UploadTable::restore(const UploadPart& part, Instant touched) {
  Upload upload;
  upload.offer = offer_of(part);
  const bool room = part.total_bytes <= options_.bytes_max - std::min(options_.bytes_max, held_bytes_);
  if (!room || !upload.bytes.start(part.total_bytes, options_.update_bytes_max).ok() ||
      !upload.bytes.add(0, part.bytes).ok() || uploads_.contains(part.device)) {
    forgotten_.insert(part.device);
    forgotten_since_ = std::min(forgotten_since_, touched);
    return false;
  }
  upload.checksum = crc32c(part.bytes);
  upload.saved_bytes = part.bytes.size();
  held_bytes_ += part.total_bytes;
  touch(uploads_.emplace(part.device, std::move(upload)).first->second, touched);
  return true;
}

void UploadTable::touch(Upload& upload, Instant now) {
  upload.touched = newest_touch_ = now;
  all_active_until_ = std::min(all_active_until_, now + kActive);
  next_aged_out_ = std::min(next_aged_out_, now + options_.age_max);
}

void UploadTable::note_unsaved(const std::string& device, Upload& upload, Instant now) {
  const uint64_t unsaved = upload.bytes.received_bytes() - upload.saved_bytes;
  if (unsaved == 0 || upload.whole) return;
  if (upload.unsaved_since == kNever) {
    upload.unsaved_since = now;
    unsaved_.emplace(now, device);
  }
  if (unsaved > options_.unsaved_bytes_max) save_now_ = true;
}

Result<uint64_t> UploadTable::offer(const std::string& device, const wire::UpdateOffer& offer, uint64_t elsewhere_bytes,
                                    Instant now) {
  if (offer.total_bytes > options_.update_bytes_max) {
    return fail(Error::kLimit, "an update of %llu bytes, the limit is %llu",
                static_cast<unsigned long long>(offer.total_bytes),
                static_cast<unsigned long long>(options_.update_bytes_max));
  }
  if (const auto found = uploads_.find(device); found != uploads_.end()) {
    if (same_update(found->second.offer, offer)) {
      touch(found->second, now);
      const uint64_t received = found->second.bytes.received_bytes();
      return planted(PlantedBug::kForgetUpload) && received > 0 ? received + 1 : received;
    }
    forget(device, now);  // the device has something newer
  }
  if (offer.payload.empty() && !may_move(now)) return fail(Error::kBusy, "%zu others are uploading", moving_);
  if (!make_room(offer.total_bytes, elsewhere_bytes, now)) {
    return fail(Error::kBusy, "other updates hold %llu of %llu bytes",
                static_cast<unsigned long long>(held_bytes_ + elsewhere_bytes),
                static_cast<unsigned long long>(options_.bytes_max));
  }
  Upload& upload = uploads_[device];
  upload.offer = offer;
  upload.offer.payload = {};  // borrowed
  upload.whole = !offer.payload.empty();
  touch(upload, now);
  if (Failure bad = upload.bytes.start(offer.total_bytes, options_.update_bytes_max); !bad.ok()) {
    uploads_.erase(device);
    return bad;
  }
  held_bytes_ += offer.total_bytes;
  if (!upload.whole) ++moving_;
  return uint64_t{0};
}

Result<uint64_t> UploadTable::add(const std::string& device, const wire::UpdateChunk& chunk, Instant now) {
  const auto found = uploads_.find(device);
  if (found == uploads_.end() || found->second.offer.sequence != chunk.sequence) {
    return fail(Error::kNotFound, "a chunk of update %llu, which was not offered",
                static_cast<unsigned long long>(chunk.sequence));
  }
  Upload& upload = found->second;
  touch(upload, now);
  const uint64_t before = upload.bytes.received_bytes();
  RUNNEL_TRY(upload.bytes.add(chunk.offset, chunk.payload));
  // Now, while it is in the processor's cache.
  upload.checksum = crc32c(upload.bytes.received().subspan(before), upload.checksum);
  note_unsaved(device, upload, now);
  return upload.bytes.received_bytes();
}

Result<bool> UploadTable::complete(const std::string& device) const {
  const auto found = uploads_.find(device);
  if (found == uploads_.end() || !found->second.bytes.complete()) return false;
  const uint32_t checksum = found->second.checksum;
  if (checksum != found->second.offer.checksum) {
    return fail(Error::kChecksum, "update %llu arrived with checksum %08x, it was offered with %08x",
                static_cast<unsigned long long>(found->second.offer.sequence), checksum, found->second.offer.checksum);
  }
  return true;
}

ByteBuffer UploadTable::take(const std::string& device) {
  return uploads_.at(device).bytes.take();
}

uint64_t UploadTable::sequence(const std::string& device) const {
  const wire::UpdateOffer* offer = find(device);
  return offer == nullptr ? 0 : offer->sequence;
}

const wire::UpdateOffer* UploadTable::find(const std::string& device) const {
  const auto found = uploads_.find(device);
  return found == uploads_.end() ? nullptr : &found->second.offer;
}

std::vector<std::string> UploadTable::devices() const {
  std::vector<std::string> devices;
  devices.reserve(uploads_.size());
  for (const auto& [device, upload] : uploads_) devices.push_back(device);
  return devices;
}

void UploadTable::erase(std::map<std::string, Upload>::iterator upload) {
  held_bytes_ -= upload->second.offer.total_bytes;
  const bool moved = !upload->second.whole && newest_touch_ - upload->second.touched < kMoves;
  if (moved && moving_ > 0) --moving_;
  unsaved_.erase({upload->second.unsaved_since, upload->first});
  uploads_.erase(upload);
}

void UploadTable::forget(const std::string& device, Instant now) {
  const auto found = uploads_.find(device);
  if (found == uploads_.end()) return;
  if (found->second.saved_bytes > 0 || found->second.saving_bytes > 0) {
    forgotten_.insert(device);
    forgotten_since_ = std::min(forgotten_since_, now);
  }
  erase(found);
}

void UploadTable::release(const std::string& device) {
  if (const auto found = uploads_.find(device); found != uploads_.end()) erase(found);
}

void UploadTable::handle_away(const std::string& device) {
  const auto found = uploads_.find(device);
  if (found != uploads_.end() && found->second.unsaved_since != kNever) save_now_ = true;
}

// Looked at again only where it matters: between two counts, who stops moving or goes on is missed for a moment.
bool UploadTable::may_move(Instant now) {
  if (moving_ < options_.moving_max) return true;
  if (now < moving_counted_ + kCountedAgain) return false;
  moving_counted_ = now;
  moving_ = static_cast<size_t>(std::count_if(uploads_.begin(), uploads_.end(), [&](const auto& entry) {
    return !entry.second.whole && now - entry.second.touched < kMoves;
  }));
  return moving_ < options_.moving_max;
}

bool UploadTable::make_room(uint64_t bytes, uint64_t elsewhere_bytes, Instant now) {
  const auto room = [&] {
    const uint64_t taken = held_bytes_ + elsewhere_bytes;
    return options_.bytes_max - std::min(options_.bytes_max, taken);
  };
  while (bytes > room()) {
    if (now < all_active_until_) return false;
    auto oldest = uploads_.end();
    for (auto it = uploads_.begin(); it != uploads_.end(); ++it) {
      if (oldest == uploads_.end() || it->second.touched < oldest->second.touched) oldest = it;
    }
    all_active_until_ = oldest == uploads_.end() ? kNever : oldest->second.touched + kActive;
    if (oldest == uploads_.end() || now < all_active_until_) return false;
    forget(std::string(oldest->first), now);
  }
  return true;
}

// --- time and disk ---

void UploadTable::handle_timeout(Instant now) {
  if (now < next_aged_out_) return;
  next_aged_out_ = kNever;
  for (const std::string& device : devices()) {
    const Instant end = uploads_.at(device).touched + options_.age_max;
    if (end <= now) {
      forget(device, now);
    } else {
      next_aged_out_ = std::min(next_aged_out_, end);
    }
  }
}

Instant UploadTable::save_due() const {
  if (saving_ || (unsaved_.empty() && forgotten_.empty())) return kNever;
  Instant since = forgotten_.empty() ? kNever : forgotten_since_;
  if (!unsaved_.empty()) since = std::min(since, unsaved_.begin()->first);
  return std::max(save_not_before_, save_now_ ? since : since + options_.save_after);
}

Instant UploadTable::next_timeout(bool disk_busy) const {
  return std::min(disk_busy ? kNever : save_due(), next_aged_out_);
}

std::optional<SaveUploads> UploadTable::poll_save(Instant now) {
  if (save_due() > now) return std::nullopt;
  SaveUploads save;
  saving_bytes_ = 0;
  while (!unsaved_.empty() && saving_bytes_ < kSaveBytesMax) {
    const std::string device = unsaved_.begin()->second;
    unsaved_.erase(unsaved_.begin());
    Upload& upload = uploads_.at(device);
    upload.unsaved_since = kNever;
    UploadPart part;
    part.device = device;
    part.run = upload.offer.run;
    part.sequence = upload.offer.sequence;
    part.round = upload.offer.round;
    part.model_version = upload.offer.model_version;
    part.total_bytes = upload.offer.total_bytes;
    part.checksum = upload.offer.checksum;
    part.offset = upload.saved_bytes;
    const ByteView received = upload.bytes.received();
    const uint64_t room = kSaveBytesMax - saving_bytes_;
    const ByteView bytes = received.subspan(part.offset, std::min<uint64_t>(room, received.size() - part.offset));
    part.bytes.assign(bytes.begin(), bytes.end());
    upload.saving_bytes = part.offset + bytes.size();
    saving_bytes_ += part.bytes.size();
    saving_devices_.insert(device);
    save.parts.push_back(std::move(part));
  }
  save.forgotten.assign(forgotten_.begin(), forgotten_.end());
  saving_forgotten_ = std::exchange(forgotten_, {});
  forgotten_since_ = kNever;
  save_now_ = save_now_ && !unsaved_.empty();
  saving_ = true;
  return save;
}

void UploadTable::handle_saved(Instant now, const Failure& failure) {
  saving_ = false;
  saving_bytes_ = 0;
  for (const std::string& device : std::exchange(saving_devices_, {})) {
    const auto found = uploads_.find(device);
    if (found == uploads_.end() || found->second.saving_bytes == 0) continue;  // forgotten meanwhile, or begun anew
    Upload& upload = found->second;
    if (failure.ok()) upload.saved_bytes = upload.saving_bytes;
    upload.saving_bytes = 0;
    note_unsaved(device, upload, now);
  }
  const std::set<std::string> forgotten = std::exchange(saving_forgotten_, {});
  if (failure.ok()) return;
  save_not_before_ = now + options_.save_retry_after;
  forgotten_.insert(forgotten.begin(), forgotten.end());
  if (!forgotten_.empty()) forgotten_since_ = std::min(forgotten_since_, now);
}

}  // namespace runnel::coordinator
