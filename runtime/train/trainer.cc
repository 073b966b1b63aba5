#include "runtime/train/trainer.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/rng.h"
#include "runtime/tensor/reduce.h"
#include "runtime/train/loss.h"
#include "runtime/train/optimizer.h"
#include "runtime/train/read_example.h"
#include "runtime/train/velocity.h"

namespace runnel::train {
namespace {

constexpr uint32_t kStepsBetweenLooks = 16;
constexpr uint64_t kDropoutPart = 0xD40F;  // epochs take the seeds from 0 on; they do not come this far together

}  // namespace

Result<Trainer> Trainer::create(const plan::ModelSpec& spec, const plan::TrainingSpec& training, Arena& arena,
                                const MemoryLimits& limits) {
  RUNNEL_TRY(plan::check(training));
  const Result<plan::ModelLayout> layout = plan::make_layout(spec);
  if (!layout) return layout.failure();
  Trainer trainer;
  RUNNEL_TRY(trainer.arrange(spec, *layout, training, arena, limits));
  return trainer;
}

Failure Trainer::arrange(const plan::ModelSpec& spec, const plan::ModelLayout& layout,
                         const plan::TrainingSpec& training, Arena& arena, const MemoryLimits& limits) {
  state_ = State::kIdle;
  const Result<TrainingBlocks> blocks = lay_out_training(spec, layout, training, limits, network_);
  if (!blocks) return blocks.failure();
  const Result<MutableByteView> block = take_block(blocks->memory, arena);
  if (!block) return Failure(block.failure()).prefix("trainer");
  training_ = training;
  loss_ = spec.loss;
  channels_ = spec.classes;
  positions_ = layout.outputs.back().height * layout.outputs.back().width;
  shared_count_ = layout.shared_count;
  trained_count_ = layout.trained_count;
  slice_ = blocks->memory.slice_examples;
  target_count_ = layout.target_count;
  gradients_ = blocks->memory.gradients;
  memory_ = blocks->memory;
  targets_ = blocks->targets.in(*block);
  parameters_ = blocks->parameters.in(*block);
  gradient_ = blocks->gradient.in(*block);
  first_ = blocks->first.in(*block);
  second_ = blocks->second.in(*block);
  network_.bind(*block);
  return Error::kOk;
}

Failure Trainer::start(std::span<const float> global, const data::ExampleSource& source, uint64_t seed,
                       std::span<const float> correction) {
  RUNNEL_TRY(check_source(source, loss_, network_.input_count(), channels_, target_count_));
  if (global.size() != parameters_.size()) {
    return fail(Error::kShape, "the global model has %zu parameters, this one %zu", global.size(), parameters_.size());
  }
  if (!correction.empty() && (correction.size() != shared_count_ || gradients_ == GradientPlace::kWeights)) {
    return fail(Error::kShape, "a correction of %zu values for %u shared parameters, or one that was not planned for",
                correction.size(), shared_count_);
  }
  if (!tensor::all_finite(global)) return fail(Error::kNotFinite, "a parameter of the global model is NaN or infinite");
  const uint32_t example_count = source.example_count();
  const uint64_t steps_per_epoch = (uint64_t{example_count} + training_.batch_size - 1) / training_.batch_size;
  const uint64_t steps = training_.local_steps != 0 ? uint64_t{training_.local_steps} * training_.accumulate
                                                    : steps_per_epoch * training_.local_epochs;
  if (steps > UINT32_MAX)
    return fail(Error::kLimit, "%u epochs of %u examples are too many steps", training_.local_epochs, example_count);

  network_.forget_deferred_steps();
  std::ranges::copy(global, parameters_.begin());
  std::ranges::fill(first_, 0.0F);
  std::ranges::fill(second_, 0.0F);
  global_ = global;
  correction_ = correction;
  source_ = &source;
  seed_ = seed;
  example_count_ = example_count;
  epoch_ = 0;
  steps_done_ = 0;
  steps_total_ = static_cast<uint32_t>(steps);
  moves_ = 0;
  group_done_ = 0;
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
  if (state_ == State::kDone || state_ == State::kUpdateTaken) return Progress::kDone;
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
    return failure.prefix("step %u", steps_done_ + 1);
  }
  position_ += examples;
  if (++steps_done_ < steps_total_) return Progress::kRunning;
  state_ = State::kDone;
  return Progress::kDone;
}

