#include "fleet/simulate/simulated_task.h"

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
    if (spec.partition.kind == data::PartitionKind::kKey)
      return fail(Error::kUnsupported, "--partition key:FILE is for real devices; a simulation deals rows by labels");
    data::DataSpec whole = spec;
    whole.partition = {};
    Result<data::Dataset> all = host::load_training_part(whole, 0, 1, seed);
    if (!all) return all.failure();
    std::vector<uint16_t> labels;
    for (uint32_t i = 0; i < all->example_count(); ++i) labels.push_back(static_cast<uint16_t>(all->label(i)));
    Result<data::Partition> partition = data::Partition::by_labels(spec.partition, labels, devices, seed);
    if (!partition) return partition.failure();
    task->all_ = std::make_shared<const data::Dataset>(std::move(all).value());
    task->partition_ = std::move(partition).value();
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
  task->evaluator_ = std::move(evaluator).value();
  return task;
}

std::shared_ptr<const data::ExampleSource> SimulatedTask::examples_of(uint32_t device) const {
  if (partition_.has_value()) return std::make_shared<data::RowsOf>(all_, partition_->rows_of(device));
  return std::make_shared<data::Dataset>(data::generate_training_part(
      spec_.generated, spec_.partition, spec_.effective_scale(data::ElementType::kI16), device, seed_));
}

std::optional<SimulatedTask::Quality> SimulatedTask::quality(std::span<const float> model) {
  if (!test_.has_value() || !evaluator_->start(model, *test_).ok()) return std::nullopt;
  for (;;) {
    const Result<train::Progress> progress = evaluator_->step();
    if (!progress) return std::nullopt;
    if (*progress == train::Progress::kRunning) continue;
    return Quality{evaluator_->metrics().accuracy(), evaluator_->metrics().loss};
  }
}

}  // namespace runnel::fleet
