// Every built-in model trains, in the memory that its plan says.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "coordinator/config/model_file.h"
#include "runtime/train/trainer.h"
#include "tests/unit/train/graph_models.h"

namespace runnel::train {
namespace {

GraphCase builtin(std::string_view name) {
  const coordinator::BuiltinModel* model = coordinator::find_builtin_model(name);
  EXPECT_NE(model, nullptr) << name;
  Result<plan::ModelSpec> spec = coordinator::parse_model_file(std::string(model->toml));
  EXPECT_TRUE(spec.ok()) << spec.failure().text();
  return {"", *spec};
}

// The model after three minibatches of random examples.
std::vector<float> train(const GraphCase& one, uint32_t batch_size, uint64_t bytes_max) {
  plan::TrainingSpec training;
  training.batch_size = batch_size;
  training.local_steps = 3;
  training.learning_rate = 0.001F;
  MemoryLimits limits;
  limits.bytes_max = bytes_max;
  const Result<MemoryPlan> memory = training_memory(one.spec, training, limits);
  EXPECT_TRUE(memory.ok()) << memory.failure().text();
  TestMemory block(memory->total_bytes);
  Result<Trainer> trainer = Trainer::create(one.spec, training, block.arena(), limits);
  EXPECT_TRUE(trainer.ok());
  const CaseExamples examples(one, 3 * batch_size, 1);
  const std::vector<float> global = initial_parameters(one.spec, 2);
  EXPECT_TRUE(trainer->start(global, examples, 3).ok());
  for (;;) {
    const Result<Progress> progress = trainer->step();
    EXPECT_TRUE(progress.ok()) << progress.failure().text();
    if (!progress.ok() || *progress == Progress::kDone) break;
  }
  EXPECT_TRUE(std::isfinite(trainer->mean_loss()));
  return {trainer->parameters().begin(), trainer->parameters().end()};
}

TEST(BuiltinModels, AllOfThemTrain) {
  for (const coordinator::BuiltinModel& model : coordinator::builtin_models()) {
    SCOPED_TRACE(std::string(model.name));
    const GraphCase one = builtin(model.name);
    EXPECT_NE(train(one, 2, 0), initial_parameters(one.spec, 2));
  }
}

TEST(BuiltinModels, TheLeastMemoryGivesTheSameModel) {
  for (const char* name : {"cnn-small", "resnet8", "mobilenet-tiny", "har-1dcnn", "ae-sensor"}) {
    SCOPED_TRACE(name);
    const GraphCase one = builtin(name);
    plan::TrainingSpec training;
    training.batch_size = 1;
    size_t least = training_memory(one.spec, training)->total_bytes;
    for (MemoryLimits limits;;) {  // down to where nothing fits
      limits.bytes_max = least - 1;
      const Result<MemoryPlan> less = training_memory(one.spec, training, limits);
      if (!less.ok()) break;
      least = less->total_bytes;
    }
    EXPECT_EQ(train(one, 1, least), train(one, 1, 0));
  }
}

// Parameters, momentum, activations, gradients and workspaces of one step at batch 1.
TEST(BuiltinModels, CnnSmallTrainsIn256KiB) {
  const GraphCase one = builtin("cnn-small");
  plan::TrainingSpec training;
  training.batch_size = 1;
  EXPECT_LE(training_memory(one.spec, training)->total_bytes, 256U * 1024);
  // Larger minibatches in slices.
  training.batch_size = 32;
  MemoryLimits limits;
  limits.bytes_max = 256 * 1024;
  const Result<MemoryPlan> memory = training_memory(one.spec, training, limits);
  ASSERT_TRUE(memory.ok()) << memory.failure().text();
  EXPECT_LE(memory->total_bytes, 256U * 1024);
  EXPECT_GE(memory->slice_examples, 2U);
}

}  // namespace
}  // namespace runnel::train
