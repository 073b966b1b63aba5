// What a device really sends: one minibatch gradient, and its local updates early and late in a run.
//
// A small federation is trained in this process: four devices of twenty with skewed labels (Dirichlet 0.3), one local
// epoch each, plain averaging, twenty rounds. The first device is the one whose vectors are kept. With the IDX files of
// Fashion-MNIST (or MNIST) the model is fashion-cnn, 52 thousand parameters; without them it is sensor-cnn on the
// generated task. The same files give the same vectors on one processor family.
#pragma once

#include <filesystem>
#include <vector>

#include "bench/named_values.h"

namespace runnel::bench {

// "cnn_gradient", "cnn_update_r1", "cnn_update_r5", "cnn_update_r20" (with "generated_" for "cnn_" where the folder, or
// its subfolder fashion-mnist, does not hold the four files). Throws std::runtime_error if the files are no data.
std::vector<NamedValues> real_updates(const std::filesystem::path& folder);

}  // namespace runnel::bench
