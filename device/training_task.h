// Local training as an effect: takes a plan and a model, runs SGD a minibatch at a time, gives a compressed Update
// message.
//
// Memory: one arena, allocated when a model comes and kept while its size still fits, and what MemoryBeside lists; all
// of it is known before the first step. Threads: one at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device/control_variates.h"
#include "device/engine/device_engine.h"
#include "device/kept_values.h"
#include "device/own_evaluation.h"
#include "runtime/data/example_source.h"
#include "runtime/plan/round_plan.h"
#include "runtime/rate/rate_controller.h"
#include "runtime/train/trainer.h"
#include "runtime/wire/frame.h"

namespace runnel::device {

// What training and its update take at most, in bytes, apart from the trainer's arena.
struct MemoryBeside {
  size_t model = 0;       // the Model message, which is the caller's
  size_t begin = 0;       // where training begins: a copy, because the next model may come before this one is trained
  size_t carried = 0;     // what earlier updates left to do
  size_t controls = 0;    // SCAFFOLD's control variates
  size_t evaluation = 0;  // of the device's own, on examples that it keeps back
  size_t encoding = 0;    // of the update, with the message that it becomes
  size_t total() const { return model + begin + carried + controls + evaluation + encoding; }
};

class TrainingTask {
 public:
  // `examples` must outlive the task. `bytes_max`: of the arena and all that is beside it; 0 = no limit.
  TrainingTask(std::string device, const data::ExampleSource& examples, size_t bytes_max)
      : device_(std::move(device)), examples_(examples), bytes_max_(bytes_max) {}

  // Examples that it does not train on: the model before and after training is evaluated on them, and the update says
  // what came of it. They must outlive the task.
  void hold_back(const data::ExampleSource& held_back) { held_back_ = &held_back; }

  // Also fine-tunes each model that comes for so many steps, for this device alone, and has the update say what that is
  // worth on the examples held back. What is learnt by that goes nowhere. REQUIRES: hold_back().
  void fine_tune(uint32_t steps) { fine_tune_steps_ = steps; }

  // Where the parameters of local layers are kept; without it each update begins with the model's own. It must outlive
  // the task.
  void keep_local(KeptValues& local) { local_ = &local; }

  // Where SCAFFOLD's control variates are kept; without it, plans that ask for them are refused. They must outlive the
  // task.
  void keep_controls(ControlVariates& controls) { controls_ = &controls; }

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
  const MemoryBeside& memory_beside() const { return beside_; }         // REQUIRES: the same
  uint32_t parameter_count() const { return layout_.parameter_count; }  // of an update
  uint32_t steps_done() const { return trainer_.has_value() ? trainer_->steps_done() : 0; }
  uint32_t steps_total() const { return trainer_.has_value() ? trainer_->steps_total() : 0; }
  float mean_loss() const { return mean_loss_; }                           // of the last finished training
  const plan::LocalEvaluation& evaluation() const { return evaluation_; }  // of the same; no examples: none
  double bits_per_coordinate() const { return bits_per_coordinate_; }

 private:
  void begin_evaluation(const plan::ModelSpec& spec);
  bool evaluate_batch();
  bool begin_tuning();
  Failure begin_training();
  Result<bool> step_tuning();
  Result<TrainedUpdate> encode(const rate::LinkLimits& limits);
  Failure build_message(wire::Update& update, size_t payload_bytes, TrainedUpdate& trained);

  // The model as it came is evaluated; fine-tuned, and evaluated again; then it is trained for the fleet.
  enum class Phase { kBefore, kTuning, kTuned, kTraining, kAfter };

  const std::string device_;
  const data::ExampleSource& examples_;
  const size_t bytes_max_;
  uint32_t fine_tune_steps_ = 0;
  std::vector<uint8_t> block_;
  std::vector<float> begin_;  // what training starts from, where that is not the model itself
  std::optional<train::Trainer> trainer_;
  train::MemoryPlan memory_;
  plan::ModelSpec spec_;
  plan::TrainingSpec training_;  // of this round
  train::MemoryLimits limits_;
  MemoryBeside beside_;
  plan::ModelLayout layout_;  // of an update
  uint32_t local_count_ = 0;
  Phase phase_ = Phase::kTraining;
  const data::ExampleSource* held_back_ = nullptr;
  KeptValues* local_ = nullptr;
  ControlVariates* controls_ = nullptr;
  std::span<const float> correction_;  // by them; empty = none
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
