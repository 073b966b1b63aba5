// How good a model's outputs are, over all batches of an evaluation: whatever fits the model's task (plan/metric.h).
//
// Memory: taken by the constructor and by start(), nothing while batches are added. A confusion matrix is kept for up
// to kConfusionClassesMax classes; the exact AUC needs 8 bytes an example. Threads: one at a time. Time: O(outputs) a
// batch; scores() sorts an anomaly detector's examples. Determinism: sums in double, in the order of the examples.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/plan/metric.h"
#include "runtime/plan/model_spec.h"

namespace runnel::train {

class Metrics {
 public:
  static constexpr uint32_t kConfusionClassesMax = 256;

  // Of one class (or of "yes"): what was found among what is there, and what is there among what was found.
  struct ClassScores {
    uint64_t examples = 0;
    double precision = 0.0;  // 0 where nothing was taken for this class
    double recall = 0.0;     // 0 where there is no example of it
  };

  // REQUIRES: the layout is the spec's.
  Metrics(const plan::ModelSpec& spec, const plan::ModelLayout& layout);

  // Forgets everything. `examples` is how many will be added at most.
  void start(uint32_t examples);

  // The next batch. `outputs` is [examples][channels][positions], `targets` what the loss compares them with: labels
  // [examples][positions], or as many numbers as outputs. `labels` is of anomaly detection only: one number an example,
  // other than 0 where it is unusual; empty where that is not known. `loss_sum`: of the examples' losses.
  void add(std::span<const float> outputs, std::span<const float> targets, std::span<const float> labels,
           double loss_sum);

  // Adds what others counted over examples of their own, for the same model. AUC: only where start() gave room.
  void merge(const Metrics& other);

  plan::Task task() const { return task_; }
  uint32_t examples() const { return examples_; }

  // The number that the task is judged by. An AUC needs examples of both kinds; without them it is NaN.
  plan::Scores scores();

  // Any number of this evaluation; NaN for one that the task does not have.
  double value(plan::Metric metric);

  // [true class][found class]; empty where there are no classes or too many.
  uint32_t confusion_classes() const { return confusion_classes_; }
  std::span<const uint64_t> confusion() const { return confusion_; }
  ClassScores class_scores(uint32_t of) const;  // REQUIRES: of < confusion_classes()

 private:
  struct Scored {
    float score = 0.0F;
    bool unusual = false;
  };
  struct Spread {  // mean and sum of squared distances from it, as numbers come by (Chan, Golub and LeVeque 1983)
    double mean = 0.0;
    double squares = 0.0;
  };

  void add_labels(std::span<const float> outputs, std::span<const float> targets);
  void add_answers(std::span<const float> outputs, std::span<const float> targets);
  void add_numbers(std::span<const float> outputs, std::span<const float> targets);
  void add_reproduced(std::span<const float> outputs, std::span<const float> targets, std::span<const float> labels);
  void count(uint32_t truth, uint32_t found);
  double area_under_curve();

  plan::Task task_;
  uint32_t channels_;
  uint32_t positions_;
  uint32_t confusion_classes_ = 0;
  std::vector<uint64_t> confusion_;
  std::vector<Spread> spreads_;  // of each output's targets: regression
  std::vector<Scored> scored_;   // anomaly detection
  uint32_t examples_ = 0;
  uint64_t answers_ = 0;  // labels, or numbers, compared
  uint64_t correct_ = 0;
  double loss_sum_ = 0.0;
  double squared_error_ = 0.0;
  double absolute_error_ = 0.0;
};

}  // namespace runnel::train
