// A device's flash in memory, for simulations: writes before a sync may be lost, torn or reordered by a power cut,
// which may also strike between any two writes.
//
// Memory: the pages that were ever written. Threads: one at a time.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/journal/storage.h"

namespace runnel::fleet {

class SimulatedStorage final : public journal::Storage {
 public:
  explicit SimulatedStorage(size_t bytes) : size_bytes_(bytes) {}

  uint64_t size_bytes() const override { return size_bytes_; }
  Error read(uint64_t offset, MutableByteView into) override;
  Error write(uint64_t offset, ByteView bytes) override;
  Error sync() override;

  void set_full(bool full) { full_ = full; }
  // The power fails at the write or sync after so many more: that one and all later ones do nothing.
  void fail_after(uint64_t operations) { operations_left_ = operations; }
  bool dead() const { return dead_; }
  // True if nothing is wrong with it, and nothing will be.
  bool sound() const { return !full_ && !operations_left_.has_value() && unsynced_.empty(); }
  // Power is gone: each write since the last sync is kept, lost, or kept up to some byte, as `rng` has it.
  void cut_power(Rng& rng);

 private:
  static constexpr uint64_t kPageBytes = 4096;
  using Page = std::array<uint8_t, kPageBytes>;
  struct Write {
    uint64_t offset;
    std::vector<uint8_t> before;
    std::vector<uint8_t> bytes;
  };
  bool dies();
  void put(uint64_t offset, ByteView bytes);

  uint64_t size_bytes_;
  bool full_ = false;
  bool dead_ = false;
  std::optional<uint64_t> operations_left_;
  std::map<uint64_t, Page> pages_;  // what is not there is zero
  std::vector<Write> unsynced_;
};

}  // namespace runnel::fleet
