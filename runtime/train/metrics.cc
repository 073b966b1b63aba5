#include "runtime/train/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/base/error.h"

namespace runnel::train {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

double share(double part, double whole) {
  return whole > 0.0 ? part / whole : 0.0;
}

}  // namespace

Metrics::Metrics(const plan::ModelSpec& spec, const plan::ModelLayout& layout)
    : task_(plan::task_of(spec, layout)), channels_(spec.classes), positions_(1) {
  const plan::Shape output = layout.outputs[layout.outputs.size() - 1];
  channels_ = output.channels;
  positions_ = output.height * output.width;
  if (task_ == plan::Task::kClassification && channels_ <= kConfusionClassesMax) confusion_classes_ = channels_;
  if (task_ == plan::Task::kYesNo && output.count() == 1) confusion_classes_ = 2;
  confusion_.resize(size_t{confusion_classes_} * confusion_classes_);
  if (task_ == plan::Task::kRegression) spreads_.resize(static_cast<size_t>(output.count()));
}

void Metrics::start(uint32_t examples) {
  std::ranges::fill(confusion_, 0);
  std::ranges::fill(spreads_, Spread{});
  scored_.clear();
  if (task_ == plan::Task::kAnomaly) scored_.reserve(examples);
  examples_ = 0;
  answers_ = 0;
  correct_ = 0;
  loss_sum_ = 0.0;
  squared_error_ = 0.0;
  absolute_error_ = 0.0;
}

void Metrics::add(std::span<const float> outputs, std::span<const float> targets, std::span<const float> labels,
                  double loss_sum) {
  const size_t outputs_each = size_t{channels_} * positions_;
  const bool labelled = task_ == plan::Task::kClassification || task_ == plan::Task::kText;
  const size_t examples = outputs.size() / outputs_each;
  RUNNEL_ASSERT(outputs.size() == examples * outputs_each);
  RUNNEL_ASSERT(targets.size() == (labelled ? examples * positions_ : outputs.size()));
  RUNNEL_ASSERT(labels.empty() || labels.size() == examples);
  loss_sum_ += loss_sum;
  if (labelled) add_labels(outputs, targets);
  if (task_ == plan::Task::kYesNo) add_answers(outputs, targets);
  if (task_ == plan::Task::kRegression) add_numbers(outputs, targets);
  if (task_ == plan::Task::kAnomaly) add_reproduced(outputs, targets, labels);
  examples_ += static_cast<uint32_t>(examples);
}

void Metrics::count(uint32_t truth, uint32_t found) {
  ++answers_;
  correct_ += truth == found ? 1U : 0U;
  if (truth < confusion_classes_ && found < confusion_classes_) ++confusion_[truth * confusion_classes_ + found];
}

void Metrics::add_labels(std::span<const float> outputs, std::span<const float> targets) {
  const size_t outputs_each = size_t{channels_} * positions_;
  for (size_t at = 0; at < targets.size(); ++at) {
    const float* logits = outputs.data() + at / positions_ * outputs_each + at % positions_;
    uint32_t best = 0;
    for (uint32_t channel = 1; channel < channels_; ++channel) {
      if (logits[size_t{channel} * positions_] > logits[size_t{best} * positions_]) best = channel;
    }
    count(static_cast<uint32_t>(targets[at]), best);
  }
}

void Metrics::add_answers(std::span<const float> outputs, std::span<const float> targets) {
  for (size_t i = 0; i < outputs.size(); ++i) count(targets[i] >= 0.5F ? 1 : 0, outputs[i] > 0.0F ? 1 : 0);
}

void Metrics::add_numbers(std::span<const float> outputs, std::span<const float> targets) {
  const size_t outputs_each = size_t{channels_} * positions_;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const double target = targets[i];
    const double error = outputs[i] - target;
    squared_error_ += error * error;
    absolute_error_ += std::abs(error);
    Spread& spread = spreads_[i % outputs_each];
    const double seen = static_cast<double>(examples_ + i / outputs_each) + 1.0;
    const double distance = target - spread.mean;
    spread.mean += distance / seen;
    spread.squares += distance * (target - spread.mean);
  }
  answers_ += outputs.size();
}

