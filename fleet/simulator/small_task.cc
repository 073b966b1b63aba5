#include "fleet/simulator/small_task.h"

#include <array>

#include "runtime/base/rng.h"

namespace runnel::fleet {

std::vector<std::unique_ptr<data::Dataset>> clustered_points(size_t devices) {
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
      RUNNEL_ASSERT(points->append(bytes, label).ok());
    }
    all.push_back(std::move(points));
  }
  return all;
}

plan::ModelSpec tiny_mlp() {
  plan::ModelSpec spec;
  RUNNEL_ASSERT(spec.name.assign("tiny"));
  spec.input = {8, 1, 1};
  spec.classes = 3;
  plan::LayerSpec dense;
  dense.kind = plan::LayerKind::kDense;
  dense.units = 16;
  RUNNEL_ASSERT(spec.layers.push_back(dense));
  RUNNEL_ASSERT(spec.layers.push_back({plan::LayerKind::kRelu}));
  dense.units = 3;
  RUNNEL_ASSERT(spec.layers.push_back(dense));
  return spec;
}

}  // namespace runnel::fleet