Failure Trainer::train_minibatch(uint32_t examples) {
  if (group_done_ == 0) begin_group();
  bool finite = true;
  for (uint32_t done = 0; done < examples; done += slice_) {
    const uint32_t part = std::min(slice_, examples - done);
    network_.begin_minibatch(derive_key(derive_key(seed_, kDropoutPart), steps_done_), done);
    RUNNEL_TRY(add_slice(position_ + done, part, examples));
    finite = run_backward(part) && finite;
  }
  if (++group_done_ == group_size_) finite = finish_group() && finite;
  const bool last = steps_done_ + 1 == steps_total_;
  // The others look at what they write anyway; running statistics move by themselves.
  if (last || (gradients_ == GradientPlace::kWeights && (steps_done_ + 1) % kStepsBetweenLooks == 0)) {
    network_.apply_deferred_steps(parameters_);
    finite = finite && tensor::all_finite(parameters_);
  }
  if (!finite) return fail(Error::kNotFinite, "a gradient or a parameter is not finite");
  return Error::kOk;
}

Failure Trainer::add_slice(uint32_t first, uint32_t examples, uint32_t batch_size) {
  for (uint32_t index = 0; index < examples; ++index) {
    const std::span<float> target =
        targets_.empty() ? targets_ : targets_.subspan(size_t{index} * target_count_, target_count_);
    RUNNEL_TRY(read_example(*source_, order_.at(first + index), loss_, channels_, network_.input(index), target));
  }
  RUNNEL_TRY(network_.check_input(examples));
  look_ahead(first);
  network_.forward(parameters_, examples, parameters_);
  const std::span<const float> targets =
      targets_.empty() ? network_.inputs(examples) : targets_.first(size_t{examples} * target_count_);
  const BatchLoss loss = batch_loss(loss_, channels_, positions_, network_.outputs(examples), targets,
                                    network_.output_gradient(examples), batch_size);
  if (!std::isfinite(loss.sum)) return fail(Error::kNotFinite, "the loss is not finite");
  loss_sum_ += loss.sum;
  loss_examples_ += examples;
  return Error::kOk;
}

void Trainer::look_ahead(uint32_t first) {
  const uint32_t examples = std::min(network_.wants_ahead(), example_count_ - first);
  if (examples == 0) return;
  for (uint32_t example = 0; example < examples; ++example)
    source_->read(order_.at(first + example), network_.ahead_input(example), {});
  network_.look_ahead(parameters_, examples);
}

bool Trainer::run_backward(uint32_t examples) {
  bool finite = true;
  for (uint32_t layer = network_.layer_count(); layer-- > 0;) {
    if (network_.begin_backward(layer, parameters_, examples)) finite = learn_layer(layer, examples) && finite;
  }
  return finite;
}

// One layer's backward pass, and its step where that does not have to wait for the others.
bool Trainer::learn_layer(uint32_t layer, uint32_t examples) {
  const ParameterRange range = network_.trained(layer);
  if (range.count == 0) {
    network_.backward_layer(layer, parameters_, examples, {}, 1.0F);
    return true;
  }
  const std::span<float> weights = parameters_.subspan(range.offset, range.count);
  switch (gradients_) {
    case GradientPlace::kWeights:
      network_.backward_layer(layer, parameters_, examples, weights, -training_.learning_rate);
      return true;
    case GradientPlace::kVelocity: {
      const std::span<float> velocity = first_.subspan(range.offset, range.count);
      if (at_once_) decay_velocity(training_, weights, global_of(range), correction_of(range), velocity);
      network_.backward_layer(layer, parameters_, examples, velocity, 1.0F / static_cast<float>(group_size_));
      return !at_once_ || follow_velocity(training_.learning_rate, velocity, weights);
    }
    case GradientPlace::kLayer: {
      const std::span<float> gradient = network_.layer_gradient(layer);
      std::ranges::fill(gradient, 0.0F);
      network_.backward_layer(layer, parameters_, examples, gradient, 1.0F);
      return step_range(range, gradient, 1.0F);
    }
    case GradientPlace::kWhole:
      network_.backward_layer(layer, parameters_, examples, gradient_.subspan(range.offset, range.count), 1.0F);
      return true;
  }
  return true;
}

