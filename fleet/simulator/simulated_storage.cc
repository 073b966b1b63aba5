#include "fleet/simulator/simulated_storage.h"

#include <algorithm>

namespace runnel::fleet {

Error SimulatedStorage::read(uint64_t offset, MutableByteView into) {
  if (!range_within(offset, into.size(), current_.size())) return Error::kInvalidArgument;
  std::copy_n(current_.begin() + static_cast<int64_t>(offset), into.size(), into.begin());
  return Error::kOk;
}

bool SimulatedStorage::dies() {
  if (operations_left_.has_value() && *operations_left_ == 0) dead_ = true;
  if (operations_left_.has_value() && !dead_) --*operations_left_;
  return dead_;
}

Error SimulatedStorage::write(uint64_t offset, ByteView bytes) {
  if (!range_within(offset, bytes.size(), current_.size())) return Error::kInvalidArgument;
  if (full_) return Error::kStorageFull;
  // The write at which the power fails may still be torn.
  const bool was_dead = dead_;
  if (dies()) {
    if (!was_dead) unsynced_.push_back({offset, {bytes.begin(), bytes.end()}});
    return Error::kIo;
  }
  std::copy(bytes.begin(), bytes.end(), current_.begin() + static_cast<int64_t>(offset));
  unsynced_.push_back({offset, {bytes.begin(), bytes.end()}});
  return Error::kOk;
}

Error SimulatedStorage::sync() {
  if (dies()) return Error::kIo;
  for (const Write& write : unsynced_) {
    const auto first = current_.begin() + static_cast<int64_t>(write.offset);
    std::copy_n(first, write.bytes.size(), durable_.begin() + static_cast<int64_t>(write.offset));
  }
  unsynced_.clear();
  return Error::kOk;
}

void SimulatedStorage::cut_power(Rng& rng) {
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
    std::copy_n(write.bytes.begin(), kept, durable_.begin() + static_cast<int64_t>(write.offset));
  }
  unsynced_.clear();
  current_ = durable_;
  dead_ = false;
  operations_left_.reset();
}

}  // namespace runnel::fleet
