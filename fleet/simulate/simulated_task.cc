#include "fleet/simulate/simulated_task.h"

#include <cmath>

#include "runtime/base/arena.h"
#include "runtime/data/rows_of.h"
#include "runtime/host/dataset_file.h"

namespace runnel::fleet {
namespace {

constexpr uint32_t kEvaluationBatch = 32;

}  // namespace

Result<std::unique_ptr<SimulatedTask>> SimulatedTask::create(const data::DataSpec& spec, const plan::ModelSpec& model,
                                                             uint32_t devices, uint64_t seed) {
  std::unique_ptr<SimulatedTask> task(new SimulatedTask(spec, seed));
  if (spec.kind != data::DataKind::kGenerated) {
    const data::PartitionKind kind = spec.partition.kind;
    if (kind == data::PartitionKind::kKey || kind == data::PartitionKind::kSpeaker) {
      // Each device's own file part, as the real device reads it; there are as many as keys or speakers, which is few.
      for (uint32_t device = 0; device < devices; ++device) {
        Result<data::Dataset> part = host::load_training_part(spec, device, devices, seed);
        if (!part) return part.failure();
        task->parts_.push_back(std::make_shared<const data::Dataset>(std::move(part).value()));
      }
    } else {
      data::DataSpec whole = spec;
      whole.partition = {};  // iid
      Result<data::Dataset> all = host::load_training_part(whole, 0, 1, seed);
      if (!all) return all.failure();
      std::vector<uint16_t> labels;
      const bool labelled = all->class_count() > 0 && all->target_count() == 1;
      for (uint32_t i = 0; i < all->example_count(); ++i)
        labels.push_back(labelled ? static_cast<uint16_t>(all->label(i)) : uint16_t{0});
      Result<data::Partition> partition = data::Partition::by_labels(spec.partition, labels, devices, seed);
      if (!partition) return partition.failure();
      task->all_ = std::make_shared<const data::Dataset>(std::move(all).value());
      task->partition_ = std::move(partition).value();
    }
  }
  Result<data::Dataset> test = host::load_test_set(spec);
  if (!test && test.error() != Error::kNotFound) return test.failure();
  if (!test) return task;
  task->test_ = std::move(test).value();
  const Result<train::MemoryPlan> memory = train::evaluation_memory(model, kEvaluationBatch);
  if (!memory) return memory.failure();
  task->memory_.resize(memory->total_bytes + Arena::kAlignment);
  Arena arena(task->memory_);
  Result<train::Evaluator> evaluator = train::Evaluator::create(model, kEvaluationBatch, arena);
  if (!evaluator) return evaluator.failure();
  const Result<plan::ModelLayout> layout = plan::make_layout(model);
  if (!layout) return layout.failure();
  task->evaluator_ = std::move(evaluator).value();
  task->metrics_.emplace(model, *layout);
  return task;
}

std::shared_ptr<const data::ExampleSource> SimulatedTask::examples_of(uint32_t device) const {
  if (!parts_.empty()) return parts_[device];
  if (partition_.has_value()) return std::make_shared<data::RowsOf>(all_, partition_->rows_of(device));
  data::Dataset part = data::generate_training_part(spec_.generated, spec_.partition,
                                                    spec_.effective_scale(data::ElementType::kI16), device, seed_);
  if (!spec_.normal.empty()) part = part.marked(spec_.normal, true);
  return std::make_shared<data::Dataset>(std::move(part));
}

std::optional<SimulatedTask::Quality> SimulatedTask::quality(std::span<const float> model) {
  if (!test_.has_value() || !evaluator_->start(model, *test_).ok()) return std::nullopt;
  metrics_->start(test_->example_count());
  for (;;) {
    const Result<train::Progress> progress = evaluator_->step();
    if (!progress) return std::nullopt;
    const train::Evaluator::Batch& batch = evaluator_->last_batch();
    metrics_->add(batch.outputs, batch.targets, batch.labels, batch.loss_sum);
    if (*progress == train::Progress::kRunning) continue;
    const plan::Scores scores = metrics_->scores();
    if (!std::isfinite(scores.value)) return std::nullopt;
    return Quality{scores.metric, scores.value, scores.loss};
  }
}

}  // namespace runnel::fleet