void Trainer::begin_group() {
  ++moves_;
  group_size_ = std::min(training_.accumulate, steps_total_ - steps_done_);
  at_once_ = gradients_ == GradientPlace::kVelocity && slice_ >= training_.batch_size && group_size_ == 1;
  if (gradients_ == GradientPlace::kWhole) std::ranges::fill(gradient_, 0.0F);
  if (gradients_ != GradientPlace::kVelocity || at_once_) return;
  for (uint32_t layer = 0; layer < network_.layer_count(); ++layer) {
    const ParameterRange range = network_.trained(layer);
    if (range.count == 0 || !network_.has_backward(layer)) continue;
    decay_velocity(training_, parameters_.subspan(range.offset, range.count), global_of(range), correction_of(range),
                   first_.subspan(range.offset, range.count));
  }
}

bool Trainer::finish_group() {
  group_done_ = 0;
  const bool moved = gradients_ == GradientPlace::kWeights || gradients_ == GradientPlace::kLayer || at_once_;
  if (moved) return true;
  float factor = 1.0F / static_cast<float>(group_size_);
  if (gradients_ == GradientPlace::kWhole && training_.clip_norm != 0.0F) {
    const double mean = static_cast<double>(factor);
    factor *= clip_factor(training_, square_sum(gradient_) * mean * mean);
  }
  bool finite = true;
  for (uint32_t layer = 0; layer < network_.layer_count(); ++layer) {
    const ParameterRange range = network_.trained(layer);
    if (range.count == 0 || !network_.has_backward(layer)) continue;
    if (gradients_ == GradientPlace::kVelocity) {
      finite = follow_velocity(training_.learning_rate, first_.subspan(range.offset, range.count),
                               parameters_.subspan(range.offset, range.count)) &&
               finite;
    } else {
      finite = step_range(range, gradient_.subspan(range.offset, range.count), factor) && finite;
    }
  }
  return finite;
}

std::span<const float> Trainer::global_of(ParameterRange range) const {
  return global_.subspan(range.offset, range.count);
}

std::span<const float> Trainer::correction_of(ParameterRange range) const {
  // A layer's parameters are shared as a whole or not at all.
  return range.offset < correction_.size() ? correction_.subspan(range.offset, range.count) : std::span<const float>{};
}

bool Trainer::step_range(ParameterRange range, std::span<const float> gradient, float factor) {
  const auto part = [&](std::span<float> all) { return all.empty() ? all : all.subspan(range.offset, range.count); };
  OptimizerSpans spans;
  spans.gradient = gradient;
  spans.global = global_of(range);
  spans.correction = correction_of(range);
  spans.first = part(first_);
  spans.second = part(second_);
  spans.parameters = part(parameters_);
  return optimizer_step(training_, moves_, factor, spans);
}

std::span<const float> Trainer::parameters() {
  RUNNEL_ASSERT(state_ != State::kUpdateTaken);
  network_.apply_deferred_steps(parameters_);
  return parameters_;
}

std::span<const float> Trainer::local_parameters() const {
  return parameters_.subspan(shared_count_, trained_count_ - shared_count_);
}

std::span<const float> Trainer::update() {
  RUNNEL_ASSERT(state_ == State::kDone || state_ == State::kUpdateTaken);
  const std::span<float> shared = parameters_.first(shared_count_);
  if (state_ == State::kDone) {
    for (size_t index = 0; index < shared.size(); ++index) shared[index] -= global_[index];
  }
  state_ = State::kUpdateTaken;
  return shared;
}

uint32_t Trainer::sample_count() const {
  return static_cast<uint32_t>(std::min<uint64_t>(example_count_, uint64_t{steps_done_} * training_.batch_size));
}

float Trainer::mean_loss() const {
  return loss_examples_ == 0 ? 0.0F : static_cast<float>(loss_sum_ / static_cast<double>(loss_examples_));
}

}  // namespace runnel::train
