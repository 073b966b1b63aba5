// What the devices of a large simulation learn from, and how good a model is at it. A device's examples are made, or
// picked from a shared set, when it begins to train, and let go when it is done: those of a hundred thousand devices
// are never in memory together.
//
// Threads: examples_of() from any; quality() one at a time.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/data/data_spec.h"
#include "runtime/data/dataset.h"
#include "runtime/plan/metric.h"
#include "runtime/plan/model_spec.h"
#include "runtime/train/evaluator.h"
#include "runtime/train/metrics.h"

namespace runnel::fleet {

class SimulatedTask {
 public:
  // Reads the files, if it is about any. Fails as reading does, or with kInvalidArgument when the data does not fit the
  // model.
  static Result<std::unique_ptr<SimulatedTask>> create(const data::DataSpec& spec, const plan::ModelSpec& model,
                                                       uint32_t devices, uint64_t seed);

  std::shared_ptr<const data::ExampleSource> examples_of(uint32_t device) const;

  struct Quality {
    plan::Metric metric = plan::Metric::kNone;  // that the model is judged by
    double value = 0.0;                         // of it
    double loss = 0.0;
  };
  // On the test set; nullopt without one, or when the model's numbers have run away.
  std::optional<Quality> quality(std::span<const float> model);

 private:
  SimulatedTask(const data::DataSpec& spec, uint64_t seed) : spec_(spec), seed_(seed) {}

  data::DataSpec spec_;
  uint64_t seed_;
  std::vector<std::shared_ptr<const data::Dataset>> parts_;  // of each device, where whose rows they are is given
  std::shared_ptr<const data::Dataset> all_;                 // of files; null for generated data
  std::optional<data::Partition> partition_;
  std::optional<data::Dataset> test_;
  std::vector<uint8_t> memory_;
  std::optional<train::Evaluator> evaluator_;
  std::optional<train::Metrics> metrics_;
};

}  // namespace runnel::fleet