void Metrics::add_reproduced(std::span<const float> outputs, std::span<const float> targets,
                             std::span<const float> labels) {
  const size_t outputs_each = size_t{channels_} * positions_;
  for (size_t i = 0; i < outputs.size(); i += outputs_each) {
    double error = 0.0;
    for (size_t k = i; k < i + outputs_each; ++k) {
      const double difference = double{outputs[k]} - targets[k];
      error += difference * difference;
    }
    squared_error_ += error;
    if (!labels.empty() && scored_.size() < scored_.capacity()) {
      scored_.push_back(
          {static_cast<float>(error / static_cast<double>(outputs_each)), labels[i / outputs_each] != 0.0F});
    }
  }
  answers_ += outputs.size();
}

void Metrics::merge(const Metrics& other) {
  RUNNEL_ASSERT(other.task_ == task_ && other.confusion_.size() == confusion_.size() &&
                other.spreads_.size() == spreads_.size());
  for (size_t i = 0; i < confusion_.size(); ++i) confusion_[i] += other.confusion_[i];
  const double own = examples_;
  const double others = other.examples_;
  for (size_t i = 0; i < spreads_.size() && other.examples_ > 0; ++i) {
    const double distance = other.spreads_[i].mean - spreads_[i].mean;
    spreads_[i].mean += distance * others / (own + others);
    spreads_[i].squares += other.spreads_[i].squares + distance * distance * own * others / (own + others);
  }
  for (const Scored& each : other.scored_) {
    if (scored_.size() < scored_.capacity()) scored_.push_back(each);
  }
  examples_ += other.examples_;
  answers_ += other.answers_;
  correct_ += other.correct_;
  loss_sum_ += other.loss_sum_;
  squared_error_ += other.squared_error_;
  absolute_error_ += other.absolute_error_;
}

plan::Scores Metrics::scores() {
  const plan::Metric metric = plan::main_metric(task_);
  return {metric, examples_, share(loss_sum_, examples_), value(metric)};
}

double Metrics::value(plan::Metric metric) {
  const bool counted =
      task_ == plan::Task::kClassification || task_ == plan::Task::kText || task_ == plan::Task::kYesNo;
  const auto answers = static_cast<double>(answers_);
  switch (metric) {
    case plan::Metric::kNone:
      return kUnknown;
    case plan::Metric::kAccuracy:
      return counted ? share(static_cast<double>(correct_), answers) : kUnknown;
    case plan::Metric::kPerplexity:
      return task_ == plan::Task::kText ? std::exp(share(loss_sum_, examples_)) : kUnknown;
    case plan::Metric::kRmse:
      return counted ? kUnknown : std::sqrt(share(squared_error_, answers));
    case plan::Metric::kMae:
      return task_ == plan::Task::kRegression ? share(absolute_error_, answers) : kUnknown;
    case plan::Metric::kR2: {
      double squares = 0.0;
      for (const Spread& spread : spreads_) squares += spread.squares;
      return squares > 0.0 ? 1.0 - squared_error_ / squares : kUnknown;
    }
    case plan::Metric::kAuc:
      return task_ == plan::Task::kAnomaly ? area_under_curve() : kUnknown;
  }
  return kUnknown;
}

// Mann and Whitney 1947: from the ranks of the unusual ones; those that are equal share the mean of their ranks.
double Metrics::area_under_curve() {
  std::sort(scored_.begin(), scored_.end(), [](const Scored& a, const Scored& b) { return a.score < b.score; });
  double unusual = 0.0;
  double ranks = 0.0;
  for (size_t begin = 0; begin < scored_.size();) {
    size_t end = begin;
    size_t here = 0;
    for (; end < scored_.size() && scored_[end].score == scored_[begin].score; ++end) here += scored_[end].unusual;
    const double rank = (static_cast<double>(begin) + 1.0 + static_cast<double>(end)) / 2.0;
    ranks += rank * static_cast<double>(here);
    unusual += static_cast<double>(here);
    begin = end;
  }
  const double usual = static_cast<double>(scored_.size()) - unusual;
  if (unusual == 0.0 || usual == 0.0) return kUnknown;
  return (ranks - unusual * (unusual + 1.0) / 2.0) / (unusual * usual);
}

Metrics::ClassScores Metrics::class_scores(uint32_t of) const {
  RUNNEL_ASSERT(of < confusion_classes_);
  uint64_t there = 0;
  uint64_t taken = 0;
  for (uint32_t k = 0; k < confusion_classes_; ++k) {
    there += confusion_[of * confusion_classes_ + k];
    taken += confusion_[k * confusion_classes_ + of];
  }
  const auto right = static_cast<double>(confusion_[of * confusion_classes_ + of]);
  return {there, share(right, static_cast<double>(taken)), share(right, static_cast<double>(there))};
}

}  // namespace runnel::train
