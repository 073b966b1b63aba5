// The first model of a training run.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/plan/model_spec.h"

namespace runnel::train {

// Weights uniform in [-bound, bound) with bound = sqrt(6 / fan_in) (He et al. 2015, for rectifiers), of recurrent
// layers 1 / sqrt(units); an embedding's fan_in are its units. Biases and shifts zero, scales and running variances
// one. A weight depends on the seed, its tensor's index and its own index alone: the same bits on every machine.
// REQUIRES: parameters.size() == layout.parameter_count.
void initialize_parameters(const plan::ModelLayout& layout, uint64_t seed, std::span<float> parameters);

}  // namespace runnel::train
