#include "bench/real_updates.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "coordinator/config/model_file.h"
#include "runtime/base/arena.h"
#include "runtime/base/rng.h"
#include "runtime/data/data_spec.h"
#include "runtime/host/dataset_file.h"
#include "runtime/train/initialize.h"
#include "runtime/train/memory_plan.h"
#include "runtime/train/trainer.h"

namespace runnel::bench {
namespace {

constexpr uint64_t kSeed = 7;
constexpr uint32_t kParts = 20;   // devices that the data is dealt to
constexpr uint32_t kDevices = 4;  // of them that train
constexpr uint32_t kRounds = 20;
constexpr uint32_t kBatch = 32;

[[noreturn]] void stop(const Failure& failure) {
  throw std::runtime_error(failure.text());
}

template <typename T>
T valued(Result<T> result) {
  if (!result) stop(result.failure());
  return std::move(result).value();
}

void done(const Failure& failure) {
  if (!failure.ok()) stop(failure);
}

// The folder that holds the files, or an empty path.
std::filesystem::path image_folder(const std::filesystem::path& folder) {
  if (folder.empty()) return {};
  for (const std::filesystem::path& candidate : {folder, folder / "fashion-mnist"}) {
    if (std::filesystem::exists(candidate / "train-images-idx3-ubyte.gz")) return candidate;
  }
  return {};
}

struct Task {
  std::string prefix;
  plan::ModelSpec model;
  plan::ModelLayout layout;
  std::vector<data::Dataset> parts;
};

Task make_task(const std::filesystem::path& folder) {
  const std::filesystem::path images = image_folder(folder);
  const bool real = !images.empty();
  const std::string text = real ? "idx:" + (images / "train-images-idx3-ubyte.gz").string() + "," +
                                      (images / "train-labels-idx1-ubyte.gz").string()
                                : "generated";
  const data::DataSpec spec = valued(data::parse_data_spec(text, "dirichlet:0.3", "", ""));
  Task task;
  task.prefix = real ? "cnn_" : "generated_";
  const auto* model = coordinator::find_builtin_model(real ? "fashion-cnn" : "sensor-cnn");
  task.model = valued(coordinator::parse_model_file(std::string(model->toml)));
  task.layout = valued(plan::make_layout(task.model));
  for (uint32_t device = 0; device < kDevices; ++device) {
    task.parts.push_back(valued(host::load_training_part(spec, device, kParts, kSeed)));
  }
  return task;
}

// One device's part in one round. `count` is the weight of its update.
std::vector<float> train(const Task& task, const plan::TrainingSpec& training, std::span<const float> global,
                         uint32_t device, uint64_t seed, uint32_t& count) {
  const train::MemoryPlan memory = valued(train::training_memory(task.model, training));
  std::vector<uint8_t> block(memory.total_bytes + Arena::kAlignment);
  Arena arena(block);
  train::Trainer trainer = valued(train::Trainer::create(task.model, training, arena));
  done(trainer.start(global, task.parts[device], seed));
  while (valued(trainer.step()) != train::Progress::kDone) {
  }
  count = trainer.sample_count();
  const std::span<const float> update = trainer.update();
  return {update.begin(), update.end()};
}

}  // namespace

std::vector<NamedValues> real_updates(const std::filesystem::path& folder) {
  const Task task = make_task(folder);
  std::vector<float> global(task.layout.parameter_count);
  train::initialize_parameters(task.layout, kSeed, global);
  plan::TrainingSpec training;
  training.batch_size = kBatch;
  std::vector<NamedValues> kept;
  uint32_t count = 0;
  for (uint32_t round = 1; round <= kRounds; ++round) {
    if (round == 2) {
      // One step of length 1 without momentum moves the model by the gradient itself.
      plan::TrainingSpec one_step;
      one_step.learning_rate = 1.0F;
      one_step.momentum = 0.0F;
      one_step.batch_size = kBatch;
      one_step.local_steps = 1;
      kept.insert(kept.begin(), {task.prefix + "gradient", train(task, one_step, global, 0, kSeed, count)});
    }
    std::vector<double> sum(global.size());
    double weight = 0.0;
    for (uint32_t device = 0; device < kDevices; ++device) {
      std::vector<float> update = train(task, training, global, device, derive_key(kSeed, round, device), count);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += double{update[i]} * count;
      weight += count;
      if (device == 0 && (round == 1 || round == 5 || round == kRounds)) {
        kept.push_back({task.prefix + "update_r" + std::to_string(round), std::move(update)});
      }
    }
    for (size_t i = 0; i < sum.size(); ++i) global[i] += static_cast<float>(sum[i] / weight);
  }
  return kept;
}

}  // namespace runnel::bench
