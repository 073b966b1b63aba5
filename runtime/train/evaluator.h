// A model's outputs and loss on examples, one batch a call; with labels, its accuracy. Whoever wants other metrics adds
// them up from last_batch().
//
// Memory: one block of the arena, of exactly evaluation_memory().total_bytes; nothing is allocated after create().
// Threads: one at a time. Examples are visited in the source's order.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/base/arena.h"
#include "runtime/base/result.h"
#include "runtime/data/example_source.h"
#include "runtime/plan/model_spec.h"
#include "runtime/train/memory_plan.h"
#include "runtime/train/network.h"
#include "runtime/train/progress.h"

namespace runnel::train {

class Evaluator {
 public:
  using Progress = train::Progress;

  struct Metrics {
    uint32_t examples = 0;
    uint64_t correct = 0;  // labels
    double loss = 0.0;     // mean over the examples, in nats where it is an entropy; 0 of no examples
    uint64_t labels = 0;   // one an example, or one a position; none where the loss compares numbers
    double accuracy() const { return labels == 0 ? 0.0 : static_cast<double>(correct) / static_cast<double>(labels); }
  };

  // What the last step() evaluated; valid until the next.
  struct Batch {
    std::span<const float> outputs;  // [examples][output]
    std::span<const float> targets;  // what the loss compared them with
    std::span<const float>
        labels;  // where it compared with the input: what the source says of each example, if it does
    double loss_sum = 0.0;
    uint32_t examples = 0;
  };

  // Fails as evaluation_memory() does, or with kNoMemory; the arena is then unchanged. The arena's block must outlive
  // the evaluator.
  static Result<Evaluator> create(const plan::ModelSpec& spec, uint32_t batch_size, Arena& arena);

  Evaluator(Evaluator&&) = default;
  Evaluator& operator=(Evaluator&&) = default;
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;
  ~Evaluator() = default;

  // Begins from the source's first example. Parameters and source are borrowed until kDone or the next start(). Fails,
  // and leaves an evaluation that is under way as it is, for the same reasons as Trainer::start().
  Failure start(std::span<const float> parameters, const data::ExampleSource& source);

  // Evaluates the next batch. kDone from the last one on. Fails with kNotFinite when an input value or the loss is not
  // finite, and with kOutOfRange when a label or a symbol is; further calls fail with kInvalidArgument until the next
  // start().
  Result<Progress> step();

  // Of the examples so far; final after kDone.
  Metrics metrics() const;

  const Batch& last_batch() const { return batch_; }

 private:
  enum class State { kIdle, kRunning, kDone, kFailed };

  Evaluator(const plan::ModelSpec& spec, const plan::ModelLayout& layout, uint32_t batch_size, const Network& network,
            const EvaluationBlocks& blocks, MutableByteView block);
  Failure evaluate_batch(uint32_t examples);

  uint32_t batch_size_;
  plan::LossSpec loss_;
  uint32_t channels_;  // of the output
  uint32_t positions_;
  uint32_t target_count_;
  Network network_;
  std::span<float> targets_;

  State state_ = State::kIdle;
  std::span<const float> parameters_;
  const data::ExampleSource* source_ = nullptr;
  uint32_t example_count_ = 0;
  uint32_t position_ = 0;
  uint64_t correct_ = 0;
  double loss_sum_ = 0.0;
  Batch batch_;
};

}  // namespace runnel::train
