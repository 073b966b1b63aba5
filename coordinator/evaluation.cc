#include "coordinator/evaluation.h"

#include "runtime/base/arena.h"

namespace runnel::coordinator {
namespace {

constexpr uint32_t kBatchExamples = 32;

}  // namespace

Result<std::unique_ptr<HeldOutEvaluation>> HeldOutEvaluation::create(const plan::ModelSpec& spec,
                                                                     const data::Dataset& examples) {
  const Result<train::MemoryPlan> memory = train::evaluation_memory(spec, kBatchExamples);
  if (!memory) return memory.failure();
  std::unique_ptr<HeldOutEvaluation> evaluation(new HeldOutEvaluation(spec, examples));
  evaluation->block_.resize(memory->total_bytes + Arena::kAlignment);
  Arena arena(evaluation->block_);
  Result<train::Evaluator> evaluator = train::Evaluator::create(spec, kBatchExamples, arena);
  if (!evaluator) return evaluator.failure();
  evaluation->evaluator_.emplace(std::move(evaluator).value());
  return evaluation;
}

void HeldOutEvaluation::add(uint32_t round, const ModelRecord& model) {
  waiting_.push_back({round, model});
}

Result<std::optional<Evaluation>> HeldOutEvaluation::step() {
  if (waiting_.empty()) return std::optional<Evaluation>();
  const Waiting& first = waiting_.front();
  if (!started_) {
    if (Failure bad = evaluator_->start(first.model.parameters, examples_); !bad.ok()) {
      waiting_.pop_front();
      return bad;
    }
    started_ = true;
  }
  const Result<train::Progress> progress = evaluator_->step();
  if (progress.ok() && *progress == train::Progress::kRunning) return std::optional<Evaluation>();
  started_ = false;
  if (!progress) {
    waiting_.pop_front();
    return progress.failure();
  }
  const train::Evaluator::Metrics metrics = evaluator_->metrics();
  std::optional<Evaluation> result(
      Evaluation{first.model.version, first.round, metrics.examples, metrics.accuracy(), metrics.loss});
  waiting_.pop_front();
  return result;
}

}  // namespace runnel::coordinator
