#include "runtime/train/evaluator.h"

#include <algorithm>
#include <cmath>

#include "runtime/tensor/reduce.h"
#include "runtime/train/loss.h"
#include "runtime/train/read_example.h"

namespace runnel::train {

Result<Evaluator> Evaluator::create(const plan::ModelSpec& spec, uint32_t batch_size, Arena& arena) {
  const Result<EvaluationBlocks> blocks = lay_out_evaluation(spec, batch_size);
  if (!blocks) return blocks.failure();
  const Result<MutableByteView> block = take_block(blocks->memory, arena);
  if (!block) return Failure(block.failure()).prefix("evaluator: ");
  return Evaluator(batch_size, *blocks, *block);
}

Evaluator::Evaluator(uint32_t batch_size, const EvaluationBlocks& blocks, MutableByteView block)
    : batch_size_(batch_size), network_(blocks.network), labels_(blocks.labels.in(block)) {
  network_.bind(block);
}

Failure Evaluator::start(std::span<const float> parameters, const data::ExampleSource& source) {
  RUNNEL_TRY(check_source(source, network_.input_count(), network_.classes()));
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
  for (uint32_t index = 0; index < examples; ++index) {
    const Result<uint32_t> label = read_example(*source_, position_ + index, network_.classes(), network_.input(index));
    if (!label) return label.failure();
    labels_[index] = *label;
  }
  network_.forward(parameters_, examples);
  const BatchLoss loss =
      softmax_cross_entropy(network_.logits(examples), labels_.first(examples), network_.classes(), {});
  if (!std::isfinite(loss.sum))
    return fail(Error::kNotFinite, "examples %u..%u: the loss is not finite", position_, position_ + examples - 1);
  loss_sum_ += loss.sum;
  correct_ += loss.correct;
  return Error::kOk;
}

Evaluator::Metrics Evaluator::metrics() const {
  return {position_, correct_, position_ == 0 ? 0.0 : loss_sum_ / position_};
}

}  // namespace runnel::train
