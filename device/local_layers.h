// The parameters of local layers (plan::Sharing::kLocal): trained by this device, kept by it, and never sent.
//
// They follow the device's updates: what update n left is where update n + 1 goes on. The last two states are kept, so
// that an update which is trained again, because the device died before it was stored, begins where it began before.
// Durability: keep() returns when both states are on disk; a power cut leaves the old pair or the new one. Threads: one
// at a time. Memory: twice the local parameters. Trust: the file is checked (CRC-32C); a damaged one is dropped, and
// training begins from the model's own values.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace runnel::device {

class LocalLayers {
 public:
  // Without a path nothing survives this object.
  explicit LocalLayers(std::string path = {}) : path_(std::move(path)) {}

  // What the file has. kNotFound: there is none; kCorrupt: it is dropped. Either way training can go on.
  Failure load();

  // Where the update `sequence` begins: the newest state of that run from before it. Empty: the model's own values.
  std::span<const float> before(uint64_t run, uint64_t sequence, size_t count) const;

  // What the update `sequence` left. On failure nothing on disk changed.
  Failure keep(uint64_t run, uint64_t sequence, std::span<const float> values);

 private:
  struct State {
    uint64_t sequence = 0;  // 0: none
    std::vector<float> values;
  };
  Failure write() const;

  std::string path_;
  uint64_t run_ = 0;
  std::array<State, 2> states_;  // the newer first
};

}  // namespace runnel::device
