#include "device/own_evaluation.h"

#include <cmath>

#include "runtime/base/arena.h"

namespace runnel::device {

Result<size_t> OwnEvaluation::bytes_for(const plan::ModelSpec& spec) {
  const Result<train::MemoryPlan> memory = train::evaluation_memory(spec, kBatchExamples);
  if (!memory) return memory.failure();
  return memory->total_bytes + Arena::kAlignment;
}

Result<OwnEvaluation> OwnEvaluation::create(const plan::ModelSpec& spec, const data::ExampleSource& examples) {
  const Result<plan::ModelLayout> layout = plan::make_layout(spec);
  if (!layout) return layout.failure();
  const Result<size_t> bytes = bytes_for(spec);
  if (!bytes) return bytes.failure();
  std::vector<uint8_t> block(*bytes);
  Arena arena(block);
  Result<train::Evaluator> evaluator = train::Evaluator::create(spec, kBatchExamples, arena);
  if (!evaluator) return evaluator.failure();
  return OwnEvaluation(examples, std::move(block), std::move(evaluator).value(), train::Metrics(spec, *layout));
}

Failure OwnEvaluation::start(std::span<const float> parameters) {
  RUNNEL_TRY(evaluator_.start(parameters, *examples_));
  metrics_.start(examples_->example_count());
  return Error::kOk;
}

Result<bool> OwnEvaluation::step() {
  const Result<train::Progress> progress = evaluator_.step();
  if (!progress) return progress.failure();
  const train::Evaluator::Batch& batch = evaluator_.last_batch();
  metrics_.add(batch.outputs, batch.targets, batch.labels, batch.loss_sum);
  return *progress != train::Progress::kRunning;
}

plan::Scores OwnEvaluation::scores() {
  plan::Scores scores = metrics_.scores();
  if (metrics_.task() == plan::Task::kAnomaly && !std::isfinite(scores.value)) {
    scores.metric = plan::Metric::kRmse;
    scores.value = metrics_.value(plan::Metric::kRmse);
  }
  return scores;
}

}  // namespace runnel::device
