// A storage in memory that fails like the real ones: power cuts that tear and reorder what was not synced, full disks,
// failed syncs after which nobody knows what was kept, and rotten bits. Everything follows from the seeds.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/journal/storage.h"

namespace runnel::journal::test {

using Bytes = std::vector<uint8_t>;

// What a power cut leaves of the writes since the last sync.
enum class Aftermath {
  kKeepAll,  // all of them, in order; of the one under way, the part before the cut
  kLoseAll,
  kScatter,  // random sectors of 1 to 512 bytes of each, in random order; the one under way may be whole
};

class FaultyStorage : public Storage {
 public:
  explicit FaultyStorage(size_t bytes, uint8_t fill = 0, uint64_t seed = 1)
      : durable_(bytes, fill), cache_(durable_), rng_(seed) {}

  uint64_t size_bytes() const override { return cache_.size(); }

  Error read(uint64_t offset, MutableByteView into) override {
    if (!powered_ || reads_fail_) return Error::kIo;
    if (!range_within(offset, into.size(), cache_.size())) return Error::kInvalidArgument;
    std::copy_n(cache_.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
    return Error::kOk;
  }

  Error write(uint64_t offset, ByteView bytes) override {
    if (!powered_) return Error::kIo;
    if (!range_within(offset, bytes.size(), cache_.size())) return Error::kInvalidArgument;
    Write write{static_cast<size_t>(offset), Bytes(bytes.begin(), bytes.end()), bytes.size()};
    if (events_left_ && bytes.size() > *events_left_) {
      write.kept_prefix = static_cast<size_t>(*events_left_);
      events_left_ = 0;
      powered_ = false;
      pending_.push_back(std::move(write));
      return Error::kIo;
    }
    spend(bytes.size());
    const bool fails = due(writes_until_failure_, writes_that_fail_);
    if (fails) {
      for (size_t i = 0; i < write.bytes.size(); ++i) {
        if (rng_.below(2) == 0) write.bytes[i] = cache_[write.offset + i];
      }
    }
    std::copy(write.bytes.begin(), write.bytes.end(), cache_.begin() + static_cast<std::ptrdiff_t>(write.offset));
    pending_.push_back(std::move(write));
    return fails ? write_error_ : Error::kOk;
  }

  Error sync() override {
    if (!powered_) return Error::kIo;
    if (events_left_ && *events_left_ == 0) {
      powered_ = false;
      return Error::kIo;
    }
    spend(1);
    ++syncs_;
    if (due(syncs_until_failure_, syncs_that_fail_)) {
      // Like a failed fsync on Linux: some pages were kept, the others are forgotten though a read still shows them.
      scatter();
      return Error::kIo;
    }
    for (const Write& write : pending_) persist(write, write.bytes.size());
    pending_.clear();
    return Error::kOk;
  }

  // The power goes after that many bytes written and syncs done, in the middle of a write if need be.
  void cut_power_after(uint64_t events) { events_left_ = events; }
  bool powered() const { return powered_; }

  // Power returns. What had not been synced is as `aftermath` says; faults that were set up are gone.
  void reboot(Aftermath aftermath, uint64_t seed) {
    rng_ = Rng(seed);
    if (aftermath == Aftermath::kScatter) scatter();
    if (aftermath == Aftermath::kKeepAll) {
      for (const Write& write : pending_) persist(write, write.kept_prefix);
    }
    pending_.clear();
    cache_ = durable_;
    powered_ = true;
    events_left_.reset();
    stop_faults();
  }

  // What seemed a power cut was only the end of the process: its writes are still in the page cache, of the one under
  // way the part before the cut, and none the more durable for it. What a failed sync has forgotten no longer shows
  // (FileStorage drops such pages when it opens a file).
  void restart_process() {
    if (!pending_.empty()) pending_.back().bytes.resize(pending_.back().kept_prefix);
    cache_ = durable_;
    for (const Write& write : pending_) {
      std::copy(write.bytes.begin(), write.bytes.end(), cache_.begin() + static_cast<std::ptrdiff_t>(write.offset));
    }
    powered_ = true;
    events_left_.reset();
    stop_faults();
  }

  // After `skip` good writes, `count` fail with `error`, each leaving a random mix of old and new bytes.
  void fail_writes(uint64_t skip, uint64_t count, Error error) {
    writes_until_failure_ = skip;
    writes_that_fail_ = count;
    write_error_ = error;
  }
  void fail_syncs(uint64_t skip, uint64_t count) {
    syncs_until_failure_ = skip;
    syncs_that_fail_ = count;
  }
  void fail_reads(bool fails) { reads_fail_ = fails; }
  void stop_faults() {
    writes_that_fail_ = syncs_that_fail_ = 0;
    reads_fail_ = false;
  }

  void flip_bit(uint64_t bit) {
    for (Bytes* image : {&durable_, &cache_}) {
      uint8_t& byte = (*image)[static_cast<size_t>(bit / 8)];
      byte = static_cast<uint8_t>(byte ^ (1U << (bit % 8)));
    }
  }
  void grow(size_t bytes) {
    durable_.resize(bytes);
    cache_.resize(bytes);
  }
  Bytes& durable() { return durable_; }
  const Bytes& bytes() const { return cache_; }
  void load(const Bytes& bytes) {
    durable_ = cache_ = bytes;
    pending_.clear();
  }
  uint64_t bytes_written() const { return bytes_written_; }
  uint64_t syncs() const { return syncs_; }

 private:
  struct Write {
    size_t offset;
    Bytes bytes;
    size_t kept_prefix;
  };

  void spend(uint64_t events) {
    bytes_written_ += events;
    if (events_left_) *events_left_ -= events;
  }

  static bool due(uint64_t& skip, uint64_t& count) {
    if (count == 0) return false;
    if (skip > 0) {
      --skip;
      return false;
    }
    --count;
    return true;
  }

  void persist(const Write& write, size_t bytes) {
    std::copy_n(write.bytes.begin(), bytes, durable_.begin() + static_cast<std::ptrdiff_t>(write.offset));
  }

  void scatter() {
    for (size_t i = pending_.size(); i > 1; --i)
      std::swap(pending_[i - 1], pending_[static_cast<size_t>(rng_.below(i))]);
    for (const Write& write : pending_) {
      const size_t sector_bytes = size_t{1} << rng_.below(10);
      const uint64_t kept_of_8 = 1 + rng_.below(8);
      size_t sector = SIZE_MAX;
      bool kept = false;
      for (size_t i = 0; i < write.bytes.size(); ++i) {
        const size_t at = write.offset + i;
        if (at / sector_bytes != sector) {
          sector = at / sector_bytes;
          kept = rng_.below(8) < kept_of_8;
        }
        if (kept) durable_[at] = write.bytes[i];
      }
    }
    pending_.clear();
  }

  Bytes durable_;
  Bytes cache_;
  std::vector<Write> pending_;
  Rng rng_;
  bool powered_ = true;
  std::optional<uint64_t> events_left_;
  uint64_t writes_until_failure_ = 0;
  uint64_t writes_that_fail_ = 0;
  Error write_error_ = Error::kIo;
  uint64_t syncs_until_failure_ = 0;
  uint64_t syncs_that_fail_ = 0;
  bool reads_fail_ = false;
  uint64_t bytes_written_ = 0;
  uint64_t syncs_ = 0;
};

}  // namespace runnel::journal::test
