// Local training as an effect: takes a plan and a model, runs SGD a minibatch at a time, gives a compressed Update
// message.
//
// Memory: one arena, allocated when a model comes and kept while its size still fits; its size is known before the
// first step. Beside it, while an update is encoded, the encoder's output. Threads: one at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device/engine/device_engine.h"
#include "device/local_layers.h"
#include "device/own_evaluation.h"
#include "runtime/data/example_source.h"
#include "runtime/plan/round_plan.h"
#include "runtime/rate/rate_controller.h"
#include "runtime/train/trainer.h"
#include "runtime/wire/frame.h"

namespace runnel::device {

class TrainingTask {
 public:
  // `examples` must outlive the task. `arena_bytes_max` 0 = no limit.
  TrainingTask(std::string device, const data::ExampleSource& examples, size_t arena_bytes_max)
      : device_(std::move(device)), examples_(examples), arena_bytes_max_(arena_bytes_max) {}

  // Examples that it does not train on: the model before and after training is evaluated on them, and the update says
  // what came of it. They must outlive the task.
  void hold_back(const data::ExampleSource& held_back) { held_back_ = &held_back; }

  // Where the parameters of local layers are kept; without it each update begins with the model's own. It must outlive
  // the task.
  void keep_local(LocalLayers& local) { local_ = &local; }

  // Begins. `model` is a Model message that decodes; it is borrowed until finish(), stop() or a failure. What is
  // carried is added to the update before it is compressed; with `retry` nothing is trained, and what is carried is all
  // there is. Training starts from the model plus `ahead`, if that is not empty. Fails when the plan, the model, the
  // data or the memory do not fit each other; nothing is then under way.
  Failure start(const plan::RoundPlan& plan, uint64_t sequence, ByteView model, Carried carried = {},
                const rate::RateHistory& history = {}, bool retry = false, std::span<const float> ahead = {});
  Failure start(const StartTraining& request) {
    return start(request.plan, request.sequence, request.model, request.carried, request.history, request.retry,
                 request.ahead);
  }
  void stop() { trainer_.reset(); }
  bool active() const { return trainer_.has_value(); }

  // One minibatch. True when that was the last one: finish() is next. On failure the training is over.
  Result<bool> step();

  // Compresses the update as the plan's rule and the link allow. The training is over, also on failure. REQUIRES: the
  // last step() said true.
  Result<TrainedUpdate> finish(const rate::LinkLimits& limits = {});

  uint64_t sequence() const { return sequence_; }
  const train::MemoryPlan& memory() const { return memory_; }           // REQUIRES: a start() has succeeded
  uint32_t parameter_count() const { return layout_.parameter_count; }  // of an update
  uint32_t steps_done() const { return trainer_.has_value() ? trainer_->steps_done() : 0; }
  uint32_t steps_total() const { return trainer_.has_value() ? trainer_->steps_total() : 0; }
  float mean_loss() const { return mean_loss_; }                           // of the last finished training
  const plan::LocalEvaluation& evaluation() const { return evaluation_; }  // of the same; no examples: none
  double bits_per_coordinate() const { return bits_per_coordinate_; }

 private:
  void begin_evaluation(const plan::ModelSpec& spec);
  bool evaluate_batch();
  Result<TrainedUpdate> encode(const rate::LinkLimits& limits);
  Failure build_message(wire::Update& update, size_t payload_bytes, TrainedUpdate& trained);

  enum class Phase { kBefore, kTraining, kAfter };

  const std::string device_;
  const data::ExampleSource& examples_;
  const size_t arena_bytes_max_;
  std::vector<uint8_t> block_;
  std::vector<float> begin_;  // what training starts from, where that is not the model itself
  std::optional<train::Trainer> trainer_;
  train::MemoryPlan memory_;
  plan::ModelLayout layout_;  // of an update
  uint32_t local_count_ = 0;
  Phase phase_ = Phase::kTraining;
  const data::ExampleSource* held_back_ = nullptr;
  LocalLayers* local_ = nullptr;
  std::optional<OwnEvaluation> own_evaluation_;
  plan::LocalEvaluation evaluation_;
  plan::RoundPlan plan_;
  rate::RateHistory history_;
  bool retry_ = false;
  std::vector<float> residual_;  // what earlier updates left to do, in the layout of the parameters; empty = nothing
  uint64_t sequence_ = 0;
  float mean_loss_ = 0.0F;
  double bits_per_coordinate_ = 0.0;
};

}  // namespace runnel::device
