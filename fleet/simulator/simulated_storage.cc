#include "fleet/simulator/simulated_storage.h"

#include <algorithm>

namespace runnel::fleet {

Error SimulatedStorage::read(uint64_t offset, MutableByteView into) {
  if (!range_within(offset, into.size(), size_bytes_)) return Error::kInvalidArgument;
  for (uint64_t at = 0; at < into.size();) {
    const uint64_t inside = (offset + at) % kPageBytes;
    const uint64_t bytes = std::min<uint64_t>(kPageBytes - inside, into.size() - at);
    const auto page = pages_.find((offset + at) / kPageBytes);
    if (page == pages_.end()) {
      std::fill_n(into.data() + at, bytes, uint8_t{0});
    } else {
      std::copy_n(page->second.data() + inside, bytes, into.data() + at);
    }
    at += bytes;
  }
  return Error::kOk;
}

void SimulatedStorage::put(uint64_t offset, ByteView bytes) {
  for (uint64_t at = 0; at < bytes.size();) {
    const uint64_t inside = (offset + at) % kPageBytes;
    const uint64_t count = std::min<uint64_t>(kPageBytes - inside, bytes.size() - at);
    std::copy_n(bytes.data() + at, count, pages_[(offset + at) / kPageBytes].data() + inside);
    at += count;
  }
}

bool SimulatedStorage::dies() {
  if (operations_left_.has_value() && *operations_left_ == 0) dead_ = true;
  if (operations_left_.has_value() && !dead_) --*operations_left_;
  return dead_;
}

Error SimulatedStorage::write(uint64_t offset, ByteView bytes) {
  if (!range_within(offset, bytes.size(), size_bytes_)) return Error::kInvalidArgument;
  if (full_) return Error::kStorageFull;
  const bool was_dead = dead_;
  const bool dead = dies();
  if (!was_dead) {  // the write at which the power fails may still be torn
    Write write{offset, std::vector<uint8_t>(bytes.size()), {bytes.begin(), bytes.end()}};
    static_cast<void>(read(offset, write.before));
    put(offset, bytes);
    unsynced_.push_back(std::move(write));
  }
  return dead ? Error::kIo : Error::kOk;
}

Error SimulatedStorage::sync() {
  if (dies()) return Error::kIo;
  unsynced_.clear();
  return Error::kOk;
}

void SimulatedStorage::cut_power(Rng& rng) {
  for (auto write = unsynced_.rbegin(); write != unsynced_.rend(); ++write) put(write->offset, write->before);
  for (size_t i = unsynced_.size(); i > 1; --i) std::swap(unsynced_[i - 1], unsynced_[rng.below(i)]);
  for (const Write& write : unsynced_) {
    size_t kept = write.bytes.size();
    switch (rng.below(3)) {
      case 0:
        kept = 0;
        break;
      case 1:
        kept = rng.below(write.bytes.size() + 1);
        break;
      default:
        break;
    }
    put(write.offset, ByteView(write.bytes).first(kept));
  }
  unsynced_.clear();
  dead_ = false;
  operations_left_.reset();
}

}  // namespace runnel::fleet
