// A device's part in SCAFFOLD (runtime/train/scaffold.h): its own control variate, the fleet's as it follows from the
// global models that this device has trained on, and the newest of those models.
//
// Use, for each update: begin(), train with the correction, keep().
// Durability: as KeptValues; an update that is trained again gets the same correction again. Memory: 24 bytes a shared
// parameter, 40 from begin() to keep(), 48 in keep(). Threads: one at a time. Trust: as KeptValues.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "device/kept_values.h"
#include "runtime/base/result.h"
#include "runtime/plan/round_plan.h"

namespace runnel::device {

class ControlVariates {
 public:
  // Nothing survives this object.
  ControlVariates() = default;
  explicit ControlVariates(std::string path) : kept_(std::move(path)) {}

  // As KeptValues::load().
  Failure load() { return kept_.load(); }

  // What `count` shared parameters take at most, in bytes.
  static size_t bytes_for(size_t count) { return 12 * count * sizeof(float); }

  // What is added to every gradient of the update `sequence`, which trains `model` under `plan`: one value a shared
  // parameter, 0 before the fleet has made a round. Valid until the next call.
  std::span<const float> begin(const plan::RoundPlan& plan, uint64_t sequence, std::span<const float> model);

  // After training: `steps` is how often the model was moved, `arrived` what the coordinator gets of the update. On
  // failure nothing on disk changed. REQUIRES: begin().
  Failure keep(const plan::RoundPlan& plan, uint64_t sequence, uint32_t steps, std::span<const float> update,
               std::span<const float> arrived);

 private:
  KeptValues kept_;
  std::vector<float> state_;       // kHead numbers; the model, the fleet's control variate, this device's
  std::vector<float> correction_;  // the second less the third
};

}  // namespace runnel::device
