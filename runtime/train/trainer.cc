#include "runtime/train/trainer.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/rng.h"
#include "runtime/tensor/reduce.h"
#include "runtime/train/loss.h"
#include "runtime/train/read_example.h"
#include "runtime/train/sgd.h"

namespace runnel::train {

Result<Trainer> Trainer::create(const plan::ModelSpec& spec, const plan::TrainingSpec& training, Arena& arena) {
  const Result<TrainingBlocks> blocks = lay_out_training(spec, training);
  if (!blocks) return blocks.failure();
  const Result<MutableByteView> block = take_block(blocks->memory, arena);
  if (!block) return Failure(block.failure()).prefix("trainer: ");
  return Trainer(training, *blocks, *block);
}

Trainer::Trainer(const plan::TrainingSpec& training, const TrainingBlocks& blocks, MutableByteView block)
    : training_(training),
      network_(blocks.network),
      parameters_(blocks.parameters.in(block)),
      global_(blocks.global.in(block)),
      gradient_(blocks.gradient.in(block)),
      velocity_(blocks.velocity.in(block)),
      labels_(blocks.labels.in(block)) {
  network_.bind(block);
}

Failure Trainer::start(std::span<const float> global, const data::ExampleSource& source, uint64_t seed) {
  RUNNEL_TRY(check_source(source, network_.input_count(), network_.classes()));
  if (global.size() != parameters_.size()) {
    return fail(Error::kShape, "the global model has %zu parameters, this one %zu", global.size(), parameters_.size());
  }
  if (!tensor::all_finite(global)) return fail(Error::kNotFinite, "a parameter of the global model is NaN or infinite");
  const uint32_t example_count = source.example_count();
  const uint64_t steps_per_epoch = (uint64_t{example_count} + training_.batch_size - 1) / training_.batch_size;
  const uint64_t steps = training_.local_steps != 0 ? training_.local_steps : steps_per_epoch * training_.local_epochs;
  if (steps > UINT32_MAX)
    return fail(Error::kLimit, "%u epochs of %u examples are too many steps", training_.local_epochs, example_count);

  std::ranges::copy(global, parameters_.begin());
  std::ranges::copy(global, global_.begin());
  std::ranges::fill(velocity_, 0.0F);
  source_ = &source;
  seed_ = seed;
  example_count_ = example_count;
  epoch_ = 0;
  steps_done_ = 0;
  steps_total_ = static_cast<uint32_t>(steps);
  loss_sum_ = 0.0;
  loss_examples_ = 0;
  state_ = State::kRunning;
  begin_epoch();
  return Error::kOk;
}

void Trainer::begin_epoch() {
  order_ = ExampleOrder(example_count_, derive_key(seed_, epoch_));
  position_ = 0;
  if (training_.local_steps == 0) {
    loss_sum_ = 0.0;
    loss_examples_ = 0;
  }
}

Result<Progress> Trainer::step() {
  if (state_ == State::kDone) return Progress::kDone;
  if (state_ != State::kRunning) {
    return fail(Error::kInvalidArgument,
                state_ == State::kIdle ? "no round was started" : "the round has failed; start another");
  }
  if (position_ == example_count_) {
    ++epoch_;
    begin_epoch();
  }
  const uint32_t examples = std::min(training_.batch_size, example_count_ - position_);
  if (Failure failure = train_minibatch(examples); !failure.ok()) {
    state_ = State::kFailed;
    return failure.prefix("step %u: ", steps_done_ + 1);
  }
  position_ += examples;
  if (++steps_done_ < steps_total_) return Progress::kRunning;
  state_ = State::kDone;
  return Progress::kDone;
}

Failure Trainer::add_slice(uint32_t first, uint32_t examples, uint32_t batch_size) {
  for (uint32_t index = 0; index < examples; ++index) {
    const Result<uint32_t> label =
        read_example(*source_, order_.at(first + index), network_.classes(), network_.input(index));
    if (!label) return label.failure();
    labels_[index] = *label;
  }
  network_.forward(parameters_, examples);
  const BatchLoss loss = softmax_cross_entropy(network_.logits(examples), labels_.first(examples), network_.classes(),
                                               network_.logit_gradient(examples), batch_size);
  if (!std::isfinite(loss.sum)) return fail(Error::kNotFinite, "the loss is not finite");
  network_.backward(parameters_, examples, gradient_);
  loss_sum_ += loss.sum;
  loss_examples_ += examples;
  return Error::kOk;
}

Failure Trainer::train_minibatch(uint32_t examples) {
  std::ranges::fill(gradient_, 0.0F);
  for (uint32_t done = 0; done < examples; done += kSliceExamples) {
    RUNNEL_TRY(add_slice(position_ + done, std::min(kSliceExamples, examples - done), examples));
  }
  if (!sgd_step(training_, gradient_, global_, velocity_, parameters_)) {
    return fail(Error::kNotFinite, "a gradient or a parameter is not finite");
  }
  return Error::kOk;
}

std::span<const float> Trainer::update() {
  RUNNEL_ASSERT(state_ == State::kDone);
  for (size_t index = 0; index < gradient_.size(); ++index) gradient_[index] = parameters_[index] - global_[index];
  return gradient_;
}

uint32_t Trainer::sample_count() const {
  return static_cast<uint32_t>(std::min<uint64_t>(example_count_, uint64_t{steps_done_} * training_.batch_size));
}

float Trainer::mean_loss() const {
  return loss_examples_ == 0 ? 0.0F : static_cast<float>(loss_sum_ / static_cast<double>(loss_examples_));
}

}  // namespace runnel::train
