// A device's flash in memory, for simulations: writes before a sync may be lost, torn or reordered by a power cut,
// which may also strike between any two writes.
//
// Threads: one at a time.
#pragma once

#include <optional>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/journal/storage.h"

namespace runnel::fleet {

class SimulatedStorage final : public journal::Storage {
 public:
  explicit SimulatedStorage(size_t bytes) : durable_(bytes), current_(bytes) {}

  uint64_t size_bytes() const override { return current_.size(); }
  Error read(uint64_t offset, MutableByteView into) override;
  Error write(uint64_t offset, ByteView bytes) override;
  Error sync() override;

  void set_full(bool full) { full_ = full; }
  // The power fails at the write or sync after so many more: that one and all later ones do nothing.
  void fail_after(uint64_t operations) { operations_left_ = operations; }
  bool dead() const { return dead_; }
  // Power is gone: each write since the last sync is kept, lost, or kept up to some byte, as `rng` has it.
  void cut_power(Rng& rng);

 private:
  struct Write {
    uint64_t offset;
    std::vector<uint8_t> bytes;
  };
  bool dies();

  bool full_ = false;
  bool dead_ = false;
  std::optional<uint64_t> operations_left_;
  std::vector<uint8_t> durable_;
  std::vector<uint8_t> current_;
  std::vector<Write> unsynced_;
};

}  // namespace runnel::fleet
