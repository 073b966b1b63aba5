#include "runtime/plan/metric.h"

namespace runnel::plan {

Task task_of(const ModelSpec& spec, const ModelLayout& layout) {
  if (spec.loss.target == TargetKind::kInput) return Task::kAnomaly;
  if (spec.loss.kind == LossKind::kSoftmaxCrossEntropy) {
    return layout.target_count > 1 ? Task::kText : Task::kClassification;
  }
  return spec.loss.kind == LossKind::kBinaryCrossEntropy ? Task::kYesNo : Task::kRegression;
}

Metric main_metric(Task task) {
  switch (task) {
    case Task::kClassification:
    case Task::kYesNo:
      return Metric::kAccuracy;
    case Task::kText:
      return Metric::kPerplexity;
    case Task::kRegression:
      return Metric::kRmse;
    case Task::kAnomaly:
      return Metric::kAuc;
  }
  return Metric::kNone;
}

const char* metric_name(Metric metric) {
  switch (metric) {
    case Metric::kNone:
      return "none";
    case Metric::kAccuracy:
      return "accuracy";
    case Metric::kPerplexity:
      return "perplexity";
    case Metric::kRmse:
      return "rmse";
    case Metric::kMae:
      return "mae";
    case Metric::kR2:
      return "r2";
    case Metric::kAuc:
      return "auc";
  }
  return "none";
}

bool larger_is_better(Metric metric) {
  return metric == Metric::kAccuracy || metric == Metric::kR2 || metric == Metric::kAuc;
}

}  // namespace runnel::plan
