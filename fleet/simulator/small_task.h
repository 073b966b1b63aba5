// A task small enough to be trained a hundred thousand times: made-up points and a tiny network.
#pragma once

#include <memory>
#include <vector>

#include "runtime/data/dataset.h"
#include "runtime/plan/model_spec.h"

namespace runnel::fleet {

// Three noisy clusters in eight dimensions, 24 examples a device.
std::vector<std::unique_ptr<data::Dataset>> clustered_points(size_t devices);

// 8 - 16 - 3, 195 parameters.
plan::ModelSpec tiny_mlp();

}  // namespace runnel::fleet
