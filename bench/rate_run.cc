#include "bench/rate_run.h"

#include <ctime>
#include <numeric>
#include <stdexcept>

#include "coordinator/engine/coordinator_engine.h"
#include "fleet/simulator/simulation.h"
#include "runtime/base/arena.h"
#include "runtime/journal/journal.h"
#include "runtime/train/evaluator.h"

namespace runnel::bench {
namespace {

constexpr uint32_t kTestBatch = 100;
constexpr int64_t kDays = 60;

// Accuracy of one model after another on the same examples.
class AccuracyOf {
 public:
  AccuracyOf(const plan::ModelSpec& model, const data::ExampleSource& examples) : examples_(examples) {
    const Result<train::MemoryPlan> memory = train::evaluation_memory(model, kTestBatch);
    if (!memory) throw std::runtime_error(memory.failure().text());
    block_.resize(memory->total_bytes + Arena::kAlignment);
    Arena arena(block_);
    Result<train::Evaluator> evaluator = train::Evaluator::create(model, kTestBatch, arena);
    if (!evaluator) throw std::runtime_error(evaluator.failure().text());
    evaluator_.emplace(std::move(evaluator).value());
  }

  // 0 for a model that has run away.
  double measure(std::span<const float> parameters) {
    if (!evaluator_->start(parameters, examples_).ok()) return 0.0;
    for (;;) {
      const Result<train::Progress> progress = evaluator_->step();
      if (!progress) return 0.0;
      if (*progress == train::Progress::kDone) return evaluator_->metrics().accuracy();
    }
  }

 private:
  const data::ExampleSource& examples_;
  std::vector<uint8_t> block_;
  std::optional<train::Evaluator> evaluator_;
};

double thread_cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double mean(const std::vector<uint64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), 0.0) / static_cast<double>(counts.size());
}

RatePoint point_of(const fleet::SimulatedRound& round, double accuracy) {
  RatePoint point;
  point.round = round.round;
  point.seconds = static_cast<double>(round.closed_at.count()) / 1e6;
  point.uplink_bytes = mean(round.uplink_bytes);
  point.downlink_bytes = mean(round.downlink_bytes);
  point.accuracy = accuracy;
  point.mean_loss = round.mean_loss;
  point.bits_per_coordinate = round.bits_per_coordinate;
  point.counted = round.counted;
  point.missed = static_cast<uint32_t>(round.missed.size());
  point.absent = round.absent;
  return point;
}

}  // namespace

RateRun run_setting(const RateSetting& setting, const RateTask& task, uint64_t seed, const RunOptions& options) {
  RateRun run;
  run.setting = setting.name;
  run.kind = setting.kind;
  run.seed = seed;
  const auto devices = static_cast<uint32_t>(task.parts.size());
  const uint32_t parameters = task.layout.parameter_count;
  fleet::SimulationOptions simulation;
  simulation.seed = seed;
  simulation.plan = plan_of(setting, options.base, parameters);
  simulation.plan.seed = seed;
  simulation.plan.min_devices = devices - devices / 4;
  simulation.model = task.model;
  for (const auto& part : task.parts) simulation.examples.push_back(part.get());
  for (const fleet::RateTrace& link : task.links) simulation.links.push_back(&link);
  simulation.give_up_after = seconds(kDays * 24 * 3600);
  // An update and two residuals, all of them exact, with room to spare.
  simulation.flash_bytes = journal::storage_bytes_for(uint64_t{4} * 4 * parameters + (1U << 16), 8);
  const coordinator::CoordinatorOptions product;
  simulation.chunk_bytes = product.chunk_bytes;
  simulation.window_bytes = product.window_bytes;
  simulation.model_chunk_bytes = product.model_chunk_bytes;
  simulation.training_seconds_per_step = options.training_seconds_per_step;
  simulation.check_model = false;
  AccuracyOf accuracy(task.model, *task.test);
  simulation.on_round = [&](const fleet::SimulatedRound& round, std::span<const float> model) {
    run.points.push_back(point_of(round, accuracy.measure(model)));
  };
  const double began = thread_cpu_seconds();
  const fleet::SimulationReport report = fleet::simulate(simulation);
  run.cpu_seconds = thread_cpu_seconds() - began;
  run.cuts = report.cuts;
  if (!report.violations.empty()) run.failure = report.violations.front();
  return run;
}

}  // namespace runnel::bench
