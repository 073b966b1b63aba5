#include "runtime/train/evaluator.h"

#include <algorithm>
#include <cmath>

#include "runtime/tensor/reduce.h"
#include "runtime/train/loss.h"
#include "runtime/train/read_example.h"

namespace runnel::train {

Result<Evaluator> Evaluator::create(const plan::ModelSpec& spec, uint32_t batch_size, Arena& arena) {
  const Result<plan::ModelLayout> layout = plan::make_layout(spec);
  if (!layout) return layout.failure();
  Network network;
  const Result<EvaluationBlocks> blocks = lay_out_evaluation(spec, *layout, batch_size, network);
  if (!blocks) return blocks.failure();
  const Result<MutableByteView> block = take_block(blocks->memory, arena);
  if (!block) return Failure(block.failure()).prefix("evaluator");
  return Evaluator(spec, *layout, batch_size, network, *blocks, *block);
}

Evaluator::Evaluator(const plan::ModelSpec& spec, const plan::ModelLayout& layout, uint32_t batch_size,
                     const Network& network, const EvaluationBlocks& blocks, MutableByteView block)
    : batch_size_(batch_size),
      loss_(spec.loss),
      channels_(spec.classes),
      positions_(layout.outputs.back().height * layout.outputs.back().width),
      target_count_(layout.target_count),
      network_(network),
      targets_(blocks.targets.in(block)) {
  network_.bind(block);
}

Failure Evaluator::start(std::span<const float> parameters, const data::ExampleSource& source) {
  RUNNEL_TRY(check_source(source, loss_, network_.input_count(), channels_, target_count_));
  if (parameters.size() != network_.parameter_count()) {
    return fail(Error::kShape, "%zu parameters were given for a model of %u", parameters.size(),
                network_.parameter_count());
  }
  if (!tensor::all_finite(parameters)) return fail(Error::kNotFinite, "a parameter is NaN or infinite");
  parameters_ = parameters;
  source_ = &source;
  example_count_ = source.example_count();
  position_ = 0;
  correct_ = 0;
  batch_ = {};
  loss_sum_ = 0.0;
  state_ = State::kRunning;
  return Error::kOk;
}

Result<Progress> Evaluator::step() {
  if (state_ == State::kDone) return Progress::kDone;
  if (state_ != State::kRunning) {
    return fail(Error::kInvalidArgument,
                state_ == State::kIdle ? "no evaluation was started" : "the evaluation has failed; start another");
  }
  const uint32_t examples = std::min(batch_size_, example_count_ - position_);
  if (Failure failure = evaluate_batch(examples); !failure.ok()) {
    state_ = State::kFailed;
    return failure;
  }
  position_ += examples;
  if (position_ < example_count_) return Progress::kRunning;
  state_ = State::kDone;
  return Progress::kDone;
}

Failure Evaluator::evaluate_batch(uint32_t examples) {
  const bool against_input = loss_.target == plan::TargetKind::kInput;
  const size_t width = against_input ? 1 : target_count_;
  // What is compared with its input may still be labelled: for whoever counts how well unusual examples are found.
  const bool reads_target = !against_input || source_->target_count() == 1;
  const std::span<float> targets = reads_target ? targets_.first(examples * width) : std::span<float>{};
  for (uint32_t index = 0; index < examples; ++index) {
    const std::span<float> target = reads_target ? targets.subspan(index * width, width) : targets;
    RUNNEL_TRY(read_example(*source_, position_ + index, loss_, channels_, network_.input(index), target));
  }
  RUNNEL_TRY(network_.check_input(examples));
  network_.forward(parameters_, examples);
  batch_.outputs = network_.outputs(examples);
  batch_.targets = against_input ? network_.inputs(examples) : targets;
  batch_.labels = against_input ? targets : std::span<float>{};
  batch_.examples = examples;
  const BatchLoss loss = batch_loss(loss_, channels_, positions_, batch_.outputs, batch_.targets, {});
  if (!std::isfinite(loss.sum))
    return fail(Error::kNotFinite, "examples %u..%u: the loss is not finite", position_, position_ + examples - 1);
  batch_.loss_sum = loss.sum;
  loss_sum_ += loss.sum;
  correct_ += loss.correct;
  return Error::kOk;
}

Evaluator::Metrics Evaluator::metrics() const {
  const uint64_t labels = loss_.target == plan::TargetKind::kLabels ? uint64_t{position_} * positions_ : 0;
  return {position_, correct_, position_ == 0 ? 0.0 : loss_sum_ / position_, labels};
}

}  // namespace runnel::train
