// The two models that train_bench times, and the work that they are: inputs of 28x28, ten classes.
#pragma once

#include <array>
#include <string_view>

#include "runtime/plan/model_spec.h"

namespace runnel::bench {

struct TimedModel {
  std::string_view name;  // what every contestant is asked for
  std::string_view description;
  double mflop_per_image;  // forward, backward and update; a multiplication and an addition are two
};

// mlp: 784-128-64-10. cnn: convolutions of 16 and 32 3x3 kernels, each with 2x2 maximum pooling, then 128 and 10 units.
inline constexpr std::array<TimedModel, 2> kTimedModels = {
    {{"mlp", "784-128-64-10", 0.454}, {"cnn", "conv 3x3x16, pool, conv 3x3x32, pool, 128, 10", 7.08}}};
inline constexpr std::array<unsigned, 3> kTimedBatches = {1, 8, 32};

plan::ModelSpec timed_model(std::string_view name);

}  // namespace runnel::bench
