#include "bench/rate_task.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "bench/rate_links.h"
#include "coordinator/config/model_file.h"
#include "runtime/base/rng.h"
#include "runtime/data/data_spec.h"
#include "runtime/data/partition.h"
#include "runtime/host/dataset_file.h"

namespace runnel::bench {
namespace {

constexpr uint32_t kFashionDevices = 32;
constexpr uint32_t kHarPeople = 21;
constexpr uint32_t kGeneratedDevices = 16;
constexpr uint64_t kThinPart = 1;
constexpr uint64_t kTestPart = 2;
constexpr uint64_t kLinksPart = 3;

template <typename T>
T valued(Result<T> result) {
  if (!result) throw std::runtime_error(result.failure().text());
  return std::move(result).value();
}

std::vector<uint32_t> shuffled(std::vector<uint32_t> rows, uint64_t seed) {
  Rng rng(seed);
  for (size_t i = rows.size(); i > 1; --i) std::swap(rows[i - 1], rows[rng.below(i)]);
  return rows;
}

std::vector<uint32_t> all_rows(const data::Dataset& dataset) {
  std::vector<uint32_t> rows(dataset.example_count());
  for (uint32_t i = 0; i < rows.size(); ++i) rows[i] = i;
  return rows;
}

std::shared_ptr<const data::Dataset> shared(data::Dataset dataset) {
  return std::make_shared<const data::Dataset>(std::move(dataset));
}

// A sample that is the same for every seed and setting.
std::unique_ptr<data::ExampleSource> sample(data::Dataset dataset, uint32_t count) {
  std::vector<uint32_t> rows = shuffled(all_rows(dataset), kTestPart);
  rows.resize(std::min<size_t>(rows.size(), count));
  std::sort(rows.begin(), rows.end());
  return std::make_unique<data::RowsOf>(shared(std::move(dataset)), std::move(rows));
}

void set_model(RateTask& task, const char* name) {
  const coordinator::BuiltinModel* model = coordinator::find_builtin_model(name);
  if (model == nullptr) throw std::runtime_error(std::string("no model is called ") + name);
  task.model = valued(coordinator::parse_model_file(std::string(model->toml)));
  task.layout = valued(plan::make_layout(task.model));
}

void make_fashion(const TaskOptions& options, RateTask& task) {
  const std::filesystem::path folder = options.data / "fashion-mnist";
  const auto file = [&](const char* name) { return (folder / name).string(); };
  const std::string text = "idx:" + file("train-images-idx3-ubyte.gz") + "," + file("train-labels-idx1-ubyte.gz") +
                           "," + file("t10k-images-idx3-ubyte.gz") + "," + file("t10k-labels-idx1-ubyte.gz");
  const data::DataSpec spec = valued(data::parse_data_spec(text, "iid", "", ""));
  const auto all = shared(valued(host::load_training_part(spec, 0, 1, 0)));
  std::vector<uint16_t> labels;
  for (uint32_t i = 0; i < all->example_count(); ++i) labels.push_back(static_cast<uint16_t>(all->label(i)));
  data::PartitionSpec split;
  split.kind = data::PartitionKind::kDirichlet;
  split.alpha = 0.3;
  const data::Partition partition = valued(data::Partition::by_labels(split, labels, kFashionDevices, options.seed));
  for (uint32_t device = 0; device < kFashionDevices; ++device) {
    std::vector<uint32_t> rows = shuffled(partition.rows_of(device), derive_key(options.seed, kThinPart, device));
    const auto kept = static_cast<size_t>(std::ceil(options.train_share * static_cast<double>(rows.size())));
    rows.resize(std::max<size_t>(1, std::min(rows.size(), kept)));
    std::sort(rows.begin(), rows.end());
    task.parts.push_back(std::make_unique<data::RowsOf>(all, std::move(rows)));
  }
  task.test = sample(valued(host::load_test_set(spec)), options.test_examples);
  set_model(task, "fashion-cnn");
}

void make_har(const TaskOptions& options, RateTask& task) {
  const std::filesystem::path folder = options.data / "har";
  const auto file = [&](const char* name) { return (folder / name).string(); };
  const data::DataSpec spec =
      valued(data::parse_data_spec("idx:" + file("har-signals.idx3-i16.gz") + "," + file("har-labels.idx1-u8.gz"),
                                   "key:" + file("har-subjects.idx1-u8.gz"), file("har-split.idx1-u8.gz"), "1/1024"));
  for (uint32_t person = 0; person < kHarPeople; ++person) {
    task.parts.push_back(
        std::make_unique<data::Dataset>(valued(host::load_training_part(spec, person, kHarPeople, options.seed))));
  }
  task.test = sample(valued(host::load_test_set(spec)), options.test_examples);
  set_model(task, "har-cnn");
}

void make_generated(const TaskOptions& options, RateTask& task) {
  data::GeneratedSpec spec;
  spec.test_examples = options.test_examples;
  data::PartitionSpec labels;
  labels.kind = data::PartitionKind::kDirichlet;
  labels.alpha = 0.3;
  for (uint32_t device = 0; device < kGeneratedDevices; ++device) {
    task.parts.push_back(
        std::make_unique<data::Dataset>(data::generate_training_part(spec, labels, 1.0F, device, options.seed)));
  }
  task.test = std::make_unique<data::Dataset>(data::generate_test_set(spec, 1.0F));
  set_model(task, "sensor-cnn");
}

}  // namespace

std::shared_ptr<const RateTask> make_task(const TaskOptions& options) {
  auto task = std::make_shared<RateTask>();
  if (options.name == "fashion") {
    make_fashion(options, *task);
  } else if (options.name == "har") {
    make_har(options, *task);
  } else if (options.name == "generated") {
    make_generated(options, *task);
  } else {
    throw std::runtime_error("no task is called '" + options.name + "'; there are fashion, har and generated");
  }
  const std::filesystem::path traces = options.data.empty() ? options.data : options.data / "traces";
  task->links = make_links(traces, task->parts.size(), derive_key(options.seed, kLinksPart));
  return task;
}

}  // namespace runnel::bench
