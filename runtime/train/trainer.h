// Local training on a device: some epochs, or some steps, of stochastic gradient descent from the global model, one
// minibatch a call, so that whoever calls can do other work in between.
//
// Memory: one block of the arena, of exactly training_memory().total_bytes; nothing is allocated after create().
// Threads: one at a time. Time: none; a step's length is the caller's to measure. Determinism: the same global model,
// examples and seed give the same bits on one processor family, whatever came before.
#pragma once

#include <cstdint>
#include <span>

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
  static Result<Trainer> create(const plan::ModelSpec& spec, const plan::TrainingSpec& training, Arena& arena);

  Trainer(Trainer&&) = default;
  Trainer& operator=(Trainer&&) = default;
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;
  ~Trainer() = default;

  // Begins a round from `global`, which is copied, with momentum at zero. `source` must outlive the round. Each epoch
  // visits all examples in an order of its own drawn from `seed` (see ExampleOrder); its last minibatch may be smaller,
  // and counts as a step like any other. Fails, and leaves a round that is under way as it is: kShape (the number of
  // inputs or of parameters), kOutOfRange (more classes than the model has), kInvalidArgument (no examples), kNotFinite
  // (a parameter), kLimit (more than 2^32 - 1 steps).
  Failure start(std::span<const float> global, const data::ExampleSource& source, uint64_t seed);

  // Trains on the next minibatch. kDone from the last one on. Fails with kNotFinite, naming the step, when an input
  // value, the loss or a parameter stops being finite (a gradient that is not makes its parameter so), and with
  // kOutOfRange when a label is; the round is then over without an update, and further calls fail with kInvalidArgument
  // until the next start().
  Result<Progress> step();

  uint32_t steps_done() const { return steps_done_; }
  uint32_t steps_total() const { return steps_total_; }

  // The local model as it is now.
  std::span<const float> parameters() const { return parameters_; }

  // local - global, one value a parameter. Valid from kDone to the next start(). REQUIRES: the last step() gave kDone.
  std::span<const float> update();

  // The weight of this update: distinct examples used so far, min(examples of the source, steps * batch size).
  uint32_t sample_count() const;

  // Mean cross-entropy, in nats, of the examples of the last epoch (epochs mode) or of all steps (steps mode), each
  // taken before its minibatch was learnt from; 0 before the first step.
  float mean_loss() const;

 private:
  enum class State { kIdle, kRunning, kDone, kFailed };

  Trainer(const plan::TrainingSpec& training, const TrainingBlocks& blocks, MutableByteView block);
  void begin_epoch();
  Failure train_minibatch(uint32_t examples);
  // Adds the gradient of `examples` of the epoch's examples, from `first`, for a minibatch of `batch_size`.
  Failure add_slice(uint32_t first, uint32_t examples, uint32_t batch_size);

  plan::TrainingSpec training_;
  Network network_;
  std::span<float> parameters_;
  std::span<float> global_;
  std::span<float> gradient_;
  std::span<float> velocity_;
  std::span<uint32_t> labels_;

  State state_ = State::kIdle;
  const data::ExampleSource* source_ = nullptr;
  uint64_t seed_ = 0;
  ExampleOrder order_;
  uint32_t example_count_ = 0;
  uint32_t epoch_ = 0;
  uint32_t position_ = 0;  // in the epoch: examples already visited
  uint32_t steps_done_ = 0;
  uint32_t steps_total_ = 0;
  double loss_sum_ = 0.0;
  uint64_t loss_examples_ = 0;
};

}  // namespace runnel::train
