// Values that a device keeps for itself and never sends: the parameters of its local layers (plan::Sharing::kLocal),
// and SCAFFOLD's control variates.
//
// They follow the device's updates: what update n left is where update n + 1 goes on. The last two states are kept, so
// that an update which is trained again, because the device died before it was stored, begins where it began before.
// Durability: keep() returns when both states are on disk; a power cut leaves the old pair or the new one. Threads: one
// at a time. Memory: twice the values, and as much again in keep(). Trust: the file is checked (CRC-32C); a damaged one
// is dropped, and the values begin anew.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/plan/model_spec.h"

namespace runnel::device {

class KeptValues {
 public:
  static constexpr uint32_t kCountMax = 3 * plan::kParametersMax + 3;  // values of a state

  // Without a path nothing survives this object.
  explicit KeptValues(std::string path = {}) : path_(std::move(path)) {}

  // What the file has. kNotFound: there is none; kCorrupt: it is dropped. Either way training can go on.
  Failure load();

  // Where the update `sequence` begins: the newest state of that run from before it. Empty: there is none.
  std::span<const float> before(uint64_t run, uint64_t sequence, size_t count) const;

  // What the update `sequence` left. On failure nothing on disk changed, and what is there counts.
  Failure keep(uint64_t run, uint64_t sequence, std::vector<float> values);

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
