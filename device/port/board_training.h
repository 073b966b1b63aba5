// Local training where memory is short: the model that came is trained from in place, gradients go straight into the
// weights where the plan lets them, and what the update is compressed in lies where the activations were.
//
// Memory: the block that is given, and the finished message. Plans with error feedback are refused, and an update that
// cannot arrive in time is sent all the same: to carry it to the next one takes one fp32 a parameter more. Threads: one
// at a time. Determinism: as train::Trainer; the update of a plan is the one that runnel-device makes of the same
// examples.
#pragma once

#include "device/engine/device_engine.h"
#include "runtime/data/example_source.h"
#include "runtime/train/trainer.h"
#include "runtime/wire/frame.h"

namespace runnel::port {

class BoardTraining {
 public:
  // `examples` and `block` must outlive it; `block` is aligned to Arena::kAlignment.
  BoardTraining(std::string_view device, const data::ExampleSource& examples, MutableByteView block)
      : device_(device), examples_(examples), block_(block) {}

  // Begins. The request's model is borrowed until finish(), stop() or a failure. kUnsupported, kNoMemory with what
  // would do, or why plan, model and data do not fit each other; nothing is then under way.
  Failure start(const device::StartTraining& request);
  void stop() { active_ = false; }
  bool active() const { return active_; }

  // One minibatch. True when that was the last one: finish() is next. On failure the training is over.
  Result<bool> step();
  // Compresses the update. The training is over, also on failure. REQUIRES: the last step() said true.
  Result<device::TrainedUpdate> finish(const rate::LinkLimits& limits);

  uint64_t sequence() const { return sequence_; }
  float mean_loss() const { return mean_loss_; }  // of the last finished training
  const train::MemoryPlan& memory() const { return trainer_.memory(); }

 private:
  MutableByteView room() const;  // to compress in
  Failure decide(std::span<const float> values, const rate::LinkLimits& limits, std::span<float> scratch,
                 MutableByteView payloads, rate::RateDecision& decision) const;
  Failure encode(std::span<const float> values, std::span<float> scratch, MutableByteView payloads,
                 device::TrainedUpdate& trained);

  const std::string_view device_;
  const data::ExampleSource& examples_;
  const MutableByteView block_;
  train::Trainer trainer_;
  bool active_ = false;
  plan::ModelLayout layout_;  // of an update
  plan::RoundPlan plan_;
  rate::RateHistory history_;
  uint64_t sequence_ = 0;
  float mean_loss_ = 0.0F;
};

}  // namespace runnel::port
