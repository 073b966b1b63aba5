// Local training on a device: some epochs, or some steps, of stochastic gradient descent from the global model, one
// minibatch a call, so that whoever calls can do other work in between.
//
// Memory: one block of the arena, of exactly training_memory().total_bytes; nothing is allocated after create(). The
// global model is borrowed. Threads: one at a time. Time: none; a step's length is the caller's to measure.
// Determinism: the same global model, examples, seed and memory plan give the same bits on one processor family,
// whatever came before.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/arena.h"
#include "runtime/base/result.h"
#include "runtime/data/example_source.h"
#include "runtime/plan/model_spec.h"
#include "runtime/plan/round_plan.h"
#include "runtime/train/example_order.h"
#include "runtime/train/memory_plan.h"
#include "runtime/train/network.h"
#include "runtime/train/progress.h"

namespace runnel::train {

class Trainer {
 public:
  using Progress = train::Progress;

  // Fails as training_memory() does, or with kNoMemory; the arena is then unchanged. The arena's block must outlive the
  // trainer.
  static Result<Trainer> create(const plan::ModelSpec& spec, const plan::TrainingSpec& training, Arena& arena,
                                const MemoryLimits& limits = {});

  // The same where the trainer stands, for stacks that have no room for copies of one. `layout` is make_layout's of
  // `spec`. Until it was arranged, and after a failure, a trainer is good for nothing but being arranged.
  Trainer() = default;
  Failure arrange(const plan::ModelSpec& spec, const plan::ModelLayout& layout, const plan::TrainingSpec& training,
                  Arena& arena, const MemoryLimits& limits = {});

  Trainer(Trainer&&) = default;
  Trainer& operator=(Trainer&&) = default;
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;
  ~Trainer() = default;

  // Begins a round from `global`, with the optimizer's memory at zero. `global`, `source` and `correction` are borrowed
  // until update() was called or the next start(). Each epoch visits all examples in an order of its own drawn from
  // `seed` (see ExampleOrder); its last minibatch may be smaller, and counts as a step like any other. `correction`, if
  // there is one, is added to every gradient of the shared parameters: SCAFFOLD's c_global - c_local (scaffold.h); it
  // needs MemoryLimits::corrects. Fails, and leaves a round that is under way as it is: kShape (the number of inputs,
  // targets or parameters), kOutOfRange (more classes than the model has), kInvalidArgument (no examples), kNotFinite
  // (a parameter), kLimit (more than 2^32 - 1 steps).
  Failure start(std::span<const float> global, const data::ExampleSource& source, uint64_t seed,
                std::span<const float> correction = {});
  Failure start(std::vector<float>&& global, const data::ExampleSource& source, uint64_t seed,
                std::span<const float> correction = {}) = delete;  // it would be gone

  // Trains on the next minibatch. kDone from the last one on. Fails with kNotFinite, naming the step, when an input
  // value, the loss or a parameter stops being finite (a gradient that is not makes its parameter so; where gradients
  // go straight to the weights, these are looked at every 16 steps and at the end), and with kOutOfRange when a label
  // is; the round is then over without an update, and further calls fail with kInvalidArgument until the next start().
  Result<Progress> step();

  // As arranged.
  const MemoryPlan& memory() const { return memory_; }

  // Minibatches; with accumulation, several of them move the model once.
  uint32_t steps_done() const { return steps_done_; }
  uint32_t steps_total() const { return steps_total_; }
  // How often the model was moved in this round.
  uint32_t moves() const { return moves_; }

  // The local model as it is now. Before the last step, looking at it may change the last bits of what follows: steps
  // that waited (Network::apply_deferred_steps) are then applied early. REQUIRES: update() was not called yet in this
  // round.
  std::span<const float> parameters();

  // Its part that stays on this device; also after update().
  std::span<const float> local_parameters() const;

  // local - global of what is shared, one value a coordinate of the layout's shared part. It takes the memory of the
  // local model's shared part: parameters() ends here. Valid to the next start(). REQUIRES: the last step() gave kDone.
  std::span<const float> update();

  // The weight of this update: distinct examples used so far, min(examples of the source, steps * batch size).
  uint32_t sample_count() const;

  // Mean loss (in nats where it is an entropy) of the examples of the last epoch (epochs mode) or of all steps (steps
  // mode), each taken before its minibatch was learnt from; 0 before the first step.
  float mean_loss() const;

 private:
  enum class State { kIdle, kRunning, kDone, kUpdateTaken, kFailed };

  void begin_epoch();
  Failure train_minibatch(uint32_t examples);
  // Adds the gradient of `examples` of the epoch's examples, from `first`, for a minibatch of `batch_size`.
  Failure add_slice(uint32_t first, uint32_t examples, uint32_t batch_size);
  // Shows the network the inputs of the next steps where that saves work.
  void look_ahead(uint32_t first);
  bool run_backward(uint32_t examples);
  bool learn_layer(uint32_t layer, uint32_t examples);
  void begin_group();
  bool finish_group();

  // What belongs to one range of the parameters.
  std::span<const float> global_of(ParameterRange range) const;
  std::span<const float> correction_of(ParameterRange range) const;
  bool step_range(ParameterRange range, std::span<const float> gradient, float factor);

  plan::TrainingSpec training_;
  plan::LossSpec loss_;
  uint32_t channels_ = 0;  // of the output
  uint32_t positions_ = 0;
  uint32_t shared_count_ = 0;
  uint32_t trained_count_ = 0;
  uint32_t slice_ = 1;
  uint32_t target_count_ = 0;
  GradientPlace gradients_ = GradientPlace::kWhole;
  MemoryPlan memory_;
  Network network_;
  std::span<float> targets_;
  std::span<float> parameters_;
  std::span<float> gradient_;
  std::span<float> first_;
  std::span<float> second_;

  State state_ = State::kIdle;
  std::span<const float> global_;
  std::span<const float> correction_;
  const data::ExampleSource* source_ = nullptr;
  uint64_t seed_ = 0;
  ExampleOrder order_;
  uint32_t example_count_ = 0;
  uint32_t epoch_ = 0;
  uint32_t position_ = 0;  // in the epoch: examples already visited
  uint32_t steps_done_ = 0;
  uint32_t steps_total_ = 0;
  uint32_t moves_ = 0;       // of the model, this round
  uint32_t group_size_ = 1;  // minibatches that make one move
  uint32_t group_done_ = 0;
  bool at_once_ = false;  // every layer moves right after its backward pass
  double loss_sum_ = 0.0;
  uint64_t loss_examples_ = 0;
};

}  // namespace runnel::train
