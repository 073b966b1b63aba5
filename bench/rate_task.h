// What a simulated fleet learns: a model, each device's examples, a test set.
//
//   fashion     Fashion-MNIST, 32 devices with skewed labels (Dirichlet 0.3), fashion-cnn
//   har         UCI HAR, one device for each of the 21 people of the training part, the 9 others to test; har-cnn
//   generated   the project's own made-up sensor windows, 16 devices, sensor-cnn: no files needed
//
// Memory: the training file once for all devices and runs. Threads: immutable once made, any number may read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "fleet/rate_trace.h"
#include "runtime/data/dataset.h"
#include "runtime/data/example_source.h"
#include "runtime/data/rows_of.h"
#include "runtime/plan/model_spec.h"

namespace runnel::bench {

struct TaskOptions {
  std::string name = "generated";
  std::filesystem::path data;  // the folder with fashion-mnist/, har/ and traces/; empty = none is needed
  double train_share = 0.2;    // of each device's examples, (0, 1]; har and generated keep all
  uint32_t test_examples = 2000;
  uint64_t seed = 1;  // of the partition and the links
};

struct RateTask {
  plan::ModelSpec model;
  plan::ModelLayout layout;
  std::vector<std::unique_ptr<data::ExampleSource>> parts;  // by device
  std::unique_ptr<data::ExampleSource> test;
  std::vector<fleet::RateTrace> links;  // by device
};

// Throws std::runtime_error: the name is unknown, or a file cannot be read.
std::shared_ptr<const RateTask> make_task(const TaskOptions& options);

}  // namespace runnel::bench
