#include "coordinator/evaluation.h"

#include <cmath>
#include <cstdio>

#include "runtime/base/arena.h"
#include "runtime/train/read_example.h"

namespace runnel::coordinator {
namespace {

constexpr uint32_t kBatchExamples = 32;

void append_number(std::string& json, const char* name, double value) {
  if (!std::isfinite(value)) return;
  char text[64];
  std::snprintf(text, sizeof text, "%s\"%s\":%.9g", json.size() > 1 ? "," : "", name, value);
  json += text;
}

// {"accuracy":0.9,"confusion":[[50,1],[2,47]]}: rows are true classes.
std::string details_of(train::Metrics& metrics) {
  std::string json = "{";
  for (uint8_t metric = 1; metric <= plan::kMetricLast; ++metric) {
    const auto each = static_cast<plan::Metric>(metric);
    append_number(json, plan::metric_name(each), metrics.value(each));
  }
  const uint32_t classes = metrics.confusion_classes();
  if (classes > 0) json += json.size() > 1 ? ",\"confusion\":[" : "\"confusion\":[";
  for (uint32_t truth = 0; truth < classes; ++truth) {
    json += truth == 0 ? "[" : ",[";
    for (uint32_t found = 0; found < classes; ++found) {
      if (found > 0) json += ',';
      json += std::to_string(metrics.confusion()[truth * classes + found]);
    }
    json += ']';
  }
  return json + (classes > 0 ? "]}" : "}");
}

}  // namespace

Result<std::unique_ptr<HeldOutEvaluation>> HeldOutEvaluation::create(const plan::ModelSpec& spec,
                                                                     const data::Dataset& examples) {
  const Result<plan::ModelLayout> layout = plan::make_layout(spec);
  if (!layout) return layout.failure();
  RUNNEL_TRY(train::check_source(examples, spec.loss, spec.input.count(), spec.classes, layout->target_count));
  const Result<train::MemoryPlan> memory = train::evaluation_memory(spec, kBatchExamples);
  if (!memory) return memory.failure();
  std::unique_ptr<HeldOutEvaluation> evaluation(new HeldOutEvaluation(spec, *layout, examples));
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
    metrics_.start(examples_.example_count());
    started_ = true;
  }
  const Result<train::Progress> progress = evaluator_->step();
  if (progress.ok()) {
    const train::Evaluator::Batch& batch = evaluator_->last_batch();
    metrics_.add(batch.outputs, batch.targets, batch.labels, batch.loss_sum);
  }
  if (progress.ok() && *progress == train::Progress::kRunning) return std::optional<Evaluation>();
  started_ = false;
  if (!progress) {
    waiting_.pop_front();
    return progress.failure();
  }
  std::optional<Evaluation> evaluation(result());
  waiting_.pop_front();
  return evaluation;
}

Evaluation HeldOutEvaluation::result() {
  const plan::Scores scores = metrics_.scores();
  Evaluation evaluation;
  evaluation.model_version = waiting_.front().model.version;
  evaluation.round = waiting_.front().round;
  evaluation.examples = scores.examples;
  evaluation.accuracy = metrics_.value(plan::Metric::kAccuracy);
  evaluation.loss = scores.loss;
  evaluation.metric = static_cast<uint8_t>(scores.metric);
  evaluation.value = scores.value;
  evaluation.details = details_of(metrics_);
  return evaluation;
}

}  // namespace runnel::coordinator
