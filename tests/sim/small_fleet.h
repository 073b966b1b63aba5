// A fleet small enough to be simulated a thousand times: tiny models on made-up points.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "fleet/simulator/simulation.h"
#include "runtime/base/rng.h"
#include "runtime/data/dataset.h"

namespace runnel::fleet {

// Three noisy clusters in eight dimensions, 24 examples a device.
inline std::vector<std::unique_ptr<data::Dataset>> clustered_points(size_t devices) {
  std::vector<std::unique_ptr<data::Dataset>> all;
  for (size_t device = 0; device < devices; ++device) {
    auto points = std::make_unique<data::Dataset>(data::ElementType::kF32, 8, 3, 1.0F);
    Rng rng(derive_key(99, device));
    for (int i = 0; i < 24; ++i) {
      const auto label = static_cast<uint32_t>(rng.below(3));
      std::array<float, 8> point{};
      for (size_t j = 0; j < point.size(); ++j)
        point[j] = static_cast<float>((j % 3 == label ? 1.0 : 0.0) + 0.3 * rng.normal());
      const ByteView bytes(reinterpret_cast<const uint8_t*>(point.data()), sizeof point);
      if (!points->append(bytes, label).ok()) return {};
    }
    all.push_back(std::move(points));
  }
  return all;
}

inline plan::ModelSpec tiny_mlp() {
  plan::ModelSpec spec;
  static_cast<void>(spec.name.assign("tiny"));
  spec.input = {8, 1, 1};
  spec.classes = 3;
  plan::LayerSpec dense;
  dense.kind = plan::LayerKind::kDense;
  dense.units = 16;
  static_cast<void>(spec.layers.push_back(dense));
  static_cast<void>(spec.layers.push_back({plan::LayerKind::kRelu}));
  dense.units = 3;
  static_cast<void>(spec.layers.push_back(dense));
  return spec;
}

// A simulation and the points that its devices train on.
struct SmallFleet {
  explicit SmallFleet(uint64_t seed, size_t devices = 4) : points(clustered_points(devices)) {
    options.seed = seed;
    options.model = tiny_mlp();
    for (const auto& part : points) options.examples.push_back(part.get());
    options.plan.rounds = 6;
    options.plan.min_devices = static_cast<uint32_t>(devices);
    options.plan.quorum = 1;
    options.plan.deadline_seconds = 60.0;
    options.plan.training.batch_size = 8;
    options.plan.codec.codec = plan::CodecId::kQsgd;
    options.plan.codec.bucket = 16;
    options.plan.rate.deadline = false;  // else an update also depends on the link, and could not be made again
    options.plan.codec.exact_coordinates_max = 4;
  }
  std::vector<std::unique_ptr<data::Dataset>> points;
  SimulationOptions options;
};

}  // namespace runnel::fleet
