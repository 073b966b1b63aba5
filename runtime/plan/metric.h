// What a model is for, and by which number it is judged. Follows from the model alone, so that every side judges alike.
#pragma once

#include <cstdint>

#include "runtime/plan/model_spec.h"

namespace runnel::plan {

enum class Task : uint8_t {
  kClassification,  // one class an example
  kText,            // one class at each of several positions: the next character
  kYesNo,           // each output is a yes or a no
  kRegression,      // numbers
  kAnomaly,         // the input again; what cannot be reproduced is unusual
};

// Numbers are on the wire and in the coordinator's store: never renumber, only add.
enum class Metric : uint8_t {
  kNone = 0,
  kAccuracy = 1,    // share of labels (or yes and no) that were right
  kPerplexity = 2,  // e^(mean cross-entropy): among so many equally likely characters the model hesitates
  kRmse = 3,        // root of the mean squared error
  kMae = 4,         // mean absolute error
  kR2 = 5,          // 1 - squared error / variance of the targets: 0 is no better than their mean
  kAuc = 6,         // chance that an unusual example scores above a usual one
};
inline constexpr uint8_t kMetricLast = 6;

Task task_of(const ModelSpec& spec, const ModelLayout& layout);
Metric main_metric(Task task);

// "accuracy", "perplexity", "rmse", "mae", "r2", "auc"; "none"; never null.
const char* metric_name(Metric metric);
bool larger_is_better(Metric metric);

// What an evaluation comes to.
struct Scores {
  Metric metric = Metric::kNone;
  uint32_t examples = 0;
  double loss = 0.0;   // mean over the examples
  double value = 0.0;  // of `metric`
};

inline constexpr uint32_t kFineTuneStepsMax = 1000000;

// What a device found on examples that it keeps out of training: of the global model that it was given, of its own
// after training, and of the global model fine-tuned for itself alone. No examples: it keeps none.
struct LocalEvaluation {
  Metric metric = Metric::kNone;
  uint32_t examples = 0;
  float loss_before = 0.0F;
  float value_before = 0.0F;  // of `metric`
  float loss_after = 0.0F;
  float value_after = 0.0F;
  uint32_t tuned_steps = 0;  // of that fine-tuning; 0: there was none
  float loss_tuned = 0.0F;
  float value_tuned = 0.0F;
  friend bool operator==(const LocalEvaluation&, const LocalEvaluation&) = default;
};

}  // namespace runnel::plan
